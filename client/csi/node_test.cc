// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <string>

#include "client/csi/node_fixture.h"

namespace diskd::csi {
namespace {

TEST_F(NodeTest, RawBlock_WholeLife_NeverTouchesTheContent) {
  ASSERT_TRUE(Stage(BlockAccess()).ok());
  EXPECT_TRUE(Stage(BlockAccess()).ok());
  EXPECT_EQ(Publish(BlockAccess()), StatusCode::OK);
  EXPECT_EQ(Publish(BlockAccess()), StatusCode::OK);
  EXPECT_EQ(host_.mount_count(), 2u);
  EXPECT_EQ(*host_.BlockDeviceNumber(kTarget), (DeviceNumber{7, 7}));
  ::csi::v1::NodeGetVolumeStatsResponse stats;
  ASSERT_TRUE(Stats(id_, kTarget, stats).ok());
  EXPECT_EQ(stats.usage(0).total(), static_cast<int64_t>(kSize));
  EXPECT_EQ(Unstage(id_).error_code(), StatusCode::FAILED_PRECONDITION);
  EXPECT_TRUE(Attached());
  EXPECT_TRUE(Unpublish(id_).ok());
  EXPECT_TRUE(Unstage(id_).ok());
  EXPECT_FALSE(Attached());
  EXPECT_EQ(host_.mount_count(), 0u);
  EXPECT_EQ(*host_.KindOf(kTarget), PathKind::kMissing);
  EXPECT_EQ(*host_.KindOf(kStagedNode), PathKind::kMissing);
  EXPECT_EQ(host_.Calls("ProbeSignature") + host_.Calls("MakeFilesystem"), 0);
}

// The table of "second publish" in the specification's NodePublishVolume.
TEST_F(NodeTest, Publish_OneTargetModes_AllowOneTarget) {
  for (const auto mode : {Mode::SINGLE_NODE_WRITER, Mode::SINGLE_NODE_SINGLE_WRITER}) {
    ASSERT_TRUE(Stage(MountAccess(mode)).ok());
    EXPECT_EQ(Publish(MountAccess(mode)), StatusCode::OK);
    EXPECT_EQ(Publish(MountAccess(mode)), StatusCode::OK);
    EXPECT_EQ(Publish(MountAccess(mode), kTarget, true), StatusCode::ALREADY_EXISTS);
    EXPECT_EQ(Publish(MountAccess(mode), "/pod/other"), StatusCode::FAILED_PRECONDITION);
    EXPECT_EQ(host_.mount_count(), 2u);
    EXPECT_EQ(*host_.KindOf("/pod/other"), PathKind::kMissing);
    ASSERT_TRUE(Unpublish(id_).ok());
    ASSERT_TRUE(Unstage(id_).ok());
  }
}

TEST_F(NodeTest, Publish_ManyTargetsMode_AllowsMany) {
  const VolumeCapability many = MountAccess(Mode::SINGLE_NODE_MULTI_WRITER);
  ASSERT_TRUE(Stage(many).ok());
  EXPECT_EQ(Publish(many), StatusCode::OK);
  EXPECT_EQ(Publish(many), StatusCode::OK);
  EXPECT_EQ(Publish(many, kTarget, true), StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(Publish(many, "/pod/other", true), StatusCode::OK);
  EXPECT_FALSE(host_.MountAt(kTarget)->read_only);
  EXPECT_TRUE(host_.MountAt("/pod/other")->read_only);
}

TEST_F(NodeTest, Publish_SameTargetOtherCapability_IsAlreadyExists) {
  ASSERT_TRUE(Stage(MountAccess()).ok());
  const VolumeCapability reader = MountAccess(Mode::SINGLE_NODE_READER_ONLY);
  EXPECT_EQ(Publish(reader), StatusCode::FAILED_PRECONDITION);
  ASSERT_EQ(Publish(MountAccess()), StatusCode::OK);
  EXPECT_EQ(Publish(reader), StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(Publish(MountAccess(Mode::SINGLE_NODE_WRITER, "xfs")), StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(Publish(BlockAccess()), StatusCode::ALREADY_EXISTS);
}

TEST_F(NodeTest, Publish_WritableDeviceAsReadOnly_IsRefused) {
  ASSERT_TRUE(Stage(BlockAccess()).ok());
  EXPECT_EQ(Publish(BlockAccess(), kTarget, true), StatusCode::FAILED_PRECONDITION);
  ASSERT_EQ(Publish(BlockAccess()), StatusCode::OK);
  EXPECT_EQ(Publish(BlockAccess(), kTarget, true), StatusCode::ALREADY_EXISTS);
}

TEST_F(NodeTest, Publish_NotStaged_IsFailedPrecondition) {
  EXPECT_EQ(Publish(MountAccess()), StatusCode::FAILED_PRECONDITION);
  ::csi::v1::NodePublishVolumeRequest request = PublishRequest(MountAccess());
  request.clear_staging_target_path();
  EXPECT_EQ(Publish(request).error_code(), StatusCode::FAILED_PRECONDITION);
}

TEST_F(NodeTest, Publish_TargetOfAnotherKind_IsRefusedAndLeftAlone) {
  ASSERT_TRUE(Stage(BlockAccess()).ok());
  host_.AddDirectory(kTarget);
  EXPECT_EQ(Publish(BlockAccess()), StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(*host_.KindOf(kTarget), PathKind::kDirectory);
  EXPECT_EQ(host_.mount_count(), 1u);
}

TEST_F(NodeTest, Publish_FailedBind_TakesAwayTheTargetItMade) {
  ASSERT_TRUE(Stage(MountAccess()).ok());
  host_.FailNext("BindMount", absl::NotFoundError("bind"));
  EXPECT_EQ(Publish(MountAccess()), StatusCode::INTERNAL);
  EXPECT_EQ(*host_.KindOf(kTarget), PathKind::kMissing);
}

TEST_F(NodeTest, Publish_MountTableUnreadable_IsNotTakenForUnstaged) {
  ASSERT_TRUE(Stage(MountAccess()).ok());
  host_.FailNext("Mounts", absl::InternalError("mountinfo"));
  EXPECT_EQ(Publish(MountAccess()), StatusCode::INTERNAL);
}

TEST_F(NodeTest, UnstageAndUnpublish_NothingThere_Succeed) {
  EXPECT_TRUE(Unstage(id_).ok());
  EXPECT_TRUE(Unstage(id_, "/missing").ok());
  EXPECT_TRUE(Unstage("no-such-volume").ok());
  EXPECT_TRUE(Unpublish(id_).ok());
  EXPECT_TRUE(Unpublish("no-such-volume", "/missing").ok());
  EXPECT_EQ(host_.Calls("Unmount"), 0);
}

TEST_F(NodeTest, Unstage_DeviceHangs_UnmountsLazilyAndKeepsWhatIsInUseAttached) {
  ASSERT_TRUE(Stage(MountAccess()).ok());
  host_.SetUnmountHangs(true);
  agent_.SetDeviceOpen("v", true);
  EXPECT_EQ(Unstage(id_).error_code(), StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(host_.lazy_unmounts(), 1);
  EXPECT_FALSE(host_.MountAt(kStaging));
  EXPECT_TRUE(Attached());
  agent_.SetAttachmentState("v", v1::ATTACHMENT_STATE_FAILED, "driver is gone");
  EXPECT_TRUE(Unstage(id_).ok());
  EXPECT_FALSE(Attached());
}

TEST_F(NodeTest, Unstage_FailedUnmount_KeepsTheVolumeAttached) {
  ASSERT_TRUE(Stage(MountAccess()).ok());
  host_.FailNext("Unmount", absl::UnavailableError("unmount"));
  EXPECT_EQ(Unstage(id_).error_code(), StatusCode::UNAVAILABLE);
  EXPECT_TRUE(Attached());
}

TEST_F(NodeTest, ConcurrentCalls_SameVolume_AreAborted) {
  const std::string other = NewVolume("other", "/dev/loop8");
  host_.DuringNext("MakeFilesystem", [&] {
    EXPECT_EQ(Stage(MountAccess()).error_code(), StatusCode::ABORTED);
    EXPECT_EQ(Publish(MountAccess()), StatusCode::ABORTED);
    EXPECT_EQ(Unpublish(id_).error_code(), StatusCode::ABORTED);
    EXPECT_EQ(Unstage(id_).error_code(), StatusCode::ABORTED);
    EXPECT_TRUE(Unstage(other, "/elsewhere").ok());
  });
  EXPECT_TRUE(Stage(MountAccess()).ok());
  EXPECT_EQ(host_.Calls("MakeFilesystem"), 1);
  EXPECT_EQ(Publish(MountAccess()), StatusCode::OK);
}

TEST_F(NodeTest, MissingFields_AreInvalid) {
  const auto invalid = StatusCode::INVALID_ARGUMENT;
  ::csi::v1::NodeStageVolumeRequest stage = StageRequest(MountAccess());
  stage.clear_volume_id();
  EXPECT_EQ(Stage(stage).error_code(), invalid);
  stage = StageRequest(MountAccess());
  stage.clear_staging_target_path();
  EXPECT_EQ(Stage(stage).error_code(), invalid);
  stage = StageRequest(MountAccess());
  stage.clear_volume_capability();
  EXPECT_EQ(Stage(stage).error_code(), invalid);
  EXPECT_EQ(Stage(VolumeCapability()).error_code(), invalid);
  EXPECT_EQ(Stage(MountAccess(Mode::UNKNOWN)).error_code(), invalid);
  EXPECT_EQ(Stage(MountAccess(Mode::MULTI_NODE_MULTI_WRITER)).error_code(), invalid);
  EXPECT_EQ(Unstage("").error_code(), invalid);
  EXPECT_EQ(Unstage(id_, "").error_code(), invalid);
  ::csi::v1::NodePublishVolumeRequest publish = PublishRequest(MountAccess());
  publish.clear_volume_id();
  EXPECT_EQ(Publish(publish).error_code(), invalid);
  publish = PublishRequest(MountAccess(), "");
  EXPECT_EQ(Publish(publish).error_code(), invalid);
  publish = PublishRequest(MountAccess());
  publish.clear_volume_capability();
  EXPECT_EQ(Publish(publish).error_code(), invalid);
  EXPECT_EQ(Unpublish("").error_code(), invalid);
  EXPECT_EQ(Unpublish(id_, "").error_code(), invalid);
  ::csi::v1::NodeGetVolumeStatsResponse stats;
  EXPECT_EQ(Stats("", kTarget, stats).error_code(), invalid);
  EXPECT_EQ(Stats(id_, "", stats).error_code(), invalid);
  EXPECT_EQ(agent_.Calls("AttachVolume"), 0);
}

TEST_F(NodeTest, UnknownVolume_IsNotFound) {
  ::csi::v1::NodeStageVolumeRequest stage = StageRequest(MountAccess());
  stage.set_volume_id("no-such-volume");
  EXPECT_EQ(Stage(stage).error_code(), StatusCode::NOT_FOUND);
  stage.set_volume_id("v");  // the name, which is no id
  EXPECT_EQ(Stage(stage).error_code(), StatusCode::NOT_FOUND);
  ::csi::v1::NodePublishVolumeRequest publish = PublishRequest(MountAccess());
  publish.set_volume_id("no-such-volume");
  EXPECT_EQ(Publish(publish).error_code(), StatusCode::NOT_FOUND);
  ::csi::v1::NodeGetVolumeStatsResponse stats;
  EXPECT_EQ(Stats("no-such-volume", kTarget, stats).error_code(), StatusCode::NOT_FOUND);
  EXPECT_EQ(Stats(id_, "some/path", stats).error_code(), StatusCode::NOT_FOUND);
}

TEST_F(NodeTest, Expand_GrowsVolumeAndFilesystemAndAgain) {
  id_ = NewVolume("f", kDevice, "file");
  ASSERT_TRUE(Stage(MountAccess()).ok());
  ASSERT_EQ(Publish(MountAccess()), StatusCode::OK);
  EXPECT_EQ(Expand(id_, kTarget, MountAccess()), StatusCode::OK);
  EXPECT_EQ(expanded_.capacity_bytes(), static_cast<int64_t>(2 * kSize));
  EXPECT_EQ(agent_.Calls("ResizeVolume"), 1);
  EXPECT_EQ(host_.Calls("GrowFilesystem"), 1);
  // The file system may have been left behind.
  EXPECT_EQ(Expand(id_, kStaging, MountAccess()), StatusCode::OK);
  EXPECT_EQ(agent_.Calls("ResizeVolume"), 1);
  EXPECT_EQ(host_.Calls("GrowFilesystem"), 2);
  host_.FailNext("GrowFilesystem", absl::NotFoundError("no such program"));
  EXPECT_EQ(Expand(id_, kTarget, MountAccess()), StatusCode::INTERNAL);
}

TEST_F(NodeTest, Expand_ReadOnlyTarget_UsesTheStagedMount) {
  id_ = NewVolume("f", kDevice, "file");
  ASSERT_TRUE(Stage(MountAccess()).ok());
  ASSERT_EQ(Publish(MountAccess(), kTarget, /*read_only=*/true), StatusCode::OK);
  EXPECT_EQ(Expand(id_, kTarget, MountAccess()), StatusCode::OK);
  EXPECT_EQ(host_.Calls("GrowFilesystem"), 1);
}

TEST_F(NodeTest, Expand_OfADevice_TouchesNoFilesystem) {
  id_ = NewVolume("f", kDevice, "file");
  ASSERT_TRUE(Stage(BlockAccess()).ok());
  ASSERT_EQ(Publish(BlockAccess()), StatusCode::OK);
  EXPECT_EQ(Expand(id_, kTarget, BlockAccess()), StatusCode::OK);
  EXPECT_EQ(Expand(id_, kDevice, BlockAccess()), StatusCode::OK);
  EXPECT_EQ(agent_.Calls("ResizeVolume"), 1);
  EXPECT_EQ(host_.Calls("GrowFilesystem"), 0);
}

TEST_F(NodeTest, Expand_ElsewhereOrOfNothing_IsRefused) {
  id_ = NewVolume("f", kDevice, "file");
  EXPECT_EQ(Expand(id_, kTarget, MountAccess()), StatusCode::NOT_FOUND);
  ASSERT_TRUE(Stage(MountAccess()).ok());
  EXPECT_EQ(Expand(id_, kTarget, MountAccess()), StatusCode::NOT_FOUND);
  EXPECT_EQ(Expand("no-such-volume", kStaging, MountAccess()), StatusCode::NOT_FOUND);
  EXPECT_EQ(Expand("", kStaging, MountAccess()), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Expand(id_, "", MountAccess()), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(agent_.Calls("ResizeVolume"), 0);
  EXPECT_EQ(host_.Calls("GrowFilesystem"), 0);
}

TEST_F(NodeTest, Expand_OfADriverThatCant_IsInfeasible) {
  ASSERT_TRUE(Stage(MountAccess()).ok());
  EXPECT_EQ(Expand(id_, kStaging, MountAccess()), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(host_.Calls("GrowFilesystem"), 0);
}

}  // namespace
}  // namespace diskd::csi
