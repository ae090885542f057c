// SPDX-License-Identifier: Apache-2.0
//
// What the next agent makes of what the last one left.
#include <tuple>

#include "agent/volume/attachments.h"
#include "agent/volume/test_node.h"
#include "gtest/gtest.h"

namespace diskd::agent {
namespace {

using diskd::v1::ATTACHMENT_STATE_ATTACHED;
using diskd::v1::ATTACHMENT_STATE_FAILED;

class RestoreTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(node_.StartAgent().ok());
    before_ = node_.MakeAttachedVolume("a");
  }
  diskd::v1::Attachment Shown() { return node_.volumes().Get("a")->attachment(); }
  TestNode node_{testing::TempDir()};
  diskd::v1::Volume before_;
};

TEST_F(RestoreTest, RunningDriver_IsAdoptedAndStillSupervised) {
  node_.StopAgent();
  EXPECT_TRUE(node_.drivers().Serving(before_.id()));
  ASSERT_TRUE(node_.StartAgent().ok());
  EXPECT_EQ(Shown().driver_pid(), before_.attachment().driver_pid());
  EXPECT_EQ(Shown().device_path(), before_.attachment().device_path());
  EXPECT_EQ(Shown().state(), ATTACHMENT_STATE_ATTACHED);
  node_.drivers().KillProcess(before_.id());
  while (Shown().driver_restarts() == 0) node_.Await("a", ATTACHMENT_STATE_ATTACHED);
  EXPECT_TRUE(node_.attachments().Detach(TestNode::DetachRequest("a")).ok());
  EXPECT_EQ(node_.Leftovers(), "");
}

TEST_F(RestoreTest, DiskThatWorks_IsKept_WhateverCannotBeWrittenDown) {
  node_.StopAgent();
  node_.FailAttachmentRecords(absl::ResourceExhaustedError("the disk is full"));
  node_.devices().FailLinks(absl::ResourceExhaustedError("the disk is full"));
  ASSERT_TRUE(node_.StartAgent().ok());
  EXPECT_EQ(Shown().state(), ATTACHMENT_STATE_ATTACHED) << Shown().message();
  EXPECT_EQ(Shown().driver_pid(), before_.attachment().driver_pid());
  EXPECT_EQ(node_.devices().count(), 1u);
  EXPECT_FALSE(node_.devices().Aborted(before_.id()));
  node_.FailAttachmentRecords(absl::OkStatus());
  EXPECT_TRUE(node_.attachments().Detach(TestNode::DetachRequest("a")).ok());
  EXPECT_EQ(node_.Leftovers(), "");
}

TEST_F(RestoreTest, DriverThatIsBusyWithASnapshot_IsWaitedFor) {
  node_.StopAgent();
  node_.drivers().Occupy(before_.id(), absl::Seconds(40));
  ASSERT_TRUE(node_.StartAgent().ok());
  EXPECT_EQ(Shown().state(), ATTACHMENT_STATE_ATTACHED) << Shown().message();
  EXPECT_EQ(Shown().driver_pid(), before_.attachment().driver_pid());
}

class RestoreWithImpostorTest : public RestoreTest,
                                public testing::WithParamInterface<std::tuple<int, bool>> {};

TEST_P(RestoreWithImpostorTest, DriverThatIsBusyIsWaitedForAllTheSame) {
  node_.StopAgent();
  const auto& [slot, found_first] = GetParam();
  node_.drivers().AddImpostor(before_.id(), slot, found_first);
  node_.drivers().Occupy(before_.id(), absl::Seconds(40));
  ASSERT_TRUE(node_.StartAgent().ok());
  EXPECT_EQ(Shown().state(), ATTACHMENT_STATE_ATTACHED) << Shown().message();
  EXPECT_EQ(Shown().driver_pid(), before_.attachment().driver_pid());
}

INSTANTIATE_TEST_SUITE_P(SlotAndOrder, RestoreWithImpostorTest,
                         testing::Combine(testing::Values(0, 1), testing::Bool()));

TEST_F(RestoreTest, ImpostorAtTheDriversSocket_IsLeftAlone) {
  for (const bool found_first : {true, false}) {
    node_.StopAgent();
    node_.drivers().AddImpostor(before_.id(), 0, found_first);
    const int processes = node_.drivers().count(before_.id());
    ASSERT_TRUE(node_.StartAgent().ok());
    EXPECT_EQ(node_.drivers().count(before_.id()), processes);
    EXPECT_EQ(Shown().driver_pid(), before_.attachment().driver_pid());
  }
}

TEST_F(RestoreTest, DriverThatDiedWithoutAgent_IsFailedAndCleanedUp) {
  node_.StopAgent();
  node_.drivers().KillProcess(before_.id());
  ASSERT_TRUE(node_.StartAgent().ok());
  EXPECT_EQ(Shown().state(), ATTACHMENT_STATE_FAILED);
  EXPECT_EQ(node_.devices().count(), 0u);
  EXPECT_TRUE(node_.devices().links().empty());
  EXPECT_TRUE(node_.attachments().Detach(TestNode::DetachRequest("a")).ok());
  EXPECT_EQ(node_.Leftovers(), "");
  EXPECT_TRUE(node_.attachments().Attach(TestNode::AttachRequest("a")).ok());
}

TEST_F(RestoreTest, OfManyVolumes_LooksAtAllProcessesOnce) {
  for (const char* name : {"b", "c", "d"}) node_.MakeAttachedVolume(name);
  node_.StopAgent();
  const int before = node_.drivers().looks();
  ASSERT_TRUE(node_.StartAgent().ok());
  EXPECT_EQ(Shown().state(), ATTACHMENT_STATE_ATTACHED);
  EXPECT_EQ(node_.drivers().looks(), before + 1);
}

TEST_F(RestoreTest, FailedAttachment_StaysFailedOverRestarts) {
  node_.StopAgent();
  node_.drivers().KillProcess(before_.id());
  ASSERT_TRUE(node_.StartAgent().ok());
  const std::string message = Shown().message();
  ASSERT_TRUE(node_.StartAgent().ok());
  EXPECT_EQ(Shown().state(), ATTACHMENT_STATE_FAILED);
  EXPECT_EQ(Shown().message(), message);
}

TEST_F(RestoreTest, VanishedDevice_IsFailedAndItsDriverEnded) {
  node_.StopAgent();
  node_.devices().Vanish(before_.id());
  ASSERT_TRUE(node_.StartAgent().ok());
  EXPECT_EQ(Shown().state(), ATTACHMENT_STATE_FAILED);
  EXPECT_FALSE(node_.drivers().Running(before_.id()));
}

TEST_F(RestoreTest, Reboot_DropsAttachmentsAndKeepsVolumes) {
  node_.Reboot();
  ASSERT_TRUE(node_.StartAgent().ok());
  EXPECT_EQ(node_.Leftovers(), "");
  EXPECT_EQ(node_.volumes().Get("a")->state(), diskd::v1::VOLUME_STATE_READY);
  EXPECT_TRUE(node_.attachments().Attach(TestNode::AttachRequest("a")).ok());
}

TEST_F(RestoreTest, ProcessAndDeviceOfNobody_AreRemoved) {
  ASSERT_TRUE(node_.drivers().Launch("vol-00000000000000ff", "memory", 0).ok());
  ASSERT_TRUE(node_.devices()
                  .Create(diskd::v1::TRANSPORT_FUSE, {.volume_id = "vol-00000000000000fe"})
                  .ok());
  ASSERT_TRUE(node_.StartAgent().ok());
  EXPECT_FALSE(node_.drivers().Running("vol-00000000000000ff"));
  EXPECT_EQ(node_.devices().count(), 1u);
  EXPECT_TRUE(node_.drivers().Serving(before_.id()));
}

TEST_F(RestoreTest, BuseDeviceOfAnUnknownVolume_IsLeftAlone) {
  ASSERT_TRUE(node_.devices()
                  .Create(diskd::v1::TRANSPORT_BUSE, {.volume_id = "vol-00000000000000fe"})
                  .ok());
  ASSERT_TRUE(node_.StartAgent().ok());
  EXPECT_EQ(node_.devices().count(), 2u);
}

}  // namespace
}  // namespace diskd::agent
