// SPDX-License-Identifier: Apache-2.0
#include "base/packet_socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gtest/gtest.h"

namespace diskd {
namespace {

struct Pair {
  Pair() {
    int fds[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    a = Fd(fds[0]);
    b = Fd(fds[1]);
  }
  Fd a, b;
};

TEST(PacketSocket_Descriptors, ArriveWithTheirPacketAndAreCloseOnExec) {
  Pair pair;
  Fd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(SendPacket(pair.a.get(), "hello", {null.get(), null.get()}).ok());
  auto packet = ReceivePacket(pair.b.get(), absl::Seconds(5));
  ASSERT_TRUE(packet.ok()) << packet.status();
  EXPECT_EQ(packet->payload, "hello");
  ASSERT_EQ(packet->fds.size(), 2u);
  struct stat sent, got;
  ASSERT_EQ(fstat(null.get(), &sent), 0);
  ASSERT_EQ(fstat(packet->fds[1].get(), &got), 0);
  EXPECT_EQ(sent.st_rdev, got.st_rdev);
  EXPECT_NE(fcntl(packet->fds[0].get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST(PacketSocket_Sender, IsNamedWhereAskedForBesidesAllDescriptors) {
  Pair pair;
  ASSERT_TRUE(NameSenders(pair.b.get()).ok());
  const std::vector<int> most(kMaxPacketFds, STDERR_FILENO);
  ASSERT_TRUE(SendPacket(pair.a.get(), "to b", most).ok());
  ASSERT_TRUE(SendPacket(pair.b.get(), "to a").ok());
  const auto named = ReceivePacket(pair.b.get(), absl::Seconds(5));
  ASSERT_TRUE(named.ok()) << named.status();
  EXPECT_EQ(named->sender, getpid());
  EXPECT_EQ(named->fds.size(), most.size());
}

TEST(PacketSocket_PeerGone, IsUnavailable) {
  Pair pair;
  pair.a.reset();
  EXPECT_TRUE(absl::IsUnavailable(ReceivePacket(pair.b.get(), absl::Seconds(5)).status()));
  EXPECT_TRUE(absl::IsUnavailable(SendPacket(pair.b.get(), "x")));
}

TEST(PacketSocket_Silence, EndsAtTheDeadline) {
  Pair pair;
  EXPECT_TRUE(
      absl::IsDeadlineExceeded(ReceivePacket(pair.b.get(), absl::Milliseconds(1)).status()));
}

TEST(PacketSocket_TooLarge, IsRefusedBySender) {
  Pair pair;
  EXPECT_TRUE(
      absl::IsInvalidArgument(SendPacket(pair.a.get(), std::string(kMaxPacketBytes + 1, 'x'))));
}

TEST(PacketSocket_Path, TooLongIsRefusedWithAdvice) {
  const absl::Status status = ConnectPacketSocket("/tmp/" + std::string(200, 'x')).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_NE(status.message().find("shorter"), absl::string_view::npos);
}

}  // namespace
}  // namespace diskd
