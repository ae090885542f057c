// SPDX-License-Identifier: Apache-2.0
//
// What the tests of the node service share: one volume, its device and the paths of its life.
#ifndef DISKD_CLIENT_CSI_NODE_FIXTURE_H_
#define DISKD_CLIENT_CSI_NODE_FIXTURE_H_

#include <gtest/gtest.h>

#include <string>

#include "client/csi/fake_host.h"
#include "client/csi/node.h"
#include "client/lib/fake_agent.h"

namespace diskd::csi {

using ::csi::v1::VolumeCapability;
using ::grpc::StatusCode;
using Mode = VolumeCapability::AccessMode;

inline constexpr char kDevice[] = "/dev/loop7";
inline constexpr char kStaging[] = "/staging";
inline constexpr char kStagedNode[] = "/staging/device";
inline constexpr char kTarget[] = "/pod/target";
inline constexpr uint64_t kSize = 64ull << 20;

inline VolumeCapability MountAccess(Mode::Mode mode = Mode::SINGLE_NODE_WRITER,
                                    const std::string& fs_type = "") {
  VolumeCapability capability;
  capability.mutable_mount()->set_fs_type(fs_type);
  capability.mutable_access_mode()->set_mode(mode);
  return capability;
}

inline VolumeCapability BlockAccess(Mode::Mode mode = Mode::SINGLE_NODE_WRITER) {
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

}  // namespace diskd::csi

#endif  // DISKD_CLIENT_CSI_NODE_FIXTURE_H_
