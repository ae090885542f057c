// SPDX-License-Identifier: Apache-2.0
//
// The file that driver processes of one volume write their output to.
#ifndef DISKD_AGENT_SUPERVISOR_DRIVER_LOG_H_
#define DISKD_AGENT_SUPERVISOR_DRIVER_LOG_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/fd.h"

namespace diskd::agent {

// Of a log and of the older output beside it ("PATH.1"), each, when it was looked at.
inline constexpr int64_t kMaxDriverLogBytes = 1 << 20;
// Who waits for a driver process looks at its log so often.
inline constexpr absl::Duration kDriverLogLook = absl::Seconds(2);

// For output that is always appended: several processes write, and TrimDriverLog() works beside
// them.
absl::StatusOr<Fd> OpenDriverLog(const std::string& path);

// Empties a log that is larger than the limit; its last part stays in PATH.1. The run directory
// is memory, and full it stops more than the driver that talks too much. Best effort: lines
// written at this very moment may be lost. Thread-safe.
void TrimDriverLog(const std::string& path);

void RemoveDriverLog(const std::string& path);

}  // namespace diskd::agent

#endif  // DISKD_AGENT_SUPERVISOR_DRIVER_LOG_H_
