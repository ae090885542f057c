// SPDX-License-Identifier: Apache-2.0
//
// Growing, and the calls of Controller and Node for it.
#include "client/csi/expand.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/csi/controller.h"
#include "client/csi/mount_table.h"
#include "client/csi/node.h"
#include "client/csi/request.h"
#include "client/csi/rpc.h"

namespace diskd::csi {
namespace {

// What every driver takes, whatever the block of its backing store.
constexpr uint32_t kGrowUnitBytes = 4096;

}  // namespace

absl::StatusOr<v1::Volume> Grow(client::Agent& agent, const v1::Volume& volume,
                                const ::csi::v1::CapacityRange& range) {
  if (range.required_bytes() < 0 || range.limit_bytes() < 0) {
    return absl::InvalidArgumentError("capacity_range has a negative bound");
  }
  const uint64_t size = volume.size_bytes();
  if (SizeInRange(range, size)) return volume;
  if (range.limit_bytes() > 0 && size > static_cast<uint64_t>(range.limit_bytes())) {
    return absl::OutOfRangeError(absl::StrCat("volume ", volume.id(), " has ", size,
                                              " bytes, more than the limit of ",
                                              range.limit_bytes(), "; it can't shrink"));
  }
  const uint32_t unit = std::max(volume.logical_block_bytes(), kGrowUnitBytes);
  v1::ResizeVolumeRequest resize;
  resize.set_volume(volume.id());
  ASSIGN_OR_RETURN(const uint64_t wanted, ChooseSize(range, unit, size));
  resize.set_size_bytes(wanted);
  const auto resized = agent.ResizeVolume(resize);
  if (resized.ok()) return resized->volume();
  // UNIMPLEMENTED would be about the call, for all volumes.
  if (!absl::IsUnimplemented(resized.status())) return resized.status();
  return absl::InvalidArgumentError(
      absl::StrCat("volume ", volume.id(), " can't grow: ", resized.status().message()));
}

absl::Status Controller::Expand(const ::csi::v1::ControllerExpandVolumeRequest& request,
                                ::csi::v1::ControllerExpandVolumeResponse& response) {
  const std::string& id = request.volume_id();
  if (id.empty()) return absl::InvalidArgumentError("volume_id is missing");
  if (!request.has_capacity_range()) {
    return absl::InvalidArgumentError("capacity_range is missing");
  }
  ASSIGN_OR_RETURN(const InFlight::Hold hold, in_flight_.Acquire(id));
  ASSIGN_OR_RETURN(const v1::Volume found, FindVolume(*agent_, id));
  RETURN_IF_ERROR(GiveSecrets(*agent_, id, request.secrets()));
  ASSIGN_OR_RETURN(const v1::Volume grown, Grow(*agent_, found, request.capacity_range()));
  response.set_capacity_bytes(grown.size_bytes());
  response.set_node_expansion_required(!request.volume_capability().has_block());
  return absl::OkStatus();
}

grpc::Status Controller::ControllerExpandVolume(
    grpc::ServerContext*, const ::csi::v1::ControllerExpandVolumeRequest* request,
    ::csi::v1::ControllerExpandVolumeResponse* response) {
  if (expansion_ == Expansion::kOnNodeOnly) return Unsupported("ControllerExpandVolume");
  return Serve("ControllerExpandVolume", *request, [&] { return Expand(*request, *response); });
}

absl::Status Node::Expand(const ::csi::v1::NodeExpandVolumeRequest& request,
                          ::csi::v1::NodeExpandVolumeResponse& response) {
  if (request.volume_id().empty()) return absl::InvalidArgumentError("volume_id is missing");
  if (request.volume_path().empty()) {
    return absl::InvalidArgumentError("volume_path is missing");
  }
  const std::string path = Trimmed(request.volume_path());
  ASSIGN_OR_RETURN(const InFlight::Hold hold, in_flight_.Acquire(request.volume_id()));
  ASSIGN_OR_RETURN(const v1::Volume found, FindVolume(*agent_, request.volume_id()));
  ASSIGN_OR_RETURN(const std::vector<MountEntry> mounts, host_->Mounts());
  const std::optional<MountEntry> mount = MountAt(mounts, path);
  const std::string& device = found.attachment().device_path();
  if (device.empty()) {
    return absl::NotFoundError(absl::StrCat("volume ", found.id(), " is not at ", path));
  }
  ASSIGN_OR_RETURN(const DeviceNumber number, host_->BlockDeviceNumber(device));
  const bool filesystem = mount && mount->device == number;
  if (!filesystem) {
    // Orchestrators give devices in several ways: bound nodes, links, their own.
    const absl::StatusOr<DeviceNumber> node = host_->BlockDeviceNumber(path);
    const bool block = request.volume_capability().has_block();
    if (!node.ok() || (*node != number && !block)) {
      return absl::NotFoundError(absl::StrCat("volume ", found.id(), " is not at ", path));
    }
  }
  RETURN_IF_ERROR(GiveSecrets(*agent_, found.id(), request.secrets()));
  ASSIGN_OR_RETURN(const v1::Volume grown, Grow(*agent_, found, request.capacity_range()));
  response.set_capacity_bytes(grown.size_bytes());
  if (!filesystem) return absl::OkStatus();
  // A read-only target may be one of several.
  const std::optional<MountEntry> writable =
      mount->read_only ? MountAt(mounts, Trimmed(request.staging_target_path())) : mount;
  if (!writable || writable->read_only || writable->device != number) {
    return absl::FailedPreconditionError(absl::StrCat(
        "volume ", found.id(), " has its new size, but its file system is mounted read-only at ",
        path, " and can't follow: stage it for writing"));
  }
  return HostError(host_->GrowFilesystem(device, writable->mount_point, writable->fs_type));
}

grpc::Status Node::NodeExpandVolume(grpc::ServerContext*,
                                    const ::csi::v1::NodeExpandVolumeRequest* request,
                                    ::csi::v1::NodeExpandVolumeResponse* response) {
  return Serve("NodeExpandVolume", *request, [&] { return Expand(*request, *response); });
}

}  // namespace diskd::csi
