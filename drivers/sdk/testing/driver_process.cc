// SPDX-License-Identifier: Apache-2.0
#include "drivers/sdk/testing/driver_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/packet_socket.h"
#include "base/status_macros.h"

extern char** environ;

namespace diskd::sdk {
namespace {

constexpr int kControlFd = 3;
constexpr absl::Duration kCallTimeout = absl::Seconds(60);

driver::v1::VolumeConfig ToProto(const VolumeConfig& config) {
  driver::v1::VolumeConfig out;
  out.set_volume_id(config.volume_id);
  out.set_size_bytes(config.size_bytes);
  out.set_logical_block_bytes(config.logical_block_bytes);
  out.set_read_only(config.read_only);
  out.set_state_dir(config.state_dir);
  out.set_memory_dir(config.memory_dir);
  out.mutable_parameters()->insert(config.parameters.begin(), config.parameters.end());
  return out;
}

}  // namespace

absl::StatusOr<DriverProcess> DriverProcess::Spawn(const std::string& executable,
                                                   const std::string& socket_dir) {
  static int counter = 0;
  DriverProcess process;
  process.socket_path_ = absl::StrCat(socket_dir, "/control-", ++counter, ".sock");
  ASSIGN_OR_RETURN(const Fd listener, ListenPacketSocket(process.socket_path_));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  // dup2 to itself clears close-on-exec.
  posix_spawn_file_actions_adddup2(&actions, listener.get(), kControlFd);
  const std::string control = absl::StrCat("--control-fd=", kControlFd);
  const char* argv[] = {executable.c_str(), "serve", control.c_str(), nullptr};
  const int error = posix_spawn(&process.pid_, executable.c_str(), &actions, nullptr,
                                const_cast<char**>(argv), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return ErrnoStatus(error, absl::StrCat("start ", executable));
  RETURN_IF_ERROR(process.Reconnect());
  return process;
}

DriverProcess::DriverProcess(DriverProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      socket_path_(std::move(other.socket_path_)),
      socket_(std::move(other.socket_)) {}

DriverProcess::~DriverProcess() { Kill(); }

absl::Status DriverProcess::Reconnect() {
  socket_.reset();
  ASSIGN_OR_RETURN(socket_, ConnectPacketSocket(socket_path_));
  return absl::OkStatus();
}

absl::StatusOr<driver::v1::Response> DriverProcess::Call(const driver::v1::Request& request,
                                                         const std::vector<int>& fds,
                                                         std::vector<Fd>* received) {
  RETURN_IF_ERROR(SendPacket(socket_.get(), request.SerializeAsString(), fds));
  ASSIGN_OR_RETURN(Packet packet, ReceivePacket(socket_.get(), kCallTimeout));
  driver::v1::Response response;
  if (!response.ParseFromString(packet.payload)) return absl::InternalError("malformed response");
  if (received != nullptr) *received = std::move(packet.fds);
  if (response.code() != 0) {
    return absl::Status(static_cast<absl::StatusCode>(response.code()), response.message());
  }
  return response;
}

absl::Status DriverProcess::Provision(const VolumeConfig& config) {
  driver::v1::Request request;
  *request.mutable_provision()->mutable_config() = ToProto(config);
  return Call(request).status();
}

absl::Status DriverProcess::Deprovision(const VolumeConfig& config) {
  driver::v1::Request request;
  *request.mutable_deprovision()->mutable_config() = ToProto(config);
  return Call(request).status();
}

absl::Status DriverProcess::Open(const VolumeConfig& config) {
  driver::v1::Request request;
  *request.mutable_open()->mutable_config() = ToProto(config);
  return Call(request).status();
}

absl::Status DriverProcess::Serve(driver::v1::Transport transport, const std::vector<int>& fds,
                                  bool resend) {
  driver::v1::Request request;
  request.mutable_serve()->set_transport(transport);
  request.mutable_serve()->set_resend(resend);
  return Call(request, fds).status();
}

void DriverProcess::Kill() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  Wait();
}

int DriverProcess::Wait() {
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

}  // namespace diskd::sdk
