// SPDX-License-Identifier: Apache-2.0
#include "agent/volume/resize.h"

#include <string>
#include <thread>

#include "absl/time/clock.h"
#include "agent/volume/test_node.h"
#include "gtest/gtest.h"

namespace diskd::agent {
namespace {

class ResizeTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(node_.StartAgent().ok()); }

  absl::Status Resize(uint64_t size_bytes, const std::string& volume = "a") {
    diskd::v1::ResizeVolumeRequest request;
    request.set_volume(volume);
    request.set_size_bytes(size_bytes);
    return node_.features().Resize(request).status();
  }
  absl::Status Snapshot(const std::string& name) {
    diskd::v1::CreateSnapshotRequest request;
    request.set_volume("a");
    request.set_name(name);
    return node_.features().CreateSnapshot(request).status();
  }
  absl::Status RollBack(const std::string& snapshot) {
    diskd::v1::RollBackVolumeRequest request;
    request.set_volume("a");
    request.set_snapshot(snapshot);
    return node_.features().RollBack(request).status();
  }
  absl::Status Attach() {
    return node_.attachments().Attach(TestNode::AttachRequest("a")).status();
  }
  // Its creation is interrupted, and it comes before the other one where volumes are listed.
  std::string LeaveHalfMadeBefore(const std::string& other) {
    const auto fail = [this](const absl::Status& status) {
      for (const char* call : {"provision", "deprovision"}) node_.drivers().FailCalls(call, status);
    };
    for (;;) {
      fail(absl::UnavailableError("the store is away"));
      EXPECT_FALSE(node_.volumes().Create(TestNode::CreateRequest("half")).ok());
      fail(absl::OkStatus());
      const std::string id = node_.volumes().Get("half")->id();
      if (id < other) return id;
      EXPECT_TRUE(node_.volumes().Delete("half").ok());
    }
  }
  // Leaves it to be finished.
  void BeginResize(uint64_t size_bytes) {
    node_.drivers().FailCalls("feature", absl::UnavailableError("the store is away"));
    EXPECT_TRUE(absl::IsUnavailable(Resize(size_bytes)));
    node_.drivers().FailCalls("feature", absl::OkStatus());
  }
  // The driver does it, and the agent dies before it notes that.
  std::string DieBehindTheDriver(uint64_t size_bytes) {
    const std::string id = node_.MakeVolume("a").id();
    for (int effect = 0; node_.drivers().BackingBytes(id) != size_bytes; ++effect) {
      node_.CrashAtEffect(effect);
      EXPECT_FALSE(Resize(size_bytes).ok());
      node_.StopCrashing();
    }
    EXPECT_EQ(node_.volumes().Get("a")->size_bytes(), 1u << 20);
    return id;
  }

  TestNode node_{testing::TempDir()};
};

TEST_F(ResizeTest, WhileAttached_GrowsTheDiskUnderANewProcess) {
  const auto volume = node_.MakeAttachedVolume("a");
  const pid_t before = node_.drivers().PidOf(volume.id());
  const absl::Status grown = Resize(2 << 20);
  ASSERT_TRUE(grown.ok()) << grown;
  EXPECT_EQ(node_.drivers().feature_calls(volume.id(), /*serving=*/true), 1);
  EXPECT_EQ(node_.devices().SizeOf(volume.id()), 2u << 20);
  EXPECT_NE(node_.drivers().PidOf(volume.id()), before);
  EXPECT_TRUE(node_.drivers().Serving(volume.id()));
  // Again: nothing is replaced any more.
  const pid_t after = node_.drivers().PidOf(volume.id());
  ASSERT_TRUE(Resize(2 << 20).ok());
  EXPECT_EQ(node_.drivers().PidOf(volume.id()), after);
  EXPECT_TRUE(absl::IsFailedPrecondition(Resize(1 << 20)));
}

TEST_F(ResizeTest, HandOverFails_IsSettledByTheSameRequest) {
  const auto volume = node_.MakeAttachedVolume("a");
  node_.drivers().FailCalls("standby", absl::UnavailableError("not now"));
  EXPECT_FALSE(Resize(2 << 20).ok());
  EXPECT_TRUE(node_.drivers().Serving(volume.id()));
  EXPECT_EQ(node_.devices().SizeOf(volume.id()), 0u);
  node_.drivers().FailCalls("standby", absl::OkStatus());
  ASSERT_TRUE(Resize(2 << 20).ok());
  EXPECT_EQ(node_.devices().SizeOf(volume.id()), 2u << 20);
}

TEST_F(ResizeTest, AtRest_IsRemembered) {
  const auto volume = node_.MakeVolume("a");
  const absl::Status resized = Resize(4 << 20);
  ASSERT_TRUE(resized.ok()) << resized;
  EXPECT_EQ(node_.volumes().Get("a")->size_bytes(), 4u << 20);
  EXPECT_EQ(node_.drivers().Resized(volume.id()), 4u << 20);
  ASSERT_TRUE(node_.StartAgent().ok());
  EXPECT_EQ(node_.volumes().Get("a")->size_bytes(), 4u << 20);
  EXPECT_TRUE(absl::IsInvalidArgument(Resize(1000)));
  // A rollback brings the snapshot's size back.
  ASSERT_TRUE(Snapshot("one").ok());
  ASSERT_TRUE(RollBack("one").ok());
  EXPECT_EQ(node_.volumes().Get("a")->size_bytes(), 1u << 20);
}

TEST_F(ResizeTest, AgentDiesBehindTheDriver_NextAttachFinishesIt) {
  const std::string id = DieBehindTheDriver(4 << 20);
  ASSERT_TRUE(node_.StartAgent(/*finish=*/false).ok());
  EXPECT_EQ(node_.volumes().Get("a")->resize_bytes(), 4u << 20);
  const absl::Status attached = Attach();
  ASSERT_TRUE(attached.ok()) << attached;
  EXPECT_EQ(node_.volumes().Get("a")->size_bytes(), 4u << 20);
  EXPECT_EQ(node_.volumes().Get("a")->resize_bytes(), 0u);
  EXPECT_EQ(node_.drivers().count(id), 1);
}

TEST_F(ResizeTest, InterruptedOneThatIsRefusedNow_IsUndoneByAnother) {
  const std::string id = DieBehindTheDriver(4 << 20);
  node_.drivers().FailCalls("feature", absl::ResourceExhaustedError("no space for it"));
  ASSERT_TRUE(node_.StartAgent().ok());
  const absl::Status attached = Attach();
  EXPECT_TRUE(absl::IsResourceExhausted(attached)) << attached;
  EXPECT_NE(attached.message().find("diskctl volume resize a 1048576B"), absl::string_view::npos)
      << attached;
  EXPECT_EQ(node_.Leftovers(), "");
  node_.drivers().FailCalls("feature", absl::OkStatus());
  ASSERT_TRUE(Resize(1 << 20).ok());
  EXPECT_TRUE(Attach().ok());
  EXPECT_EQ(node_.drivers().BackingBytes(id), 1u << 20);
}

TEST_F(ResizeTest, Refused_IsForgotten) {
  node_.MakeVolume("a");
  node_.drivers().FailCalls("feature", absl::ResourceExhaustedError("no space for it"));
  EXPECT_TRUE(absl::IsResourceExhausted(Resize(4 << 20)));
  EXPECT_EQ(node_.volumes().Get("a")->resize_bytes(), 0u);
  EXPECT_TRUE(Attach().ok());
}

TEST_F(ResizeTest, WithoutAnAnswer_IsFinishedByTheNextAttach) {
  node_.MakeVolume("a");
  node_.drivers().FailCalls("feature", absl::UnavailableError("the store is away"));
  EXPECT_TRUE(absl::IsUnavailable(Resize(4 << 20)));
  EXPECT_TRUE(absl::IsUnavailable(Attach()));
  node_.drivers().FailCalls("feature", absl::OkStatus());
  ASSERT_TRUE(Attach().ok());
  EXPECT_EQ(node_.volumes().Get("a")->size_bytes(), 4u << 20);
}

TEST_F(ResizeTest, InterruptedOneThatWasGivenUp_IsNotFinishedByTheNextAgent) {
  const std::string id = node_.MakeVolume("a").id();
  ASSERT_TRUE(Resize(4 << 20).ok());
  BeginResize(2 << 20);
  const std::string half = LeaveHalfMadeBefore(id);
  ASSERT_TRUE(node_.StartAgent(/*finish=*/false).ok());
  node_.drivers().HoldCalls("provision", true);
  std::thread finishing([this] { node_.volumes().FinishInterrupted(); });
  while (!node_.drivers().Running(half)) absl::SleepFor(absl::Milliseconds(1));
  // It has listed what there is to finish.
  EXPECT_TRUE(Resize(4 << 20).ok());
  node_.drivers().HoldCalls("provision", false);
  finishing.join();
  EXPECT_EQ(node_.drivers().BackingBytes(id), 4u << 20);
  EXPECT_EQ(node_.volumes().Get("a")->size_bytes(), 4u << 20);
}

TEST_F(ResizeTest, RolledBack_GivesUpAnInterruptedOne) {
  const std::string id = node_.MakeVolume("a").id();
  ASSERT_TRUE(Snapshot("one").ok());
  BeginResize(4 << 20);
  ASSERT_TRUE(RollBack("one").ok());
  ASSERT_TRUE(node_.StartAgent().ok());
  ASSERT_TRUE(Attach().ok());
  EXPECT_EQ(node_.drivers().BackingBytes(id), 1u << 20);
  EXPECT_EQ(node_.volumes().Get("a")->size_bytes(), 1u << 20);
}

// Nobody noted that it was begun.
TEST_F(ResizeTest, BackingOfAnotherSize_IsRefusedWithTheCommandThatSettlesIt) {
  node_.MakeVolume("a");
  ASSERT_TRUE(Snapshot("one").ok());
  ASSERT_TRUE(Resize(4 << 20).ok());
  const std::string id = node_.volumes().Get("a")->id();
  for (int effect = 0; node_.drivers().BackingBytes(id) != 1 << 20; ++effect) {
    node_.CrashAtEffect(effect);
    EXPECT_FALSE(RollBack("one").ok());
    node_.StopCrashing();
  }
  ASSERT_TRUE(node_.StartAgent().ok());
  const absl::Status refused = Attach();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_NE(refused.message().find("diskctl volume resize " + id + " 1048576B"),
            absl::string_view::npos)
      << refused;
  ASSERT_TRUE(Resize(1 << 20).ok());
  EXPECT_TRUE(Attach().ok());
}

}  // namespace
}  // namespace diskd::agent
