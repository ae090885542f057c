// SPDX-License-Identifier: Apache-2.0
#include "client/csi/node.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <string>

#include "client/csi/fake_host.h"
#include "client/lib/fake_agent.h"

namespace diskd::csi {
namespace {

using ::csi::v1::VolumeCapability;
using ::grpc::StatusCode;
using ::testing::HasSubstr;
using Mode = VolumeCapability::AccessMode;

constexpr char kDevice[] = "/dev/loop7";
constexpr char kStaging[] = "/staging";
constexpr char kStagedNode[] = "/staging/device";
constexpr char kTarget[] = "/pod/target";
constexpr uint64_t kSize = 64ull << 20;

VolumeCapability MountAccess(Mode::Mode mode = Mode::SINGLE_NODE_WRITER,
                             const std::string& fs_type = "") {
  VolumeCapability capability;
  capability.mutable_mount()->set_fs_type(fs_type);
  capability.mutable_access_mode()->set_mode(mode);
  return capability;
}

VolumeCapability BlockAccess(Mode::Mode mode = Mode::SINGLE_NODE_WRITER) {
  VolumeCapability capability;
  capability.mutable_block();
  capability.mutable_access_mode()->set_mode(mode);
  return capability;
}

class NodeTest : public ::testing::Test {
 protected:
  NodeTest() {
    host_.AddDirectory(kStaging);
    host_.AddDevice(kDevice, {7, 7}, kSize);
    id_ = NewVolume("v", kDevice);
  }

  std::string NewVolume(const std::string& name, const std::string& device,
                        const std::string& driver = "memory") {
    v1::CreateVolumeRequest create;
    create.set_name(name);
    create.set_driver(driver);
    create.set_size_bytes(kSize);
    agent_.SetDevicePath(name, device);
    return agent_.CreateVolume(create)->volume().id();
  }

  bool Attached() {
    v1::GetVolumeRequest get;
    get.set_volume(id_);
    return agent_.GetVolume(get)->volume().has_attachment();
  }

  ::csi::v1::NodeStageVolumeRequest StageRequest(const VolumeCapability& capability) {
    ::csi::v1::NodeStageVolumeRequest request;
    request.set_volume_id(id_);
    request.set_staging_target_path(kStaging);
    *request.mutable_volume_capability() = capability;
    return request;
  }
  grpc::Status Stage(const ::csi::v1::NodeStageVolumeRequest& request) {
    ::csi::v1::NodeStageVolumeResponse response;
    return node_.NodeStageVolume(nullptr, &request, &response);
  }
  grpc::Status Stage(const VolumeCapability& capability) { return Stage(StageRequest(capability)); }

  grpc::Status Unstage(const std::string& id, const std::string& path = kStaging) {
    ::csi::v1::NodeUnstageVolumeRequest request;
    request.set_volume_id(id);
    request.set_staging_target_path(path);
    ::csi::v1::NodeUnstageVolumeResponse response;
    return node_.NodeUnstageVolume(nullptr, &request, &response);
  }

  ::csi::v1::NodePublishVolumeRequest PublishRequest(const VolumeCapability& capability,
                                                     const std::string& target = kTarget,
                                                     bool read_only = false) {
    ::csi::v1::NodePublishVolumeRequest request;
    request.set_volume_id(id_);
    request.set_staging_target_path(kStaging);
    request.set_target_path(target);
    *request.mutable_volume_capability() = capability;
    request.set_readonly(read_only);
    return request;
  }
  grpc::Status Publish(const ::csi::v1::NodePublishVolumeRequest& request) {
    ::csi::v1::NodePublishVolumeResponse response;
    return node_.NodePublishVolume(nullptr, &request, &response);
  }
  StatusCode Publish(const VolumeCapability& capability, const std::string& target = kTarget,
                     bool read_only = false) {
    return Publish(PublishRequest(capability, target, read_only)).error_code();
  }

  grpc::Status Unpublish(const std::string& id, const std::string& target = kTarget) {
    ::csi::v1::NodeUnpublishVolumeRequest request;
    request.set_volume_id(id);
    request.set_target_path(target);
    ::csi::v1::NodeUnpublishVolumeResponse response;
    return node_.NodeUnpublishVolume(nullptr, &request, &response);
  }

  grpc::Status Stats(const std::string& id, const std::string& path,
                     ::csi::v1::NodeGetVolumeStatsResponse& response) {
    ::csi::v1::NodeGetVolumeStatsRequest request;
    request.set_volume_id(id);
    request.set_volume_path(path);
    return node_.NodeGetVolumeStats(nullptr, &request, &response);
  }

  StatusCode Expand(const std::string& id, const std::string& path,
                    const VolumeCapability& capability) {
    ::csi::v1::NodeExpandVolumeRequest request;
    request.set_volume_id(id);
    request.set_volume_path(path);
    request.set_staging_target_path(kStaging);
    request.mutable_capacity_range()->set_required_bytes(2 * kSize);
    *request.mutable_volume_capability() = capability;
    return node_.NodeExpandVolume(nullptr, &request, &expanded_).error_code();
  }

  client::FakeAgent agent_;
  FakeHost host_;
  Node node_{Placement{"topology.test/node", "node-1"}, &agent_, &host_};
  std::string id_;
  ::csi::v1::NodeExpandVolumeResponse expanded_;
};

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
