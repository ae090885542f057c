// SPDX-License-Identifier: Apache-2.0
//
// A child process with a limit on its time. Thread-safe.
#ifndef DISKD_CLIENT_CSI_COMMAND_H_
#define DISKD_CLIENT_CSI_COMMAND_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace diskd::csi {

// Runs argv[0], found in PATH, to its end. INTERNAL: it failed; the message has the end of what it
// printed. DEADLINE_EXCEEDED: killed. NOT_FOUND: no such program.
absl::Status RunCommand(const std::vector<std::string>& argv, absl::Duration timeout);

}  // namespace diskd::csi

#endif  // DISKD_CLIENT_CSI_COMMAND_H_
