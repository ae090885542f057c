// SPDX-License-Identifier: Apache-2.0
//
// Runs a short command to its end. Any thread.
#ifndef DISKD_AGENT_PROCESS_COMMAND_H_
#define DISKD_AGENT_PROCESS_COMMAND_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace diskd::agent {

inline constexpr size_t kMaxCommandOutputBytes = 64 * 1024;

// What the command wrote to standard output.
// DEADLINE_EXCEEDED: it was killed at the limit. RESOURCE_EXHAUSTED: more than
// kMaxCommandOutputBytes. UNAVAILABLE: its exit status was not 0 (the message says which).
absl::StatusOr<std::string> RunCommand(const std::vector<std::string>& argv, absl::Duration limit);

}  // namespace diskd::agent

#endif  // DISKD_AGENT_PROCESS_COMMAND_H_
