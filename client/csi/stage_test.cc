// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <string>

#include "client/csi/node_fixture.h"

namespace diskd::csi {
namespace {

using ::testing::HasSubstr;

TEST_F(NodeTest, Stage_WithSecrets_GivesThemToTheAgentFirst) {
  auto request = StageRequest(MountAccess());
  (*request.mutable_secrets())["encryption_key"] = "k";
  agent_.FailNext("SetVolumeSecrets", absl::InvalidArgumentError("takes none"));
  EXPECT_EQ(Stage(request).error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(agent_.Calls("AttachVolume"), 0);
  ASSERT_TRUE(Stage(request).ok());
  EXPECT_EQ(agent_.last_secrets().secrets().at("encryption_key"), "k");
}

TEST_F(NodeTest, Stage_BlankDevice_IsFormattedOnceAndMounted) {
  ASSERT_TRUE(Stage(MountAccess()).ok());
  EXPECT_EQ(host_.Signature(kDevice), "ext4");
  ASSERT_TRUE(host_.MountAt(kStaging));
  EXPECT_EQ(host_.MountAt(kStaging)->device, (DeviceNumber{7, 7}));
  EXPECT_EQ(host_.last_options().flags, MS_NOSUID | MS_NODEV);
  ASSERT_TRUE(Unstage(id_).ok());
  EXPECT_FALSE(Attached());
  ASSERT_TRUE(Stage(MountAccess(Mode::SINGLE_NODE_WRITER, "ext4")).ok());
  EXPECT_EQ(host_.Calls("MakeFilesystem"), 1);
}

TEST_F(NodeTest, Stage_ForeignSignature_IsRefusedAndNeverFormatted) {
  for (const char* signature : {"crypto_LUKS", "LVM2_member", "dos", "several signatures", "xfs"}) {
    host_.SetSignature(kDevice, signature);
    const grpc::Status status = Stage(MountAccess(Mode::SINGLE_NODE_WRITER, "ext4"));
    EXPECT_EQ(status.error_code(), StatusCode::FAILED_PRECONDITION) << signature;
    EXPECT_THAT(status.error_message(), HasSubstr(signature));
    EXPECT_EQ(host_.Signature(kDevice), signature);
  }
  host_.SetSignature(kDevice, "btrfs");
  EXPECT_EQ(Stage(MountAccess()).error_code(), StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(host_.Calls("MakeFilesystem"), 0);
  EXPECT_EQ(host_.mount_count(), 0u);
  EXPECT_FALSE(Attached());
}

TEST_F(NodeTest, Stage_UnfinishedXfs_IsMadeAnew) {
  for (const char* fs_type : {"xfs", ""}) {
    host_.SetSignature(kDevice, kUnfinishedXfs);
    ASSERT_TRUE(Stage(MountAccess(Mode::SINGLE_NODE_WRITER, fs_type)).ok());
    EXPECT_EQ(host_.Signature(kDevice), "xfs");
    EXPECT_EQ(host_.MountAt(kStaging)->fs_type, "xfs");
    ASSERT_TRUE(Unstage(id_).ok());
  }
  EXPECT_EQ(host_.Calls("MakeFilesystem"), 2);
}

TEST_F(NodeTest, Stage_UnfinishedXfsReadOnlyOrAsAnother_IsRefusedAndLeftAlone) {
  host_.SetSignature(kDevice, kUnfinishedXfs);
  const grpc::Status read_only = Stage(MountAccess(Mode::SINGLE_NODE_READER_ONLY, "xfs"));
  EXPECT_EQ(read_only.error_code(), StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(read_only.error_message(), HasSubstr("interrupted"));
  EXPECT_EQ(Stage(MountAccess(Mode::SINGLE_NODE_WRITER, "ext4")).error_code(),
            StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(host_.Calls("MakeFilesystem"), 0);
  EXPECT_FALSE(Attached());
}

TEST_F(NodeTest, Stage_UnreadableDevice_IsNeverFormatted) {
  host_.FailNext("ProbeSignature", absl::InternalError("read: EIO"));
  EXPECT_EQ(Stage(MountAccess()).error_code(), StatusCode::INTERNAL);
  EXPECT_EQ(host_.Calls("MakeFilesystem"), 0);
  EXPECT_FALSE(Attached());
}

TEST_F(NodeTest, Stage_Twice_MountsOnce) {
  ASSERT_TRUE(Stage(MountAccess()).ok());
  ::csi::v1::NodeStageVolumeRequest again = StageRequest(MountAccess());
  again.set_staging_target_path("/staging/");
  EXPECT_TRUE(Stage(again).ok());
  EXPECT_EQ(host_.mount_count(), 1u);
}

TEST_F(NodeTest, Stage_OtherwiseThanStaged_IsAlreadyExists) {
  ASSERT_TRUE(Stage(MountAccess(Mode::SINGLE_NODE_WRITER, "xfs")).ok());
  for (const VolumeCapability& other :
       {MountAccess(Mode::SINGLE_NODE_WRITER, "ext4"), MountAccess(Mode::SINGLE_NODE_READER_ONLY),
        BlockAccess()}) {
    EXPECT_EQ(Stage(other).error_code(), StatusCode::ALREADY_EXISTS) << other.DebugString();
  }
  EXPECT_EQ(host_.mount_count(), 1u);
  EXPECT_EQ(host_.Signature(kDevice), "xfs");
}

TEST_F(NodeTest, Stage_ReadOnly_MountsReadOnlyAndNeverFormats) {
  const VolumeCapability reader = MountAccess(Mode::SINGLE_NODE_READER_ONLY);
  EXPECT_EQ(Stage(reader).error_code(), StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(host_.Calls("MakeFilesystem"), 0);
  EXPECT_FALSE(Attached());
  host_.SetSignature(kDevice, "ext4");
  ASSERT_TRUE(Stage(reader).ok());
  EXPECT_TRUE(agent_.last_attach().read_only());
  EXPECT_TRUE(host_.MountAt(kStaging)->read_only);
  EXPECT_EQ(Publish(reader), StatusCode::OK);
  EXPECT_TRUE(host_.MountAt(kTarget)->read_only);
}

TEST_F(NodeTest, Stage_FailedMount_DetachesAgain) {
  host_.FailNext("Mount", absl::InternalError("mount"));
  EXPECT_EQ(Stage(MountAccess()).error_code(), StatusCode::INTERNAL);
  EXPECT_FALSE(Attached());
  host_.FailNext("BindMount", absl::InternalError("bind"));
  EXPECT_EQ(Stage(BlockAccess()).error_code(), StatusCode::INTERNAL);
  EXPECT_FALSE(Attached());
  EXPECT_EQ(*host_.KindOf(kStagedNode), PathKind::kMissing);
}

TEST_F(NodeTest, Stage_DeviceNodeGoneWhileStaged_IsUnavailableAndMountsNothing) {
  ASSERT_TRUE(Stage(MountAccess()).ok());
  host_.RemoveDevice(kDevice);
  EXPECT_EQ(Stage(MountAccess()).error_code(), StatusCode::UNAVAILABLE);
  EXPECT_EQ(agent_.Calls("AttachVolume"), 1);
  EXPECT_EQ(host_.mount_count(), 1u);
}

// NOT_FOUND would tell the orchestrator that the volume does not exist.
TEST_F(NodeTest, Stage_HostMissesSomething_IsInternal) {
  host_.FailNext("MakeFilesystem", absl::NotFoundError("start mkfs.ext4"));
  EXPECT_EQ(Stage(MountAccess()).error_code(), StatusCode::INTERNAL);
  host_.FailNext("BindMount", absl::AlreadyExistsError("bind"));
  EXPECT_EQ(Stage(BlockAccess()).error_code(), StatusCode::INTERNAL);
}

TEST_F(NodeTest, Stage_UnknownFilesystemInContext_IsInvalidAndFormatsNothing) {
  ::csi::v1::NodeStageVolumeRequest request = StageRequest(MountAccess());
  (*request.mutable_volume_context())[kFsTypeKey] = "btrfs";
  EXPECT_EQ(Stage(request).error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_FALSE(host_.Signature(kDevice));
  (*request.mutable_volume_context())[kFsTypeKey] = "xfs";
  EXPECT_TRUE(Stage(request).ok());
  EXPECT_EQ(host_.Signature(kDevice), "xfs");
}

TEST_F(NodeTest, Stage_FlagOfAnotherFilesystem_IsInvalidAndFormatsNothing) {
  VolumeCapability capability = MountAccess();
  capability.mutable_mount()->add_mount_flags("nouuid");
  EXPECT_EQ(Stage(capability).error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_FALSE(host_.Signature(kDevice));
  EXPECT_FALSE(Attached());
}

}  // namespace
}  // namespace diskd::csi
