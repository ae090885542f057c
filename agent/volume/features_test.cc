// SPDX-License-Identifier: Apache-2.0
#include "agent/volume/features.h"

#include <thread>

#include "agent/volume/test_node.h"
#include "gtest/gtest.h"

namespace diskd::agent {
namespace {

class FeaturesTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(node_.StartAgent().ok()); }

  absl::StatusOr<diskd::v1::CreateSnapshotResponse> Snapshot(const std::string& volume,
                                                             const std::string& name) {
    diskd::v1::CreateSnapshotRequest request;
    request.set_volume(volume);
    request.set_name(name);
    return node_.features().CreateSnapshot(request);
  }
  absl::Status Delete(const std::string& volume, const std::string& name) {
    diskd::v1::DeleteSnapshotRequest request;
    request.set_volume(volume);
    request.set_name(name);
    return node_.features().DeleteSnapshot(request);
  }
  absl::Status RollBack(const std::string& volume, const std::string& snapshot) {
    diskd::v1::RollBackVolumeRequest request;
    request.set_volume(volume);
    request.set_snapshot(snapshot);
    return node_.features().RollBack(request).status();
  }
  std::vector<std::string> List(const std::string& volume) {
    diskd::v1::ListSnapshotsRequest request;
    request.set_volume(volume);
    const auto response = node_.features().ListSnapshots(request);
    EXPECT_TRUE(response.ok()) << response.status();
    std::vector<std::string> names;
    for (const auto& snapshot : response->snapshots()) names.push_back(snapshot.name());
    return names;
  }
  absl::StatusOr<diskd::v1::GetVolumeStatsResponse> Stats(const std::string& volume) {
    diskd::v1::GetVolumeStatsRequest request;
    request.set_volume(volume);
    return node_.features().Stats(request);
  }

  TestNode node_{testing::TempDir()};
};

TEST_F(FeaturesTest, SnapshotAtRest_RunsInAProcessThatEndsAfterwards) {
  const std::string id = node_.MakeVolume("a").id();
  const auto created = Snapshot("a", "one");
  ASSERT_TRUE(created.ok()) << created.status();
  EXPECT_EQ(created->snapshot().volume_id(), id);
  EXPECT_FALSE(created->existed());
  EXPECT_EQ(node_.drivers().count(id), 0);
  EXPECT_EQ(node_.drivers().feature_calls(id, /*serving=*/false), 1);
  EXPECT_TRUE(node_.drivers().feature_may_tell_progress(id))
      << "it may have to wait for another node";
  EXPECT_TRUE(Snapshot("a", "one")->existed());
  ASSERT_TRUE(Snapshot("a", "two").ok());
  ASSERT_TRUE(Snapshot("a", "three").ok());
  EXPECT_EQ(List("a"), (std::vector<std::string>{"one", "two", "three"}));
  EXPECT_EQ(node_.Leftovers(), "");
}

TEST_F(FeaturesTest, SnapshotOfAnAttachedVolume_RunsInTheServingProcess) {
  const auto volume = node_.MakeAttachedVolume("a");
  const pid_t pid = node_.drivers().PidOf(volume.id());
  ASSERT_TRUE(Snapshot("a", "one").ok());
  EXPECT_EQ(List("a"), std::vector<std::string>{"one"});
  EXPECT_EQ(node_.drivers().feature_calls(volume.id(), /*serving=*/true), 2);
  EXPECT_EQ(node_.drivers().feature_calls(volume.id(), /*serving=*/false), 0);
  EXPECT_EQ(node_.drivers().PidOf(volume.id()), pid);
}

TEST_F(FeaturesTest, Delete_IsRepeatable) {
  node_.MakeVolume("a");
  ASSERT_TRUE(Snapshot("a", "one").ok());
  EXPECT_TRUE(Delete("a", "one").ok());
  EXPECT_TRUE(Delete("a", "one").ok());
  EXPECT_TRUE(Delete("nosuch", "one").ok());
  EXPECT_EQ(List("a"), std::vector<std::string>{});
}

TEST_F(FeaturesTest, RollBack_IsOfVolumesAtRest) {
  node_.MakeAttachedVolume("a");
  ASSERT_TRUE(Snapshot("a", "one").ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(RollBack("a", "one")));
  ASSERT_TRUE(node_.attachments().Detach(TestNode::DetachRequest("a")).ok());
  EXPECT_TRUE(RollBack("a", "one").ok());
  EXPECT_TRUE(absl::IsNotFound(RollBack("a", "two")));
}

TEST_F(FeaturesTest, LookingAtAnAttachedVolume_LeavesItsProcessAndItsLockAlone) {
  const auto volume = node_.MakeAttachedVolume("a");
  const auto lock = node_.locks().Acquire("a");  // a detach would find it free
  ASSERT_TRUE(lock.ok());
  diskd::v1::CheckVolumeRequest check;
  check.set_volume("a");
  const auto checked = node_.features().Check(check);
  ASSERT_TRUE(checked.ok()) << checked.status();
  ASSERT_EQ(checked->problems_size(), 1);
  EXPECT_EQ(checked->problems(0), "block 7 is gone");
  diskd::v1::DiffSnapshotsRequest diff;
  diff.set_volume("a");
  diff.set_begin(8192);
  const auto page = node_.features().Diff(diff);
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_EQ(page->extents(0).offset(), 8192u);
  EXPECT_EQ(page->next(), 8193u);
  EXPECT_EQ(node_.drivers().feature_calls(volume.id(), /*serving=*/true), 0);
  EXPECT_EQ(node_.drivers().PidOf(volume.id()), volume.attachment().driver_pid());
  EXPECT_EQ(node_.drivers().count(volume.id()), 1);
  const auto looking = node_.locks().Acquire("a/look");
  EXPECT_TRUE(absl::IsAborted(node_.features().Check(check).status()));
}

TEST_F(FeaturesTest, Checks_AreBoundedAndTheNextOneIsRefusedAtOnce) {
  node_.MakeVolume("a");
  std::vector<LongCalls::Place> places;
  for (int i = 0; i < kMaxLongCalls; ++i) places.push_back(*node_.long_calls().Begin());
  diskd::v1::CheckVolumeRequest check;
  check.set_volume("a");
  const absl::Status refused = node_.features().Check(check).status();
  EXPECT_TRUE(absl::IsResourceExhausted(refused)) << refused;
  EXPECT_NE(refused.message().find("try again"), absl::string_view::npos) << refused;
  EXPECT_TRUE(Snapshot("a", "one").ok());
  places.pop_back();
  EXPECT_TRUE(node_.features().Check(check).ok());
  EXPECT_TRUE(node_.features().Check(check).ok());
}

class CloneTest : public FeaturesTest {
 protected:
  void SetUp() override {
    FeaturesTest::SetUp();
    auto request = TestNode::CreateRequest("a");
    (*request.mutable_parameters())["dir"] = "/srv";
    (*request.mutable_parameters())["place"] = "7";
    source_ = *node_.volumes().Create(request);
    ASSERT_TRUE(Snapshot("a", "one").ok());
  }
  static diskd::v1::CreateVolumeRequest Request(const std::string& snapshot = "one") {
    diskd::v1::CreateVolumeRequest request;
    request.set_name("b");
    request.mutable_source()->set_volume("a");
    request.mutable_source()->set_snapshot(snapshot);
    return request;
  }
  diskd::v1::Volume source_;
};

TEST_F(CloneTest, InheritsWhatVolumesCanShare) {
  const auto clone = node_.volumes().Create(Request());
  ASSERT_TRUE(clone.ok()) << clone.status();
  EXPECT_EQ(clone->driver(), "memory");
  EXPECT_EQ(clone->size_bytes(), source_.size_bytes());
  EXPECT_EQ(clone->parameters().at("dir"), "/srv");
  EXPECT_EQ(clone->parameters().count("place"), 0u);
  EXPECT_EQ(clone->source().volume(), source_.id());
  EXPECT_EQ(node_.drivers().CloneOf(clone->id()), source_.id() + "@one");
}

TEST_F(CloneTest, SameRequestAgain_IsTheSameCloneEvenWithoutItsSource) {
  const std::string id = node_.volumes().Create(Request())->id();
  ASSERT_TRUE(Delete("a", "one").ok());
  EXPECT_EQ(node_.volumes().Create(Request())->id(), id);
  EXPECT_TRUE(absl::IsNotFound(node_.volumes()
                                   .Create([] {
                                     auto request = Request();
                                     request.set_name("c");
                                     return request;
                                   }())
                                   .status()));
}

TEST_F(CloneTest, ImpossibleOnes_AreRefusedAndLeaveNothing) {
  EXPECT_TRUE(absl::IsNotFound(node_.volumes().Create(Request("nosuch")).status()));
  auto request = Request();
  request.set_size_bytes(2 << 20);
  EXPECT_TRUE(absl::IsInvalidArgument(node_.volumes().Create(request).status()));
  request = Request();
  request.set_driver("other");
  EXPECT_TRUE(absl::IsInvalidArgument(node_.volumes().Create(request).status()));
  request = Request();
  request.mutable_source()->set_volume("nosuch");
  EXPECT_TRUE(absl::IsNotFound(node_.volumes().Create(request).status()));
  node_.drivers().FailCalls("clone", absl::UnimplementedError("driver memory has no clones"));
  EXPECT_TRUE(absl::IsUnimplemented(node_.volumes().Create(Request()).status()));
  EXPECT_EQ(*node_.store().CountVolumes(), 1);
}

TEST_F(CloneTest, AgentDiesAtAnyStep_NextOneFinishesOrForgets) {
  for (int step = 0;; ++step) {
    node_.CrashAtEffect(step);
    const bool made = node_.volumes().Create(Request()).ok();
    node_.StopCrashing();
    ASSERT_TRUE(node_.StartAgent().ok());
    const auto clone = node_.volumes().Create(Request());
    ASSERT_TRUE(clone.ok()) << step << ": " << clone.status();
    EXPECT_EQ(node_.drivers().CloneOf(clone->id()), source_.id() + "@one");
    ASSERT_TRUE(node_.volumes().Delete("b").ok());
    if (made) break;
    ASSERT_LT(step, 50);
  }
}

TEST_F(FeaturesTest, DriverWithoutFeatures_SaysSoToTheCaller) {
  node_.MakeAttachedVolume("a");
  node_.drivers().FailCalls("feature",
                            absl::UnimplementedError("driver memory does not have snapshots"));
  const absl::Status status = Snapshot("a", "one").status();
  EXPECT_TRUE(absl::IsUnimplemented(status));
  EXPECT_NE(status.message().find("memory"), absl::string_view::npos);
  const auto stats = Stats("a");  // the counters of every driver
  ASSERT_TRUE(stats.ok()) << stats.status();
  EXPECT_EQ(stats->statistics_size(), 0);
}

TEST_F(FeaturesTest, Stats_AreThoseOfTheServingProcess) {
  EXPECT_TRUE(absl::IsNotFound(Stats("a").status()));
  node_.MakeVolume("a");
  EXPECT_TRUE(absl::IsFailedPrecondition(Stats("a").status()));
  ASSERT_TRUE(node_.attachments().Attach(TestNode::AttachRequest("a")).ok());
  const auto stats = Stats("a");
  ASSERT_TRUE(stats.ok()) << stats.status();
  ASSERT_EQ(stats->statistics_size(), 1);
  EXPECT_EQ(stats->statistics(0).name(), "dirty");
  EXPECT_EQ(stats->statistics(0).value(), 42);
}

TEST_F(FeaturesTest, ImpossibleRequests_AreRefused) {
  node_.MakeVolume("a");
  EXPECT_TRUE(absl::IsInvalidArgument(Snapshot("a", "").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Snapshot("a", "a/b").status()));
  EXPECT_TRUE(absl::IsNotFound(Snapshot("nosuch", "one").status()));
  const auto lock = node_.locks().Acquire("a");
  ASSERT_TRUE(lock.ok());
  EXPECT_TRUE(absl::IsAborted(Snapshot("a", "one").status()));
}

TEST_F(FeaturesTest, DriverDiesMeanwhile_IsUnavailableAndReplaced) {
  const auto volume = node_.MakeAttachedVolume("a");
  node_.drivers().Hang(volume.id());
  absl::Status status;
  std::thread caller([&] { status = Snapshot("a", "one").status(); });
  // The hung process is found by its pings and replaced, which ends the call.
  caller.join();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  node_.Await("a", diskd::v1::ATTACHMENT_STATE_ATTACHED);
  EXPECT_NE(node_.drivers().PidOf(volume.id()), volume.attachment().driver_pid());
}

}  // namespace
}  // namespace diskd::agent
