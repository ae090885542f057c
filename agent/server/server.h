// SPDX-License-Identifier: Apache-2.0
//
// The gRPC server on the agent's Unix socket, with health and reflection.
#ifndef DISKD_AGENT_SERVER_SERVER_H_
#define DISKD_AGENT_SERVER_SERVER_H_

#include <grpcpp/server.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace diskd::agent {

inline constexpr int kMaxServerThreads = 64;  // bounds the calls at work
inline constexpr absl::Duration kServerShutdownLimit = absl::Seconds(20);

// Serves until Shutdown. A stale socket is replaced; the new one has mode 0660.
// FAILED_PRECONDITION: another process serves the socket. The services stay the caller's.
absl::StatusOr<std::unique_ptr<grpc::Server>> StartServer(
    const std::string& socket_path, const std::vector<grpc::Service*>& services);

}  // namespace diskd::agent

#endif  // DISKD_AGENT_SERVER_SERVER_H_
