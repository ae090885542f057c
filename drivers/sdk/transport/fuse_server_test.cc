// SPDX-License-Identifier: Apache-2.0
//
// The kernel's side is played over a socket pair: a packet in for each request, one out for each
// answer, and its end looks like the end of the connection.
#include "drivers/sdk/transport/fuse_server.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "base/fd.h"
#include "base/log.h"
#include "drivers/sdk/device/fuse_device.h"
#include "drivers/sdk/testing/fake_driver.h"
#include "drivers/sdk/transport/queue_threads.h"
#include "gtest/gtest.h"

namespace diskd::sdk {
namespace {

constexpr int kAnswerTimeoutMs = 20'000;
constexpr uint64_t kSize = 1 << 20;

struct Reply {
  int error = 0;
  uint64_t unique = 0;
  std::vector<std::byte> body;
};

template <typename T>
T As(const Reply& reply) {
  T value{};
  EXPECT_EQ(reply.body.size(), sizeof(T));
  memcpy(&value, reply.body.data(), std::min(sizeof(T), reply.body.size()));
  return value;
}

class FuseServerTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    Geometry geometry;
    geometry.size_bytes = kSize;
    geometry.discard = true;
    geometry.write_zeroes = true;
    geometry.discard_granularity_bytes = 8192;
    StartServing(geometry);
  }

  void StartServing(const Geometry& geometry) {
    threads_.reset();
    driver_ = std::make_unique<FakeDriver>(geometry, GetParam());
    int fds[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    kernel_ = Fd(fds[0]);
    server_ = Fd(fds[1]);
    std::vector<std::unique_ptr<QueueTransport>> queues;
    for (int i = 0; i < queues_; ++i) {
      queues.push_back(std::make_unique<FuseQueueServer>(server_.get(), i, *driver_));
    }
    auto threads = QueueThreads::Start(std::move(queues));
    ASSERT_TRUE(threads.ok()) << threads.status();
    threads_ = *std::move(threads);
  }

  template <typename In>
  uint64_t Send(uint32_t opcode, uint64_t node, const In& in,
                const std::vector<std::byte>& data = {}) {
    std::vector<std::byte> packet;
    fuse_in_header header{};
    header.len = static_cast<uint32_t>(sizeof(header) + sizeof(In) + data.size());
    header.opcode = opcode;
    header.unique = ++unique_;
    header.nodeid = node;
    const auto append = [&packet](const void* from, size_t bytes) {
      const auto* first = static_cast<const std::byte*>(from);
      packet.insert(packet.end(), first, first + bytes);
    };
    append(&header, sizeof(header));
    append(&in, sizeof(In));
    append(data.data(), data.size());
    EXPECT_EQ(send(kernel_.get(), packet.data(), packet.size(), 0),
              static_cast<ssize_t>(packet.size()));
    return unique_;
  }

  Reply Receive() {
    pollfd poll_fd{.fd = kernel_.get(), .events = POLLIN, .revents = 0};
    Reply reply;
    if (poll(&poll_fd, 1, kAnswerTimeoutMs) != 1) {
      ADD_FAILURE() << "no answer";
      return reply;
    }
    std::vector<std::byte> packet(256 * 1024);
    const ssize_t received = recv(kernel_.get(), packet.data(), packet.size(), 0);
    fuse_out_header header{};
    EXPECT_GE(received, static_cast<ssize_t>(sizeof(header)));
    memcpy(&header, packet.data(), sizeof(header));
    EXPECT_EQ(header.len, received);
    reply.error = header.error;
    reply.unique = header.unique;
    reply.body.assign(packet.begin() + sizeof(header), packet.begin() + received);
    return reply;
  }

  template <typename In>
  Reply Call(uint32_t opcode, uint64_t node, const In& in,
             const std::vector<std::byte>& data = {}) {
    const uint64_t unique = Send(opcode, node, in, data);
    Reply reply = Receive();
    EXPECT_EQ(reply.unique, unique);
    return reply;
  }

  Reply Write(uint64_t offset, const std::vector<std::byte>& data) {
    fuse_write_in in{};
    in.offset = offset;
    in.size = static_cast<uint32_t>(data.size());
    return Call(FUSE_WRITE, kFuseDiskNode, in, data);
  }

  Reply Read(uint64_t offset, uint32_t size) {
    fuse_read_in in{};
    in.offset = offset;
    in.size = size;
    return Call(FUSE_READ, kFuseDiskNode, in);
  }

  int queues_ = 1;
  std::unique_ptr<FakeDriver> driver_;
  Fd kernel_, server_;
  std::unique_ptr<QueueThreads> threads_;
  uint64_t unique_ = 0;
};

INSTANTIATE_TEST_SUITE_P(SyncAndAsync, FuseServerTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Async" : "Sync"; });

TEST_P(FuseServerTest, Lookup_OfTheDisk_FindsItWithItsSize) {
  const char name[] = "disk";
  const Reply reply = Call(FUSE_LOOKUP, FUSE_ROOT_ID, name);
  ASSERT_EQ(reply.error, 0);
  const auto entry = As<fuse_entry_out>(reply);
  EXPECT_EQ(entry.nodeid, kFuseDiskNode);
  EXPECT_EQ(entry.attr.size, kSize);
  EXPECT_TRUE(S_ISREG(entry.attr.mode));
  const char other[] = "diskk";
  EXPECT_EQ(Call(FUSE_LOOKUP, FUSE_ROOT_ID, other).error, -ENOENT);
}

TEST_P(FuseServerTest, Open_AsksForDirectParallelIo) {
  const auto out = As<fuse_open_out>(Call(FUSE_OPEN, kFuseDiskNode, fuse_open_in{}));
  EXPECT_EQ(out.open_flags,
            uint32_t{FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES | FOPEN_NOFLUSH});
}

TEST_P(FuseServerTest, WriteThenRead_GivesTheDataBack) {
  std::vector<std::byte> data(4096, std::byte{0x5a});
  EXPECT_EQ(As<fuse_write_out>(Write(8192, data)).size, 4096u);
  const Reply reply = Read(8192, 4096);
  EXPECT_EQ(reply.error, 0);
  EXPECT_EQ(reply.body, data);
  const CounterValues counters = threads_->counters();
  EXPECT_EQ(counters.writes, 1u);
  EXPECT_EQ(counters.written_bytes, 4096u);
  EXPECT_EQ(counters.reads, 1u);
  EXPECT_EQ(counters.errors, 0u);
}

TEST_P(FuseServerTest, LargeRequests_AreServedLikeSmallOnes) {
  std::vector<std::byte> data(128 * 1024);
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(i / 512);
  EXPECT_EQ(As<fuse_write_out>(Write(0, data)).size, data.size());
  EXPECT_EQ(Read(0, static_cast<uint32_t>(data.size())).body, data);
}

TEST_P(FuseServerTest, ManyRequestsBeforeAnyAnswerIsTaken_AreAllAnsweredOnce) {
  constexpr int kRequests = 48;  // more than a descriptor has slots
  std::map<uint64_t, int> answers;
  for (int i = 0; i < kRequests; ++i) {
    fuse_read_in in{};
    in.offset = 512 * i;
    in.size = 512;
    driver_->data[in.offset] = static_cast<std::byte>(i);
    answers[Send(FUSE_READ, kFuseDiskNode, in)] = i;
  }
  for (int i = 0; i < kRequests; ++i) {
    const Reply reply = Receive();
    ASSERT_EQ(answers.count(reply.unique), 1u) << "answered twice or never asked";
    ASSERT_EQ(reply.body.size(), 512u);
    EXPECT_EQ(reply.body[0], static_cast<std::byte>(answers[reply.unique]));
    answers.erase(reply.unique);
  }
}

class AsyncFuseServerTest : public FuseServerTest {
 protected:
  bool Blocking() const { return (fcntl(server_.get(), F_GETFL) & O_NONBLOCK) == 0; }
};
INSTANTIATE_TEST_SUITE_P(Async, AsyncFuseServerTest, testing::Values(true));

TEST_P(AsyncFuseServerTest, RequestInFlight_HoldsUpNoOther_AndNeedsNoOther) {
  const Fd go(eventfd(0, EFD_CLOEXEC));
  driver_->hold_flushes = go.get();
  const uint64_t flush = Send(FUSE_FSYNC, kFuseDiskNode, fuse_fsync_in{});
  for (int i = 0; i < 3; ++i) EXPECT_NE(Read(0, 512).unique, flush);
  const uint64_t one = 1;
  ASSERT_EQ(write(go.get(), &one, sizeof one), static_cast<ssize_t>(sizeof one));
  EXPECT_EQ(Receive().unique, flush);
}

// To watch it takes several system calls a request.
TEST_P(AsyncFuseServerTest, WhileItAnswersInPlace_TheDescriptorIsReadNotWatched) {
  EXPECT_EQ(Read(0, 512).body.size(), 512u);
  EXPECT_FALSE(Blocking());
  driver_->in_place = true;
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Read(0, 512).body.size(), 512u);
    while (!Blocking()) std::this_thread::yield();
  }
  const Fd go(eventfd(0, EFD_CLOEXEC));
  driver_->hold_flushes = go.get();
  const uint64_t flush = Send(FUSE_FSYNC, kFuseDiskNode, fuse_fsync_in{});
  while (Blocking()) std::this_thread::yield();
  EXPECT_NE(Read(0, 512).unique, flush);
  const uint64_t one = 1;
  ASSERT_EQ(write(go.get(), &one, sizeof one), static_cast<ssize_t>(sizeof one));
  EXPECT_EQ(Receive().unique, flush);
  EXPECT_EQ(Read(0, 512).body.size(), 512u);
  while (!Blocking()) std::this_thread::yield();
}

// A request wakes one of them. Never in place here: the descriptor's flags are shared, those of
// clones of /dev/fuse are not.
class TwoFuseQueuesTest : public FuseServerTest {
 protected:
  TwoFuseQueuesTest() { queues_ = 2; }
};
INSTANTIATE_TEST_SUITE_P(Async, TwoFuseQueuesTest, testing::Values(true));

TEST_P(TwoFuseQueuesTest, NoRequestIsForgotten) {
  constexpr int kRounds = 3000;
  fuse_read_in in{};
  in.size = 512;
  for (int round = 0; round < kRounds; ++round) {
    std::set<uint64_t> asked;
    for (int i = 0; i <= round % 5; ++i) asked.insert(Send(FUSE_READ, kFuseDiskNode, in));
    while (!asked.empty()) ASSERT_EQ(asked.erase(Receive().unique), 1u);
  }
}

TEST_P(FuseServerTest, Read_AtAndAcrossTheEnd_IsCut) {
  EXPECT_EQ(Read(kSize - 512, 4096).body.size(), 512u);
  const Reply behind = Read(kSize, 4096);
  EXPECT_EQ(behind.error, 0);
  EXPECT_TRUE(behind.body.empty());
}

TEST_P(FuseServerTest, Requests_OutsideOrUnaligned_NeverReachTheDriver) {
  EXPECT_EQ(Write(kSize, std::vector<std::byte>(512)).error, -EINVAL);
  EXPECT_EQ(Write(kSize - 512, std::vector<std::byte>(1024)).error, -EINVAL);
  EXPECT_EQ(Write(~uint64_t{511}, std::vector<std::byte>(512)).error, -EINVAL);
  EXPECT_EQ(Write(100, std::vector<std::byte>(512)).error, -EINVAL);
  EXPECT_EQ(Read(512, 100).error, -EINVAL);
  EXPECT_EQ(Read(0, kFuseMaxIoBytes + 4096).error, -EINVAL);
  fuse_write_in lying{};
  lying.size = 4096;  // with 512 bytes behind it
  EXPECT_EQ(Call(FUSE_WRITE, kFuseDiskNode, lying, std::vector<std::byte>(512)).error, -EINVAL);
  const uint32_t shorter = 0;
  EXPECT_EQ(Call(FUSE_READ, kFuseDiskNode, shorter).error, -EINVAL);
  EXPECT_EQ(driver_->submitted, 0);
}

TEST_P(FuseServerTest, Fsync_BecomesAFlush) {
  EXPECT_EQ(Call(FUSE_FSYNC, kFuseDiskNode, fuse_fsync_in{}).error, 0);
  EXPECT_EQ(driver_->flushes, 1);
  EXPECT_EQ(threads_->counters().flushes, 1u);
}

TEST_P(FuseServerTest, Fallocate_HolesAndZeroes_BecomeWriteZeroes) {
  Write(0, std::vector<std::byte>(8192, std::byte{1}));
  fuse_fallocate_in in{};
  in.length = 4096;
  in.mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  EXPECT_EQ(Call(FUSE_FALLOCATE, kFuseDiskNode, in).error, 0);
  EXPECT_EQ(driver_->last_op, Op::kWriteZeroes);
  EXPECT_FALSE(driver_->last_no_unmap);
  in.offset = 4096;
  in.mode = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
  EXPECT_EQ(Call(FUSE_FALLOCATE, kFuseDiskNode, in).error, 0);
  EXPECT_TRUE(driver_->last_no_unmap);
  EXPECT_EQ(Read(0, 8192).body, std::vector<std::byte>(8192));
  in.mode = 0;
  EXPECT_EQ(Call(FUSE_FALLOCATE, kFuseDiskNode, in).error, -EOPNOTSUPP);
  in.mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  in.length = uint64_t{1} << 40;
  EXPECT_EQ(Call(FUSE_FALLOCATE, kFuseDiskNode, in).error, -EINVAL);
}

TEST_P(FuseServerTest, DriverErrors_AreReportedAndCounted) {
  driver_->fail_with = ENOSPC;
  EXPECT_EQ(Write(0, std::vector<std::byte>(512)).error, -ENOSPC);
  EXPECT_EQ(Read(0, 512).error, -ENOSPC);
  EXPECT_EQ(threads_->counters().errors, 2u);
}

TEST_P(FuseServerTest, ReadOnlyDisk_RefusesWrites) {
  Geometry geometry;
  geometry.size_bytes = kSize;
  geometry.read_only = true;
  StartServing(geometry);
  EXPECT_EQ(Write(0, std::vector<std::byte>(512)).error, -EROFS);
  EXPECT_EQ(Read(0, 512).error, 0);
}

TEST_P(FuseServerTest, SetAttributes_ThatWouldChangeTheDisk_AreRefused) {
  fuse_setattr_in in{};
  in.valid = FATTR_SIZE;
  in.size = kSize;
  EXPECT_EQ(Call(FUSE_SETATTR, kFuseDiskNode, in).error, 0);
  in.size = kSize / 2;
  EXPECT_EQ(Call(FUSE_SETATTR, kFuseDiskNode, in).error, -EPERM);
  in.valid = FATTR_MODE;
  EXPECT_EQ(Call(FUSE_SETATTR, kFuseDiskNode, in).error, -EPERM);
}

TEST_P(FuseServerTest, StatFs_TellsTheDiscardGranularity) {
  EXPECT_EQ(As<fuse_statfs_out>(Call(FUSE_STATFS, FUSE_ROOT_ID, uint32_t{0})).st.bsize, 8192u);
}

TEST_P(FuseServerTest, Directory_ListsTheDisk) {
  fuse_read_in in{};
  in.size = 4096;
  const Reply reply = Call(FUSE_READDIR, FUSE_ROOT_ID, in);
  ASSERT_GE(reply.body.size(), FUSE_NAME_OFFSET + 4);
  EXPECT_EQ(memcmp(reply.body.data() + FUSE_NAME_OFFSET, "disk", 4), 0);
  in.offset = 1;
  EXPECT_TRUE(Call(FUSE_READDIR, FUSE_ROOT_ID, in).body.empty());
}

TEST_P(FuseServerTest, MessagesWithoutAnswer_AndUnknownOnes_DoNotDisturb) {
  Send(FUSE_FORGET, kFuseDiskNode, fuse_forget_in{});
  Send(FUSE_INTERRUPT, 0, fuse_interrupt_in{});
  EXPECT_EQ(Call(FUSE_MKNOD, FUSE_ROOT_ID, uint32_t{0}).error, -ENOSYS);
  EXPECT_EQ(Read(0, 512).error, 0);
}

TEST_P(FuseServerTest, RandomMessages_AreAnsweredOrIgnoredAndNeverHurt) {
  std::mt19937 random(7);
  for (int i = 0; i < 3000; ++i) {
    std::vector<std::byte> packet(sizeof(fuse_in_header) + random() % 120);
    for (std::byte& b : packet) b = static_cast<std::byte>(random());
    fuse_in_header header{};
    memcpy(&header, packet.data(), sizeof(header));
    header.opcode = random() % 53;
    if (random() % 2 == 0) header.nodeid = random() % 3;
    memcpy(packet.data(), &header, sizeof(header));
    // Small fields get past the first checks.
    if (packet.size() > 64 && random() % 2 == 0) {
      std::fill(packet.begin() + sizeof(header) + 8, packet.begin() + 64, std::byte{0});
      packet[sizeof(header) + 17] = static_cast<std::byte>(random() % 16 * 2);
    }
    ASSERT_EQ(send(kernel_.get(), packet.data(), packet.size(), 0),
              static_cast<ssize_t>(packet.size()));
    // Whether that gets an answer or not, a question after it does.
    const uint64_t unique = Send(FUSE_GETATTR, kFuseDiskNode, fuse_getattr_in{});
    Reply reply;
    do {
      reply = Receive();
    } while (reply.unique != unique && !HasFailure());
    ASSERT_EQ(reply.error, 0) << "after message " << i;
  }
  EXPECT_TRUE(threads_->running());
}

TEST_P(FuseServerTest, ResentRequest_IsAnsweredUnderItsMarkedNumber) {
  unique_ = kFuseUniqueResend | 77;
  EXPECT_EQ(Read(0, 512).unique, kFuseUniqueResend | 78);
}

TEST_P(FuseServerTest, EndOfTheConnection_EndsServingOnly) {
  EXPECT_TRUE(threads_->running());
  kernel_.reset();
  // The thread ends by itself; Stop then has nobody to wake.
  while (threads_->running()) std::this_thread::yield();
  threads_->Stop();
}

TEST_P(FuseServerTest, Stop_WhileIdle_EndsTheThread) {
  threads_->Stop();
  EXPECT_FALSE(threads_->running());
}

class DoubleQueue final : public Queue {
 public:
  void Submit(Request& request) override {
    request.Complete(0);
    request.Complete(0);
  }
};

class DoubleDriver final : public Driver {
 public:
  Geometry geometry() const override {
    Geometry geometry;
    geometry.size_bytes = kSize;
    return geometry;
  }
  absl::StatusOr<std::unique_ptr<Queue>> OpenQueue(int, QueueIo&) override {
    return std::make_unique<DoubleQueue>();
  }
};

void ServeOneFlushTwice() {
  InitLog("death-test", "info");  // to standard error, where the test looks
  int fds[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
  fuse_in_header header{};
  header.len = sizeof(header);
  header.opcode = FUSE_FSYNC;
  ASSERT_EQ(send(fds[0], &header, sizeof(header), 0), static_cast<ssize_t>(sizeof(header)));
  DoubleDriver driver;
  FuseQueueServer server(fds[1], 0, driver);
  ASSERT_TRUE(server.Open().ok());
  const std::atomic<bool> stop{false};
  (void)server.Serve(stop);
}

TEST(FuseServer_DriverThatAnswersTwice, EndsTheProcess) {
  EXPECT_DEATH(ServeOneFlushTwice(), "completed twice");
}

TEST(FuseResend_Notification, IsCodeSevenWithoutBody) {
  int fds[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
  const Fd kernel(fds[0]), server(fds[1]);
  ASSERT_TRUE(RequestFuseResend(server.get()).ok());
  fuse_out_header header{};
  ASSERT_EQ(recv(kernel.get(), &header, sizeof(header), 0), static_cast<ssize_t>(sizeof(header)));
  EXPECT_EQ(header.error, 7);
  EXPECT_EQ(header.unique, 0u);
  EXPECT_EQ(header.len, sizeof(header));
}

}  // namespace
}  // namespace diskd::sdk
