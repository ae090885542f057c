// SPDX-License-Identifier: Apache-2.0
#include "drivers/sdk/control/control_server.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

#include "absl/time/time.h"
#include "base/errno_status.h"
#include "base/log.h"
#include "base/packet_socket.h"
#include "base/status_macros.h"
#include "drivers/sdk/control/convert.h"

namespace diskd::sdk {
namespace {

absl::StatusOr<Fd> Accept(int listening_socket) {
  for (;;) {
    pollfd poll_fd{.fd = listening_socket, .events = POLLIN, .revents = 0};
    if (poll(&poll_fd, 1, -1) < 0 && errno != EINTR) {
      return ErrnoStatus(errno, "wait for a control connection");
    }
    Fd fd(accept4(listening_socket, nullptr, nullptr, SOCK_CLOEXEC));
    if (fd.valid()) return fd;
    if (errno != EINTR && errno != EAGAIN && errno != ECONNABORTED) {
      return ErrnoStatus(errno, "accept a control connection");
    }
  }
}

}  // namespace

bool ServeControlClient(int socket, ControlHandler& handler) {
  for (;;) {
    auto packet = ReceivePacket(socket, absl::InfiniteDuration());
    ControlReply reply;
    reply.send_ahead = [socket](const driver::v1::Response& response) {
      (void)SendPacket(socket, response.SerializeAsString());
    };
    if (packet.ok()) {
      driver::v1::Request request;
      if (request.ParseFromString(packet->payload)) {
        handler.Handle(request, std::move(packet->fds), reply);
      } else {
        SetStatus(absl::InvalidArgumentError("the packet is not a diskd.driver.v1.Request"),
                  reply.response);
      }
    } else if (absl::IsInvalidArgument(packet.status())) {
      SetStatus(packet.status(), reply.response);
    } else {
      return false;
    }
    const absl::Status sent = SendPacket(socket, reply.response.SerializeAsString(), reply.fds);
    if (reply.stop) return true;
    if (!sent.ok()) {
      SPDLOG_WARN("control: {}", sent.ToString());
      return false;
    }
  }
}

absl::Status RunControlServer(int listening_socket, ControlHandler& handler) {
  for (;;) {
    ASSIGN_OR_RETURN(const Fd client, Accept(listening_socket));
    if (ServeControlClient(client.get(), handler)) return absl::OkStatus();
  }
}

}  // namespace diskd::sdk
