// SPDX-License-Identifier: Apache-2.0
#include "agent/server/server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/server_builder.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "agent/volume/long_calls.h"
#include "base/errno_status.h"
#include "base/fd.h"
#include "base/status_macros.h"

namespace diskd::agent {
namespace {

constexpr mode_t kSocketMode = 0660;

static_assert(4 * kMaxLongCalls <= kMaxServerThreads, "most threads are for short calls");

absl::Status ReplaceStaleSocket(const std::string& path) {
  sockaddr_un address{};
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat("socket path ", path, " has more than ",
                                                   sizeof(address.sun_path) - 1,
                                                   " bytes: choose a shorter --socket"));
  }
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, path.data(), path.size());
  const Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("another process serves ", path, ": stop it, or choose another --socket"));
  }
  if (errno == ENOENT) return absl::OkStatus();
  if (errno != ECONNREFUSED) return ErrnoStatus(errno, absl::StrCat("look at ", path));
  if (unlink(path.c_str()) != 0) return ErrnoStatus(errno, absl::StrCat("remove ", path));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<grpc::Server>> StartServer(
    const std::string& socket_path, const std::vector<grpc::Service*>& services) {
  RETURN_IF_ERROR(ReplaceStaleSocket(socket_path));
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ResourceQuota quota("diskd");
  quota.SetMaxThreads(kMaxServerThreads);
  grpc::ServerBuilder builder;
  builder.SetResourceQuota(quota);
  builder.AddListeningPort(absl::StrCat("unix:", socket_path), grpc::InsecureServerCredentials());
  for (grpc::Service* service : services) builder.RegisterService(service);
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) {
    return absl::UnavailableError(
        absl::StrCat("can't listen on ", socket_path, ": see the messages above"));
  }
  if (chmod(socket_path.c_str(), kSocketMode) != 0) {
    return ErrnoStatus(errno, absl::StrCat("chmod ", socket_path));
  }
  return server;
}

}  // namespace diskd::agent
