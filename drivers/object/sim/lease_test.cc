// SPDX-License-Identifier: Apache-2.0
//
// What the owners of volumes with fencing=lease are told, and when, on a store that honours no
// conditions; what may happen otherwise is the simulation's.
#include <functional>
#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "drivers/object/sim/node.h"
#include "drivers/object/sim/wait.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace diskd::object {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kBlocks = 64;
constexpr uint64_t kLogBlocks = 2048;

Uuid Id(uint8_t number) {
  Uuid id;
  id.bytes[0] = number;
  return id;
}

Options Leased() {
  Options options;
  options.fencing = Fencing::kLease;
  options.lease = {60'000, 30'000};
  return options;
}

class LeaseTest : public testing::Test {
 protected:
  LeaseTest() {
    store_.latency = absl::Milliseconds(5);
    store_.ignores_conditions = true;
    Operator process(&scheduler_, &store_, Leased());
    EXPECT_TRUE(Wait([&](auto done) { process.volumes().Create(Id(1), kBlocks, done); }).ok());
  }
  ~LeaseTest() override { EXPECT_EQ(store_.ignored_conditions, 0u); }

  absl::Status Wait(const std::function<void(std::function<void(absl::Status)>)>& start) {
    return WaitOn(scheduler_, start);
  }
  std::unique_ptr<Node> NewNode(std::shared_ptr<SimDisk> disk = nullptr,
                                const Options& options = Leased()) {
    if (disk == nullptr) disk = std::make_shared<SimDisk>(&scheduler_, kLogBlocks);
    return std::make_unique<Node>(&scheduler_, &store_, std::move(disk), nullptr, Id(1), options);
  }
  absl::Status Open(Node& node) {
    const absl::Duration began = scheduler_.Now();
    const absl::Status status = Wait([&](auto done) { node.engine().Open(done); });
    took_ = scheduler_.Now() - began;
    return status;
  }
  absl::Status Write(Node& node, Lba lba, char what) {
    AlignedBuffer buffer(1);
    memset(buffer.block(0), what, buffer.bytes());
    return Wait([&](auto done) {
      node.engine().Submit({RequestKind::kWrite, false, lba, 1, buffer.block(0), done});
    });
  }
  char Read(Node& node, Lba lba) {
    AlignedBuffer buffer(1);
    const absl::Status status = Wait([&](auto done) {
      node.engine().Submit({RequestKind::kRead, false, lba, 1, buffer.block(0), done});
    });
    EXPECT_TRUE(status.ok()) << status;
    return static_cast<char>(*buffer.block(0));
  }
  absl::Status Close(Node& node) {
    return Wait([&](auto done) { node.engine().Close(done); });
  }
  void Pass(absl::Duration time) {
    bool passed = false;
    scheduler_.After(time, [&] { passed = true; });
    while (!passed) scheduler_.RunOne();
  }

  SimScheduler scheduler_{1};
  SimStore store_{&scheduler_};
  absl::Duration took_;
};

TEST_F(LeaseTest, Open_OfANewVolume_WaitsUntilItsClaimIsSettled) {
  const auto node = NewNode();
  ASSERT_TRUE(Open(*node).ok());
  EXPECT_GE(took_, absl::Seconds(40));
  EXPECT_LE(took_, absl::Seconds(45));
  EXPECT_TRUE(Write(*node, 3, 'a').ok());
  EXPECT_EQ(Read(*node, 3), 'a');
}

TEST_F(LeaseTest, Open_AfterAnOrderlyClose_DoesNotWaitForTheLease) {
  auto node = NewNode();
  ASSERT_TRUE(Open(*node).ok());
  ASSERT_TRUE(Write(*node, 3, 'a').ok());
  ASSERT_TRUE(Close(*node).ok());
  node = NewNode();
  ASSERT_TRUE(Open(*node).ok());
  EXPECT_LE(took_, absl::Seconds(45));
  EXPECT_EQ(Read(*node, 3), 'a');
}

TEST_F(LeaseTest, Open_WithTheLogOfADeadOwner_DoesNotWaitForItsLease) {
  auto node = NewNode();
  ASSERT_TRUE(Open(*node).ok());
  ASSERT_TRUE(Write(*node, 3, 'a').ok());
  const auto disk = node->disk();
  node.reset();
  node = NewNode(disk);
  ASSERT_TRUE(Open(*node).ok());
  EXPECT_LE(took_, absl::Seconds(45));
  EXPECT_EQ(Read(*node, 3), 'a');
}

TEST_F(LeaseTest, Open_AfterADeadOwnerElsewhere_WaitsForSilenceTwice) {
  auto node = NewNode();
  ASSERT_TRUE(Open(*node).ok());
  node = nullptr;
  node = NewNode();
  ASSERT_TRUE(Open(*node).ok());
  EXPECT_GE(took_, 2 * absl::Seconds(90));
  EXPECT_LE(took_, 2 * absl::Seconds(100));
}

TEST_F(LeaseTest, Open_WhileTheOwnerGoesOn_IsRefusedAndDisturbsNobody) {
  const auto owner = NewNode();
  ASSERT_TRUE(Open(*owner).ok());
  const auto other = NewNode();
  const absl::Status refused = Open(*other);
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("detach it there"));
  Pass(absl::Minutes(10));
  EXPECT_EQ(owner->engine().state(), EngineState::kServing);
  EXPECT_TRUE(Write(*owner, 1, 'b').ok());
}

TEST_F(LeaseTest, Owner_CutOffFromTheStore_StopsWhenItsLeaseEnds) {
  const auto node = NewNode();
  ASSERT_TRUE(Open(*node).ok());
  node->process()->cut_off = true;
  Pass(absl::Seconds(35));
  EXPECT_TRUE(Write(*node, 3, 'a').ok());
  Pass(absl::Seconds(26));
  EXPECT_EQ(node->engine().state(), EngineState::kFenced);
  const absl::Status late = Write(*node, 3, 'b');
  EXPECT_TRUE(absl::IsFailedPrecondition(late)) << late;
  EXPECT_THAT(std::string(late.message()), HasSubstr("lease"));
}

TEST_F(LeaseTest, Owner_StoppedForALongTime_AnswersNothingAfterwards) {
  const auto owner = NewNode();
  ASSERT_TRUE(Open(*owner).ok());
  absl::Status answer = absl::UnknownError("none");
  AlignedBuffer buffer(1);
  owner->engine().Submit({RequestKind::kWrite, false, 2, 1, buffer.block(0),
                          [&](absl::Status status) { answer = std::move(status); }});
  owner->process()->paused = true;
  const auto next = NewNode();
  ASSERT_TRUE(Open(*next).ok());
  Resume(&scheduler_, owner->process());
  Pass(absl::Seconds(1));
  EXPECT_TRUE(absl::IsFailedPrecondition(answer)) << answer;
  EXPECT_EQ(owner->engine().state(), EngineState::kFenced);
  EXPECT_EQ(Read(*next, 2), '\0');
}

TEST_F(LeaseTest, Open_WithOtherTimesThanTheVolumeHas_IsRefused) {
  Options options = Leased();
  options.lease.late_ms = 1000;
  const auto node = NewNode(nullptr, options);
  const absl::Status refused = Open(*node);
  EXPECT_TRUE(absl::IsInvalidArgument(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("late=30000ms"));
}

TEST_F(LeaseTest, WhatNeedsAForeignHead_IsRefusedWithTheReason) {
  const auto owner = NewNode();
  ASSERT_TRUE(Open(*owner).ok());
  absl::StatusOr<uint64_t> id = absl::UnknownError("none");
  const absl::Status made = Wait([&](auto done) {
    owner->engine().CreateSnapshot("s", [&id, done](absl::StatusOr<uint64_t> result) {
      id = result;
      done(result.status());
    });
  });
  ASSERT_TRUE(made.ok()) << made;
  Operator process(&scheduler_, &store_, Leased());
  const absl::Status cloned =
      Wait([&](auto done) { process.volumes().Clone(Id(1), *id, Id(2), done); });
  EXPECT_TRUE(absl::IsUnimplemented(cloned)) << cloned;
  const absl::Status deleted =
      Wait([&](auto done) { process.volumes().DeleteSnapshot(Id(1), *id, done); });
  EXPECT_TRUE(absl::IsUnimplemented(deleted)) << deleted;
  EXPECT_THAT(std::string(deleted.message()), HasSubstr("fencing=lease"));
}

// An attempt is sent long after it was asked for, when others are before it.
TEST_F(LeaseTest, Head_AfterOneThatWaitedToBeSent_IsNotReplacedByIt) {
  auto node = NewNode();
  ASSERT_TRUE(Open(*node).ok());
  const absl::Duration late = absl::Seconds(29);  // of 30
  bool delayed = false;
  store_.put_fault = [&](const std::string& name) -> std::optional<SimStore::PutFault> {
    if (delayed || !absl::EndsWith(name, "/head")) return std::nullopt;
    delayed = true;
    return SimStore::PutFault{.queued = absl::Seconds(45), .late = late};
  };
  for (const char* name : {"a", "b"}) {
    ASSERT_TRUE(Wait([&](auto done) {
                  node->engine().CreateSnapshot(
                      name, [done](const absl::StatusOr<uint64_t>& id) { done(id.status()); });
                }).ok());
  }
  ASSERT_TRUE(delayed);
  Pass(late);
  Operator process(&scheduler_, &store_, Leased());
  size_t snapshots = 0;
  ASSERT_TRUE(Wait([&](auto done) {
                process.volumes().Load(Id(1), [&snapshots, done](const absl::StatusOr<Head>& head) {
                  if (head.ok()) snapshots = head->snapshots.size();
                  done(head.status());
                });
              }).ok());
  EXPECT_EQ(snapshots, 2);
}

TEST_F(LeaseTest, Delete_OfAnIdleVolume_LeavesNothing) {
  auto node = NewNode();
  ASSERT_TRUE(Open(*node).ok());
  ASSERT_TRUE(Write(*node, 3, 'a').ok());
  ASSERT_TRUE(Close(*node).ok());
  node = nullptr;
  Operator process(&scheduler_, &store_, Leased());
  const absl::Status deleted = Wait([&](auto done) { process.volumes().Delete(Id(1), {}, done); });
  EXPECT_TRUE(deleted.ok()) << deleted;
  EXPECT_EQ(store_.FindPrefix(VolumePrefix(Id(1))), "");
}

}  // namespace
}  // namespace diskd::object
