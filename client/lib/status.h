// SPDX-License-Identifier: Apache-2.0
//
// grpc::Status -> absl::Status, the one place for it, and the mark of an unreachable agent.
// Functions are thread-safe.
#ifndef DISKD_CLIENT_LIB_STATUS_H_
#define DISKD_CLIENT_LIB_STATUS_H_

#include <grpcpp/support/status.h>

#include <string>

#include "absl/status/status.h"

namespace diskd::client {

// Same code, same message; OK is OK.
absl::Status StatusFromGrpc(const grpc::Status& status);

// UNAVAILABLE with what is wrong with the agent's socket at `socket_path` right now and what to
// do about it. `cause`: what the failed call said.
absl::Status AgentUnreachableError(const std::string& socket_path, const absl::Status& cause);

// Whether the status was made by AgentUnreachableError.
bool IsAgentUnreachable(const absl::Status& status);

// Whether a connection to the Unix socket can be made now: OK, or why not and what to do.
absl::Status CheckSocket(const std::string& socket_path);

}  // namespace diskd::client

#endif  // DISKD_CLIENT_LIB_STATUS_H_
