// SPDX-License-Identifier: Apache-2.0
//
// Packets with file descriptors over AF_UNIX SOCK_SEQPACKET sockets: what carries
// diskd.driver.v1 between agent and driver processes.
//
// Functions are thread-safe as far as the kernel is: one packet is sent or received whole.
#ifndef DISKD_BASE_PACKET_SOCKET_H_
#define DISKD_BASE_PACKET_SOCKET_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/fd.h"

namespace diskd {

inline constexpr int kMaxPacketBytes = 64 * 1024;
inline constexpr int kMaxPacketFds = 65;  // one per queue of the largest disk, and a socket

struct Packet {
  std::string payload;
  std::vector<Fd> fds;  // close-on-exec
  pid_t sender = 0;     // 0: NameSenders() was not called, or it can't be seen from here
};

// Listening socket bound to `path` (an existing socket file is replaced), mode 0600.
// At most 107 bytes of path.
absl::StatusOr<Fd> ListenPacketSocket(const std::string& path);
absl::StatusOr<Fd> ConnectPacketSocket(const std::string& path);

// Packets that arrive here from now on say which process sent them. The kernel sees to it, whatever
// the peer does. (The peer that SO_PEERCRED tells of is the process that made the socket listen.)
absl::Status NameSenders(int socket);

// The descriptors stay the caller's. UNAVAILABLE: the peer is gone.
absl::Status SendPacket(int socket, absl::string_view payload, const std::vector<int>& fds = {});

// UNAVAILABLE: the peer closed. DEADLINE_EXCEEDED: nothing came in time.
// INVALID_ARGUMENT: the packet was larger than kMaxPacketBytes or kMaxPacketFds; it is lost.
absl::StatusOr<Packet> ReceivePacket(int socket, absl::Duration timeout);

}  // namespace diskd

#endif  // DISKD_BASE_PACKET_SOCKET_H_
