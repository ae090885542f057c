// SPDX-License-Identifier: Apache-2.0
#include <thread>
#include <vector>

#include "agent/volume/test_node.h"
#include "gtest/gtest.h"

namespace diskd::agent {
namespace {

class VolumeCopyTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(node_.StartAgent().ok());
    auto request = TestNode::CreateRequest("a");
    (*request.mutable_parameters())["dir"] = "/a";
    (*request.mutable_secrets())["token"] = "s";
    source_ = *node_.volumes().Create(request);
  }

  absl::StatusOr<diskd::v1::Volume> Copy(const std::string& name) {
    diskd::v1::CreateVolumeRequest request;
    request.set_name(name);
    request.mutable_source()->set_volume("a");
    request.mutable_source()->set_full_copy(true);
    return node_.volumes().Create(request);
  }
  bool Creating(const std::string& name) {
    const auto found = node_.volumes().Get(name);
    return found.ok() && found->state() == diskd::v1::VOLUME_STATE_CREATING;
  }
  void AwaitCreating(const std::string& name, int launches) {
    while (!Creating(name) || node_.drivers().launches() <= launches) {
      absl::SleepFor(absl::Milliseconds(1));
    }
  }

  TestNode node_{testing::TempDir()};
  diskd::v1::Volume source_;
};

TEST_F(VolumeCopyTest, TakesASnapshotForItselfAndNothingElseOfTheSource) {
  const auto copy = Copy("b");
  ASSERT_TRUE(copy.ok()) << copy.status();
  EXPECT_EQ(copy->state(), diskd::v1::VOLUME_STATE_READY);
  EXPECT_EQ(copy->size_bytes(), source_.size_bytes());
  EXPECT_TRUE(copy->parameters().empty());
  EXPECT_EQ(node_.drivers().SecretOf(copy->id()), "");
  EXPECT_EQ(node_.drivers().CloneOf(copy->id()), source_.id() + "@diskd-copy-" + copy->id());
  EXPECT_TRUE(node_.drivers().Snapshots(source_.id()).empty());
  const auto again = Copy("b");
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->id(), copy->id());
  EXPECT_EQ(node_.Leftovers(), "");
}

TEST_F(VolumeCopyTest, ThatCantBeCompleted_IsUndone) {
  node_.drivers().FailCalls("provision", absl::FailedPreconditionError("give the copy a key"));
  EXPECT_TRUE(absl::IsFailedPrecondition(Copy("b").status()));
  EXPECT_TRUE(absl::IsNotFound(node_.volumes().Get("b").status()));
  EXPECT_TRUE(node_.drivers().Snapshots(source_.id()).empty());
  EXPECT_EQ(node_.Leftovers(), "");
}

TEST_F(VolumeCopyTest, OneTooMany_IsRefusedAndLeavesNothing) {
  std::vector<LongCalls::Place> places;
  for (int i = 0; i < kMaxLongCalls; ++i) places.push_back(*node_.long_calls().Begin());
  const absl::Status refused = Copy("b").status();
  EXPECT_TRUE(absl::IsResourceExhausted(refused)) << refused;
  EXPECT_TRUE(absl::IsNotFound(node_.volumes().Get("b").status()));
  EXPECT_TRUE(node_.drivers().Snapshots(source_.id()).empty());
  places.pop_back();
  EXPECT_TRUE(Copy("b").ok());
  EXPECT_TRUE(Copy("c").ok());
}

TEST_F(VolumeCopyTest, AgentEnds_TheNextOneGoesOn) {
  const int launches = node_.drivers().launches();
  node_.drivers().FailCalls("provision", absl::UnavailableError("the store is away"));
  absl::Status status;
  std::thread copying([&] { status = Copy("b").status(); });
  AwaitCreating("b", launches + 1);
  node_.volumes().StopCopies();
  copying.join();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_TRUE(Creating("b"));
  node_.drivers().FailCalls("provision", absl::OkStatus());
  ASSERT_TRUE(node_.StartAgent().ok());
  EXPECT_EQ(node_.volumes().Get("b")->state(), diskd::v1::VOLUME_STATE_READY);
  EXPECT_TRUE(node_.drivers().Snapshots(source_.id()).empty());
}

TEST_F(VolumeCopyTest, Deleted_IsBrokenOffAndUndone) {
  const int launches = node_.drivers().launches();
  node_.drivers().FailCalls("provision", absl::UnavailableError("the store is away"));
  absl::Status status;
  std::thread copying([&] { status = Copy("b").status(); });
  AwaitCreating("b", launches + 1);
  EXPECT_TRUE(absl::IsAborted(node_.volumes().Delete("b")));
  copying.join();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_TRUE(absl::IsNotFound(node_.volumes().Get("b").status()));
  EXPECT_TRUE(node_.volumes().Delete("b").ok());
  EXPECT_TRUE(node_.drivers().Snapshots(source_.id()).empty());
}

}  // namespace
}  // namespace diskd::agent
