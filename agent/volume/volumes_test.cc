// SPDX-License-Identifier: Apache-2.0
#include "agent/volume/volumes.h"

#include <filesystem>
#include <set>

#include "agent/volume/test_node.h"
#include "gtest/gtest.h"

namespace diskd::agent {
namespace {

class VolumesTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(node_.StartAgent().ok()); }
  bool StateDirExists(const std::string& id) {
    return std::filesystem::exists(node_.state_dir() + "/volumes/" + id);
  }
  TestNode node_{testing::TempDir()};
};

TEST_F(VolumesTest, Create_ProvisionsAndLeavesNoProcess) {
  const auto volume = node_.volumes().Create(TestNode::CreateRequest("a"));
  ASSERT_TRUE(volume.ok()) << volume.status();
  EXPECT_EQ(volume->state(), diskd::v1::VOLUME_STATE_READY);
  EXPECT_GT(volume->create_time().seconds(), 0);
  EXPECT_EQ(node_.drivers().Provisioned().count(volume->id()), 1u);
  EXPECT_TRUE(StateDirExists(volume->id()));
  EXPECT_EQ(node_.Leftovers(), "");
  EXPECT_EQ(node_.volumes().Get(volume->id())->name(), "a");
}

TEST_F(VolumesTest, CreateAgain_GivesTheSameVolume) {
  const auto first = node_.MakeVolume("a");
  const auto second = node_.volumes().Create(TestNode::CreateRequest("a"));
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(second->id(), first.id());
  EXPECT_EQ(*node_.store().CountVolumes(), 1);
}

TEST_F(VolumesTest, CreateWithOtherProperties_IsAlreadyExistsAndNamesTheDifference) {
  node_.MakeVolume("a");
  auto request = TestNode::CreateRequest("a");
  request.set_size_bytes(2 << 20);
  const absl::Status size = node_.volumes().Create(request).status();
  EXPECT_TRUE(absl::IsAlreadyExists(size));
  EXPECT_NE(size.message().find("size is 1048576, not 2097152"), absl::string_view::npos) << size;
  request = TestNode::CreateRequest("a");
  (*request.mutable_parameters())["dir"] = "/srv";
  const absl::Status parameter = node_.volumes().Create(request).status();
  EXPECT_TRUE(absl::IsAlreadyExists(parameter));
  EXPECT_NE(parameter.message().find("parameter dir"), absl::string_view::npos) << parameter;
}

TEST_F(VolumesTest, FailedProvision_PassesTheErrorOnAndLeavesNothing) {
  node_.drivers().FailCalls("provision", absl::ResourceExhaustedError("no space on /srv"));
  const absl::Status status = node_.volumes().Create(TestNode::CreateRequest("a")).status();
  EXPECT_EQ(status, absl::ResourceExhaustedError("no space on /srv"));
  EXPECT_EQ(*node_.store().CountVolumes(), 0);
  EXPECT_TRUE(std::filesystem::is_empty(node_.state_dir() + "/volumes"));
  EXPECT_EQ(node_.Leftovers(), "");
}

TEST_F(VolumesTest, FailedProvisionThatCannotBeUndone_KeepsTheVolumeAndSaysSo) {
  node_.drivers().FailCalls("provision", absl::InternalError("broken"));
  node_.drivers().FailCalls("deprovision", absl::InternalError("broken too"));
  const absl::Status status = node_.volumes().Create(TestNode::CreateRequest("a")).status();
  EXPECT_NE(status.message().find("broken too"), absl::string_view::npos) << status;
  EXPECT_EQ(node_.volumes().Get("a")->state(), diskd::v1::VOLUME_STATE_CREATING);
  node_.drivers().FailCalls("provision", absl::OkStatus());
  EXPECT_EQ(node_.MakeVolume("a").state(), diskd::v1::VOLUME_STATE_READY);
}

TEST_F(VolumesTest, WhatItsDriverCallsImpossible_LeavesNothing) {
  for (const char* call : {"provision", "deprovision"}) {
    node_.drivers().FailCalls(call, absl::InvalidArgumentError("parameter store is missing"));
  }
  const absl::Status status = node_.volumes().Create(TestNode::CreateRequest("a")).status();
  EXPECT_EQ(status, absl::InvalidArgumentError("parameter store is missing"));
  EXPECT_EQ(*node_.store().CountVolumes(), 0);
  EXPECT_TRUE(std::filesystem::is_empty(node_.state_dir() + "/volumes"));
  // One that was made is another matter: something is there.
  for (const char* call : {"provision", "deprovision"}) {
    node_.drivers().FailCalls(call, absl::OkStatus());
  }
  node_.MakeVolume("b");
  node_.drivers().FailCalls("deprovision", absl::InvalidArgumentError("no such parameter"));
  EXPECT_TRUE(absl::IsInvalidArgument(node_.volumes().Delete("b")));
  EXPECT_EQ(node_.volumes().Get("b")->state(), diskd::v1::VOLUME_STATE_DELETING);
}

TEST_F(VolumesTest, Delete_DeprovisionsAndMayBeRepeated) {
  const auto volume = node_.MakeVolume("a");
  ASSERT_TRUE(node_.volumes().Delete("a").ok());
  EXPECT_TRUE(node_.volumes().Delete("a").ok());
  EXPECT_TRUE(node_.volumes().Delete("never-there").ok());
  EXPECT_TRUE(node_.drivers().Provisioned().empty());
  EXPECT_FALSE(StateDirExists(volume.id()));
  EXPECT_TRUE(absl::IsNotFound(node_.volumes().Get("a").status()));
}

TEST_F(VolumesTest, DeleteWhileAttached_IsRefusedAndChangesNothing) {
  node_.MakeAttachedVolume("a");
  const absl::Status status = node_.volumes().Delete("a");
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_NE(status.message().find("detach"), absl::string_view::npos) << status;
  EXPECT_EQ(node_.volumes().Get("a")->state(), diskd::v1::VOLUME_STATE_READY);
}

TEST_F(VolumesTest, DeleteThatFails_StaysDeletingUntilItIsRepeated) {
  node_.MakeVolume("a");
  node_.drivers().FailCalls("deprovision", absl::NotFoundError("no driver"));
  EXPECT_TRUE(absl::IsFailedPrecondition(node_.volumes().Delete("a")));
  EXPECT_EQ(node_.volumes().Get("a")->state(), diskd::v1::VOLUME_STATE_DELETING);
  EXPECT_TRUE(
      absl::IsFailedPrecondition(node_.volumes().Create(TestNode::CreateRequest("a")).status()));
  node_.drivers().FailCalls("deprovision", absl::OkStatus());
  EXPECT_TRUE(node_.volumes().Delete("a").ok());
  EXPECT_EQ(*node_.store().CountVolumes(), 0);
}

TEST_F(VolumesTest, BusyVolume_RefusesEveryOtherCall) {
  node_.MakeVolume("a");
  const auto lock = node_.locks().Acquire("a");
  ASSERT_TRUE(lock.ok());
  EXPECT_TRUE(absl::IsAborted(node_.volumes().Create(TestNode::CreateRequest("a")).status()));
  EXPECT_TRUE(absl::IsAborted(node_.volumes().Delete("a")));
  EXPECT_TRUE(absl::IsAborted(node_.attachments().Attach(TestNode::AttachRequest("a")).status()));
  EXPECT_TRUE(absl::IsAborted(node_.attachments().Detach(TestNode::DetachRequest("a"))));
  EXPECT_TRUE(node_.volumes().Get("a").ok());
}

TEST_F(VolumesTest, List_GivesEachVolumeOnceOverAllPages) {
  std::set<std::string> made, listed;
  for (int i = 0; i < 5; ++i) made.insert(node_.MakeVolume("v" + std::to_string(i)).id());
  diskd::v1::ListVolumesRequest request;
  request.set_page_size(2);
  int pages = 0;
  do {
    const auto page = node_.volumes().List(request);
    ASSERT_TRUE(page.ok()) << page.status();
    EXPECT_LE(page->volumes_size(), 2);
    for (const auto& volume : page->volumes()) EXPECT_TRUE(listed.insert(volume.id()).second);
    request.set_page_token(page->next_page_token());
    ++pages;
  } while (!request.page_token().empty());
  EXPECT_EQ(pages, 3);
  EXPECT_EQ(listed, made);
}

TEST_F(VolumesTest, ListWithBadArguments_IsInvalidArgument) {
  diskd::v1::ListVolumesRequest request;
  request.set_page_token("rubbish");
  EXPECT_TRUE(absl::IsInvalidArgument(node_.volumes().List(request).status()));
  request.clear_page_token();
  request.set_page_size(-1);
  EXPECT_TRUE(absl::IsInvalidArgument(node_.volumes().List(request).status()));
}

}  // namespace
}  // namespace diskd::agent
