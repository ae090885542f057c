// SPDX-License-Identifier: Apache-2.0
//
// Two services of one process stand for two driver processes; a socket pair is the kernel's FUSE.
#include "drivers/sdk/control/hand_over.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <cstring>
#include <thread>
#include <utility>

#include "drivers/sdk/control/driver_service.h"
#include "drivers/sdk/device/fuse_abi.h"
#include "gtest/gtest.h"

namespace diskd::sdk {
namespace {

using driver::v1::Response;
using Control = driver::v1::Request;

constexpr uint64_t kSize = 1 << 20;

// What the two drivers of a test share: a lock that only one may hold.
struct World {
  Driver* holder = nullptr;
  int answered[2] = {0, 0};  // by the first, by the second
  int opened = 0;
  bool refuse_take_over = false;
  bool standby = false;
  bool trouble = false;
};
World* world = nullptr;

class LockedDriver final : public SyncDriver {
 public:
  explicit LockedDriver(bool standby) : index_(world->opened++) {
    world->standby = standby;
    if (!standby) {
      EXPECT_TRUE(TakeOver().ok());
    }
  }
  ~LockedDriver() override {
    if (world->holder == this) world->holder = nullptr;
  }
  Geometry geometry() const override {
    Geometry geometry;
    geometry.size_bytes = kSize;
    return geometry;
  }
  int Read(uint64_t, absl::Span<std::byte>) override { return 0; }
  int Write(uint64_t, absl::Span<const std::byte>, bool) override { return 0; }
  int Flush() override {
    EXPECT_EQ(world->holder, this);
    ++world->answered[index_];
    return 0;
  }
  std::optional<Trouble> trouble() override {
    if (!world->trouble) return std::nullopt;
    return Trouble{absl::Now(), "its store is away"};
  }
  absl::Status LetGo() override {
    EXPECT_EQ(world->holder, this);
    world->holder = nullptr;
    return absl::OkStatus();
  }
  absl::Status TakeOver() override {
    if (index_ == 1 && world->refuse_take_over) return absl::InternalError("no memory");
    EXPECT_EQ(world->holder, nullptr);
    world->holder = this;
    return absl::OkStatus();
  }

 private:
  const int index_;
};

const DriverDefinition& TestDefinition() {
  static const DriverDefinition definition{
      .name = "locked",
      .description = "for this test",
      .open = [](const VolumeConfig& config) -> absl::StatusOr<std::unique_ptr<Driver>> {
        return std::make_unique<LockedDriver>(config.standby);
      },
  };
  return definition;
}

std::pair<Fd, Fd> SocketPair() {
  int fds[2];
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
  return {Fd(fds[0]), Fd(fds[1])};
}

Fd Copy(const Fd& fd) { return Fd(fcntl(fd.get(), F_DUPFD_CLOEXEC, 0)); }

Response Call(DriverService& service, const Control& request, std::vector<Fd> fds = {}) {
  ControlReply reply;
  service.Handle(request, std::move(fds), reply);
  return reply.response;
}

template <typename... T>
std::vector<Fd> List(T... fds) {
  std::vector<Fd> list;
  (list.push_back(std::move(fds)), ...);
  return list;
}

class HandOverTest : public testing::Test {
 protected:
  void SetUp() override {
    world = &world_;
    std::tie(kernel_, server_) = SocketPair();
    Open(first_, false);
    Control request;
    request.mutable_serve()->set_transport(driver::v1::TRANSPORT_FUSE);
    ASSERT_EQ(Call(first_, request, List(Copy(server_))).code(), 0);
    Flush();
    ASSERT_EQ(world_.answered[0], 1);
  }
  void Open(DriverService& service, bool standby) {
    Control request;
    auto* config = request.mutable_open()->mutable_config();
    config->set_volume_id("v1");
    config->set_size_bytes(kSize);
    config->set_state_dir("/nowhere");
    request.mutable_open()->set_standby(standby);
    ASSERT_EQ(Call(service, request).code(), 0);
  }
  void PrepareSecond() {
    Open(second_, true);
    EXPECT_TRUE(world_.standby);
    Control request;
    request.mutable_standby()->set_transport(driver::v1::TRANSPORT_FUSE);
    ASSERT_EQ(Call(second_, request, List(Copy(server_))).code(), 0);
    EXPECT_FALSE(Serving(second_));
  }
  static bool Serving(DriverService& service) {
    Control request;
    request.mutable_status();
    return Call(service, request).status().serving() != driver::v1::TRANSPORT_UNSPECIFIED;
  }
  // One request of the kernel, answered by whoever serves. `resends`: notifications before that.
  void Flush(int* resends = nullptr) {
    fuse_in_header header{};
    header.len = sizeof(header);
    header.opcode = FUSE_FSYNC;
    header.unique = ++unique_;
    ASSERT_EQ(send(kernel_.get(), &header, sizeof(header), 0),
              static_cast<ssize_t>(sizeof(header)));
    for (;;) {
      fuse_out_header answer{};
      ASSERT_EQ(recv(kernel_.get(), &answer, sizeof(answer), 0),
                static_cast<ssize_t>(sizeof(answer)));
      if (answer.unique == unique_) return;
      ASSERT_EQ(answer.error, kFuseNotifyResend);
      if (resends != nullptr) ++*resends;
    }
  }
  static Control TakeOverRequest() {
    Control request;
    request.mutable_take_over();
    return request;
  }
  static Control HandOverRequest() {
    Control request;
    request.mutable_hand_over();
    return request;
  }

  World world_;
  Fd kernel_, server_;
  uint64_t unique_ = 0;
  DriverService first_{TestDefinition()};
  DriverService second_{TestDefinition()};
};

TEST_F(HandOverTest, Success_MovesTheDiskAndTheLock) {
  PrepareSecond();
  Flush();
  EXPECT_EQ(world_.answered[0], 2);  // the second only stands by
  auto [for_first, for_second] = SocketPair();
  Response taken;
  std::thread taking([&, socket = std::move(for_second)]() mutable {
    taken = Call(second_, TakeOverRequest(), List(std::move(socket)));
  });
  const Response handed = Call(first_, HandOverRequest(), List(std::move(for_first)));
  taking.join();
  EXPECT_EQ(handed.code(), 0) << handed.message();
  EXPECT_EQ(taken.code(), 0) << taken.message();
  EXPECT_FALSE(Serving(first_));
  EXPECT_TRUE(Serving(second_));
  int resends = 0;
  Flush(&resends);
  EXPECT_EQ(world_.answered[1], 1);
  EXPECT_EQ(resends, 0);
}

TEST_F(HandOverTest, SuccessorThatCantTakeOver_LeavesTheFirstServing) {
  PrepareSecond();
  world_.refuse_take_over = true;
  auto [for_first, for_second] = SocketPair();
  Response taken;
  std::thread taking([&, socket = std::move(for_second)]() mutable {
    taken = Call(second_, TakeOverRequest(), List(std::move(socket)));
  });
  const Response handed = Call(first_, HandOverRequest(), List(std::move(for_first)));
  taking.join();
  EXPECT_EQ(handed.code(), static_cast<int>(absl::StatusCode::kUnavailable));
  EXPECT_EQ(handed.message(), "no memory");
  EXPECT_EQ(taken.message(), "no memory");
  EXPECT_TRUE(Serving(first_));
  EXPECT_FALSE(Serving(second_));
  int resends = 0;
  Flush(&resends);
  EXPECT_EQ(world_.answered[0], 2);
  EXPECT_EQ(resends, 0);
}

TEST_F(HandOverTest, SuccessorThatDies_LeavesTheFirstServingAllIsSentAgain) {
  PrepareSecond();
  auto [for_first, for_second] = SocketPair();
  std::thread dying([socket = std::move(for_second)]() mutable {
    EXPECT_TRUE(AwaitOffer(socket.get()).ok());
    socket.reset();
  });
  const Response handed = Call(first_, HandOverRequest(), List(std::move(for_first)));
  dying.join();
  EXPECT_EQ(handed.code(), static_cast<int>(absl::StatusCode::kUnavailable));
  EXPECT_TRUE(Serving(first_));
  int resends = 0;
  Flush(&resends);
  EXPECT_EQ(resends, 1);
}

TEST_F(HandOverTest, InTrouble_IsRefusedWithoutStoppingAnything) {
  PrepareSecond();
  world_.trouble = true;
  const Driver* const holder = world_.holder;
  auto [for_first, for_second] = SocketPair();
  const Response handed = Call(first_, HandOverRequest(), List(std::move(for_first)));
  EXPECT_EQ(handed.code(), static_cast<int>(absl::StatusCode::kUnavailable));
  EXPECT_EQ(handed.message(), "not while I/O may wait: its store is away");
  EXPECT_EQ(world_.holder, holder);
  EXPECT_TRUE(Serving(first_));
  Flush();
  EXPECT_EQ(world_.answered[0], 2);
}

TEST_F(HandOverTest, FirstThatDies_SuccessorDoesNotServe) {
  PrepareSecond();
  auto [for_first, for_second] = SocketPair();
  for_first.reset();
  const Response taken = Call(second_, TakeOverRequest(), List(std::move(for_second)));
  EXPECT_EQ(taken.code(), static_cast<int>(absl::StatusCode::kUnavailable));
  EXPECT_FALSE(Serving(second_));
  EXPECT_TRUE(Serving(first_));
}

TEST_F(HandOverTest, WrongOrder_IsRefused) {
  Control standby;
  standby.mutable_standby()->set_transport(driver::v1::TRANSPORT_FUSE);
  auto [one, other] = SocketPair();
  EXPECT_NE(Call(second_, TakeOverRequest(), List(std::move(one))).code(), 0);
  EXPECT_NE(Call(second_, standby, List(Copy(server_))).code(), 0);
  EXPECT_NE(Call(second_, HandOverRequest(), List(std::move(other))).code(), 0);
  EXPECT_NE(Call(first_, standby, List(Copy(server_))).code(), 0);
  Open(second_, true);
  Control serve;
  serve.mutable_serve()->set_transport(driver::v1::TRANSPORT_FUSE);
  EXPECT_NE(Call(second_, serve, List(Copy(server_))).code(), 0);
  EXPECT_TRUE(Serving(first_));
}

}  // namespace
}  // namespace diskd::sdk
