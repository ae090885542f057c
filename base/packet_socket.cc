// SPDX-License-Identifier: Apache-2.0
#include "base/packet_socket.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/errno_status.h"
#include "base/status_macros.h"

namespace diskd {
namespace {

constexpr int kBacklog = 4;
// Of what comes beside the largest packet.
constexpr size_t kControlBytes =
    CMSG_SPACE(sizeof(int) * kMaxPacketFds) + CMSG_SPACE(sizeof(ucred));
// A peer that hangs and whose backlog is full must not hold its clients for ever.
constexpr timeval kConnectLimit{.tv_sec = 10, .tv_usec = 0};

absl::StatusOr<sockaddr_un> AddressOf(const std::string& path) {
  sockaddr_un address{};
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat("socket path \"", path, "\" has ", path.size(),
                                                   " bytes; 1 to ", sizeof(address.sun_path) - 1,
                                                   " fit: choose a shorter directory"));
  }
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, path.data(), path.size());
  return address;
}

absl::StatusOr<Fd> NewSocket() {
  Fd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return ErrnoStatus(errno, "create a Unix packet socket");
  return fd;
}

absl::Status WaitReadable(int socket, absl::Time deadline) {
  for (;;) {
    const absl::Duration left = deadline - absl::Now();
    if (left < absl::ZeroDuration()) {
      return absl::DeadlineExceededError("no packet came in time");
    }
    pollfd poll_fd{.fd = socket, .events = POLLIN, .revents = 0};
    constexpr absl::Duration kLongestPoll = absl::Hours(1);
    const int timeout_ms =
        static_cast<int>(absl::ToInt64Milliseconds(std::min(left, kLongestPoll)) + 1);
    const int ready = poll(&poll_fd, 1, timeout_ms);
    if (ready > 0) return absl::OkStatus();
    if (ready < 0 && errno != EINTR) return ErrnoStatus(errno, "wait for a packet");
  }
}

std::vector<Fd> TakeFds(msghdr& message) {
  std::vector<Fd> fds;
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd;
      memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
      fds.emplace_back(fd);
    }
  }
  return fds;
}

pid_t SenderOf(msghdr& message) {
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_CREDENTIALS) continue;
    ucred sender;
    memcpy(&sender, CMSG_DATA(c), sizeof(sender));
    return sender.pid;
  }
  return 0;
}

}  // namespace

absl::StatusOr<Fd> ListenPacketSocket(const std::string& path) {
  ASSIGN_OR_RETURN(const sockaddr_un address, AddressOf(path));
  ASSIGN_OR_RETURN(Fd fd, NewSocket());
  if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    return ErrnoStatus(errno, absl::StrCat("remove the old socket ", path));
  }
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return ErrnoStatus(errno, absl::StrCat("bind ", path));
  }
  if (chmod(path.c_str(), 0600) != 0) return ErrnoStatus(errno, absl::StrCat("chmod ", path));
  if (listen(fd.get(), kBacklog) != 0) return ErrnoStatus(errno, absl::StrCat("listen ", path));
  return fd;
}

absl::StatusOr<Fd> ConnectPacketSocket(const std::string& path) {
  ASSIGN_OR_RETURN(const sockaddr_un address, AddressOf(path));
  ASSIGN_OR_RETURN(Fd fd, NewSocket());
  setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &kConnectLimit, sizeof(kConnectLimit));
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return ErrnoStatus(errno, absl::StrCat("connect to ", path));
  }
  return fd;
}

absl::Status NameSenders(int socket) {
  const int on = 1;
  if (setsockopt(socket, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) == 0) return absl::OkStatus();
  return ErrnoStatus(errno, "ask for the senders of packets");
}

absl::Status SendPacket(int socket, absl::string_view payload, const std::vector<int>& fds) {
  if (payload.size() > kMaxPacketBytes || fds.size() > kMaxPacketFds) {
    return absl::InvalidArgumentError(
        absl::StrCat("packet of ", payload.size(), " bytes and ", fds.size(),
                     " descriptors; at most ", kMaxPacketBytes, " and ", kMaxPacketFds, " fit"));
  }
  iovec io{const_cast<char*>(payload.data()), payload.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxPacketFds)] = {};
  msghdr message{};
  message.msg_iov = &io;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    const size_t bytes = sizeof(int) * fds.size();
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(bytes);
    cmsghdr* c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(bytes);
    memcpy(CMSG_DATA(c), fds.data(), bytes);
  }
  for (;;) {
    if (sendmsg(socket, &message, MSG_NOSIGNAL) >= 0) return absl::OkStatus();
    if (errno != EINTR) return ErrnoStatus(errno, "send a packet");
  }
}

absl::StatusOr<Packet> ReceivePacket(int socket, absl::Duration timeout) {
  RETURN_IF_ERROR(WaitReadable(socket, absl::Now() + timeout));
  std::string buffer(kMaxPacketBytes, '\0');
  iovec io{buffer.data(), buffer.size()};
  alignas(cmsghdr) char control[kControlBytes];
  msghdr message{};
  message.msg_iov = &io;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  ssize_t received;
  do {
    received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (received < 0 && errno == EINTR);
  if (received < 0) return ErrnoStatus(errno, "receive a packet");
  Packet packet;
  packet.fds = TakeFds(message);
  packet.sender = SenderOf(message);
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    return absl::InvalidArgumentError("packet too large");
  }
  // A sequenced-packet socket reports the peer's close as an empty packet; the protocol never
  // sends one.
  if (received == 0) return absl::UnavailableError("the peer closed the connection");
  buffer.resize(received);
  packet.payload = std::move(buffer);
  return packet;
}

}  // namespace diskd
