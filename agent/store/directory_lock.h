// SPDX-License-Identifier: Apache-2.0
//
// One agent per directory: an flock on DIR/lock, which holds the owner's process number.
#ifndef DISKD_AGENT_STORE_DIRECTORY_LOCK_H_
#define DISKD_AGENT_STORE_DIRECTORY_LOCK_H_

#include <string>

#include "absl/status/statusor.h"
#include "base/fd.h"

namespace diskd::agent {

// Held while the descriptor is open. FAILED_PRECONDITION: another agent has it, and which.
absl::StatusOr<Fd> LockDirectory(const std::string& directory);

}  // namespace diskd::agent

#endif  // DISKD_AGENT_STORE_DIRECTORY_LOCK_H_
