// SPDX-License-Identifier: Apache-2.0
#include "client/lib/status.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/fd.h"

namespace diskd::client {
namespace {

constexpr char kUnreachablePayload[] = "diskd.client/agent-unreachable";
constexpr char kHowToStart[] = "start it: systemctl start diskd (log: journalctl -u diskd)";

absl::Status SocketError(int error, const std::string& path) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return absl::NotFoundError(
          absl::StrCat("there is no socket ", path, ". Is the agent running? If not, ", kHowToStart,
                       ". If it has another --run-dir, give its diskd.sock with --socket or "
                       "DISKD_SOCKET"));
    case ECONNREFUSED:
      return absl::UnavailableError(absl::StrCat(
          "nobody listens on ", path, ": the agent has stopped or crashed; ", kHowToStart));
    case EACCES:
    case EPERM:
      return absl::PermissionDeniedError(
          absl::StrCat("no permission to open ", path,
                       ": run as root (sudo), or check the owner and mode of the socket and of "
                       "its directories"));
    case EAGAIN:
      return absl::UnavailableError(absl::StrCat(
          "the agent does not accept connections on ", path,
          ": its queue is full. Is it stuck? Look at its log (journalctl -u diskd) and try again"));
    case EPROTOTYPE:
    case ENOTSOCK:
      return absl::FailedPreconditionError(
          absl::StrCat(path,
                       " is not the agent's stream socket; give diskd.sock in the agent's "
                       "--run-dir with --socket or DISKD_SOCKET"));
    default:
      return ErrnoStatus(error, absl::StrCat("connect to ", path));
  }
}

}  // namespace

absl::Status StatusFromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  // Both enumerations are google.rpc.Code; what lies outside them is the other side's fault.
  const int code = status.error_code();
  if (code < static_cast<int>(absl::StatusCode::kCancelled) ||
      code > static_cast<int>(absl::StatusCode::kUnauthenticated)) {
    return absl::UnknownError(
        absl::StrCat("gRPC status code ", code, ": ", status.error_message()));
  }
  return absl::Status(static_cast<absl::StatusCode>(code), status.error_message());
}

absl::Status CheckSocket(const std::string& socket_path) {
  sockaddr_un address{};
  if (socket_path.empty() || socket_path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(
        absl::StrCat("socket path \"", socket_path, "\" has ", socket_path.size(), " bytes; 1 to ",
                     sizeof(address.sun_path) - 1, " fit: give the agent a shorter --run-dir"));
  }
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, socket_path.data(), socket_path.size());
  const Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return ErrnoStatus(errno, "create a Unix socket");
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return SocketError(errno, socket_path);
  }
  return absl::OkStatus();
}

absl::Status AgentUnreachableError(const std::string& socket_path, const absl::Status& cause) {
  const absl::Status socket = CheckSocket(socket_path);
  std::string reason(socket.message());
  if (socket.ok()) {
    reason = absl::StrCat("the connection to ", socket_path, " broke (", cause.message(),
                          "); the agent may be restarting, try again");
  }
  absl::Status status =
      absl::UnavailableError(absl::StrCat("can't reach the diskd agent: ", reason));
  status.SetPayload(kUnreachablePayload, absl::Cord());
  return status;
}

bool IsAgentUnreachable(const absl::Status& status) {
  return status.GetPayload(kUnreachablePayload).has_value();
}

}  // namespace diskd::client
