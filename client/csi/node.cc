// SPDX-License-Identifier: Apache-2.0
#include "client/csi/node.h"

#include <sys/mount.h>

#include <optional>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/csi/mount_table.h"
#include "client/csi/rpc.h"

namespace diskd::csi {
namespace {

using ::csi::v1::NodeServiceCapability;
using ::csi::v1::VolumeUsage;

constexpr int kMaxStackedMounts = 16;

std::string StagedDevice(const std::string& staging_path) {
  return absl::StrCat(staging_path, "/", kStagedDevice);
}

absl::Status RequireId(const std::string& volume_id) {
  if (!volume_id.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError("volume_id is missing");
}

void AddUsage(::csi::v1::NodeGetVolumeStatsResponse& response, VolumeUsage::Unit unit,
              uint64_t total, uint64_t available, uint64_t used) {
  VolumeUsage& usage = *response.add_usage();
  usage.set_unit(unit);
  usage.set_total(total);
  usage.set_available(available);
  usage.set_used(used);
}

}  // namespace

absl::Status HostError(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kUnimplemented:
      return absl::InternalError(status.message());
    default:
      return status;
  }
}

absl::Status Node::CheckStaged(const v1::Volume& volume, const std::string& path,
                               const Access& access) {
  ASSIGN_OR_RETURN(const std::vector<MountEntry> mounts, host_->Mounts());
  const std::optional<MountEntry> filesystem = MountAt(mounts, path);
  const std::optional<MountEntry> device = MountAt(mounts, StagedDevice(path));
  if (!filesystem && !device) {
    return absl::NotFoundError(absl::StrCat("volume ", volume.id(), " is not staged at ", path));
  }
  const std::string& node_path = volume.attachment().device_path();
  if (!node_path.empty() && volume.attachment().read_only() == access.read_only) {
    const absl::StatusOr<DeviceNumber> number = host_->BlockDeviceNumber(node_path);
    // Staged, that much is sure: NOT_FOUND would make the caller stage on top of it.
    if (absl::IsNotFound(number.status())) {
      return absl::UnavailableError(absl::StrCat("volume ", volume.id(), " is staged at ", path,
                                                 " and its device ", node_path, " is gone"));
    }
    RETURN_IF_ERROR(number.status());
    if (access.block && device && !filesystem) {
      const absl::StatusOr<DeviceNumber> staged = host_->BlockDeviceNumber(StagedDevice(path));
      RETURN_IF_ERROR(HostError(staged.status()));
      if (*staged == *number) return absl::OkStatus();
    } else if (!access.block && filesystem && filesystem->device == *number &&
               (access.fs_type.empty() || access.fs_type == filesystem->fs_type)) {
      return absl::OkStatus();
    }
  }
  return absl::AlreadyExistsError(absl::StrCat(path, " has something else staged than volume ",
                                               volume.id(), " this way; unstage it first"));
}

absl::Status Node::StageFilesystem(const std::string& device, const std::string& path,
                                   const Access& access) {
  const absl::StatusOr<std::optional<std::string>> probed = host_->ProbeSignature(device);
  RETURN_IF_ERROR(HostError(probed.status()));
  const std::optional<std::string>& found = *probed;
  std::string fs_type = access.fs_type;
  const bool unfinished = found == kUnfinishedXfs;
  if (fs_type.empty()) fs_type = unfinished ? "xfs" : found.value_or(kDefaultFsType);
  const bool make = !found || (unfinished && fs_type == "xfs");
  if (make) {
    if (access.read_only) {
      return absl::FailedPreconditionError(absl::StrCat(
          device, unfinished ? " has an xfs whose making was interrupted" : " is blank",
          ": there is no file system to mount read-only; stage it for writing first"));
    }
  } else if (fs_type != *found || !CheckFsType(fs_type).ok()) {
    return absl::FailedPreconditionError(absl::StrCat(
        device, " has \"", *found, "\" on it and is not formatted as ",
        access.fs_type.empty() ? kDefaultFsType : access.fs_type, "; its data would be lost"));
  }
  ASSIGN_OR_RETURN(MountOptions options, ParseMountFlags(access.mount_flags, fs_type));
  if (access.read_only) options.flags |= MS_RDONLY;
  if (make) RETURN_IF_ERROR(HostError(host_->MakeFilesystem(device, fs_type, unfinished)));
  return HostError(host_->Mount(device, path, fs_type, options));
}

absl::Status Node::StageDevice(const std::string& device, const std::string& path) {
  RETURN_IF_ERROR(HostError(host_->MakeFile(StagedDevice(path))));
  const absl::Status status = host_->BindMount(device, StagedDevice(path), /*read_only=*/false);
  if (!status.ok()) host_->RemoveEmpty(StagedDevice(path)).IgnoreError();
  return HostError(status);
}

absl::Status Node::Stage(const ::csi::v1::NodeStageVolumeRequest& request) {
  RETURN_IF_ERROR(RequireId(request.volume_id()));
  RETURN_IF_ERROR(CheckPath("staging_target_path", request.staging_target_path()));
  if (!request.has_volume_capability()) {
    return absl::InvalidArgumentError("volume_capability is missing");
  }
  ASSIGN_OR_RETURN(Access access, ParseCapability(request.volume_capability()));
  const std::string path = Trimmed(request.staging_target_path());
  v1::AttachVolumeRequest attach;
  if (const auto it = request.volume_context().find(kTransportKey);
      it != request.volume_context().end()) {
    ASSIGN_OR_RETURN(const v1::Transport transport, ParseTransport(it->second));
    attach.set_transport(transport);
  }
  if (const auto it = request.volume_context().find(kFsTypeKey);
      it != request.volume_context().end() && access.fs_type.empty()) {
    RETURN_IF_ERROR(CheckFsType(it->second));
    access.fs_type = it->second;
  }
  ASSIGN_OR_RETURN(const InFlight::Hold hold, in_flight_.Acquire(request.volume_id()));
  ASSIGN_OR_RETURN(const v1::Volume volume, FindVolume(*agent_, request.volume_id()));
  ASSIGN_OR_RETURN(const PathKind kind, host_->KindOf(path));
  if (kind != PathKind::kDirectory) {
    return absl::FailedPreconditionError(absl::StrCat(path, " is not a directory"));
  }
  const absl::Status staged = CheckStaged(volume, path, access);
  if (!absl::IsNotFound(staged)) return staged;

  attach.set_volume(volume.id());
  attach.set_read_only(access.read_only);
  // Attached by others with another transport: what is there is used.
  if (volume.has_attachment() && volume.attachment().read_only() == access.read_only) {
    attach.set_transport(volume.attachment().transport());
    attach.set_queues(volume.attachment().queues());
  }
  RETURN_IF_ERROR(GiveSecrets(*agent_, volume.id(), request.secrets()));
  ASSIGN_OR_RETURN(const v1::AttachVolumeResponse attached, agent_->AttachVolume(attach));
  const std::string& device = attached.attachment().device_path();
  const absl::Status status =
      access.block ? StageDevice(device, path) : StageFilesystem(device, path, access);
  // A failed stage is forgotten by the orchestrator; nothing else would detach the volume.
  if (!status.ok() && !volume.has_attachment()) Detach(volume.id()).IgnoreError();
  return status;
}

absl::Status Node::UnmountAll(const std::string& path) {
  for (int i = 0; i < kMaxStackedMounts; ++i) {
    ASSIGN_OR_RETURN(const std::vector<MountEntry> mounts, host_->Mounts());
    if (!MountAt(mounts, path)) return absl::OkStatus();
    RETURN_IF_ERROR(host_->Unmount(path));
  }
  return absl::FailedPreconditionError(
      absl::StrCat(path, " has more than ", kMaxStackedMounts, " mounts on it"));
}

absl::Status Node::Detach(const std::string& volume_id) {
  const absl::StatusOr<v1::Volume> volume = FindVolume(*agent_, volume_id);
  if (absl::IsNotFound(volume.status())) return absl::OkStatus();
  RETURN_IF_ERROR(volume.status());
  v1::DetachVolumeRequest detach;
  detach.set_volume(volume_id);
  absl::Status status = agent_->DetachVolume(detach).status();
  // I/O of a failed attachment has failed already: force loses nothing more.
  if (absl::IsFailedPrecondition(status) &&
      volume->attachment().state() == v1::ATTACHMENT_STATE_FAILED) {
    detach.set_force(true);
    status = agent_->DetachVolume(detach).status();
  }
  return status;
}

absl::Status Node::Unstage(const ::csi::v1::NodeUnstageVolumeRequest& request) {
  RETURN_IF_ERROR(RequireId(request.volume_id()));
  RETURN_IF_ERROR(CheckPath("staging_target_path", request.staging_target_path()));
  const std::string path = Trimmed(request.staging_target_path());
  const std::string device = StagedDevice(path);
  ASSIGN_OR_RETURN(const InFlight::Hold hold, in_flight_.Acquire(request.volume_id()));
  ASSIGN_OR_RETURN(const std::vector<MountEntry> mounts, host_->Mounts());
  // A bound device node does not keep the device open, so the agent can't see these users.
  if (const std::optional<MountEntry> staged = MountAt(mounts, device)) {
    for (const MountEntry& mount : mounts) {
      if (mount.mount_point != device && SameSource(mount, *staged)) {
        return absl::FailedPreconditionError(absl::StrCat(
            "volume ", request.volume_id(), " is still published at ", mount.mount_point));
      }
    }
  }
  RETURN_IF_ERROR(UnmountAll(path));
  RETURN_IF_ERROR(UnmountAll(device));
  RETURN_IF_ERROR(host_->RemoveEmpty(device));
  return Detach(request.volume_id());
}

absl::Status Node::CheckPublished(const std::string& staged, const std::string& target,
                                  const Access& access, bool read_only) {
  ASSIGN_OR_RETURN(const std::vector<MountEntry> mounts, host_->Mounts());
  const std::optional<MountEntry> source = MountAt(mounts, staged);
  if (!source) {
    return absl::FailedPreconditionError(absl::StrCat("nothing is staged at ", staged));
  }
  if (const std::optional<MountEntry> present = MountAt(mounts, target)) {
    // Of a device node the mount's flag says nothing; block access is read-only by its mode.
    const bool same_mode = access.block || present->read_only == (read_only || source->read_only);
    if (SameSource(*present, *source) && same_mode) return absl::OkStatus();
    return absl::AlreadyExistsError(
        absl::StrCat(target, " has something else published, or published otherwise"));
  }
  if (!access.many_targets) {
    for (const MountEntry& mount : mounts) {
      if (mount.mount_point != staged && SameSource(mount, *source)) {
        return absl::FailedPreconditionError(
            absl::StrCat("the volume is published at ", mount.mount_point,
                         " and its access mode allows one target"));
      }
    }
  }
  return absl::NotFoundError("not published");
}

absl::Status Node::Publish(const ::csi::v1::NodePublishVolumeRequest& request) {
  RETURN_IF_ERROR(RequireId(request.volume_id()));
  RETURN_IF_ERROR(CheckPath("target_path", request.target_path()));
  if (!request.has_volume_capability()) {
    return absl::InvalidArgumentError("volume_capability is missing");
  }
  ASSIGN_OR_RETURN(const Access access, ParseCapability(request.volume_capability()));
  if (request.staging_target_path().empty()) {
    return absl::FailedPreconditionError("staging_target_path is missing: stage the volume first");
  }
  RETURN_IF_ERROR(CheckPath("staging_target_path", request.staging_target_path()));
  const std::string staging = Trimmed(request.staging_target_path());
  const std::string target = Trimmed(request.target_path());
  ASSIGN_OR_RETURN(const InFlight::Hold hold, in_flight_.Acquire(request.volume_id()));
  ASSIGN_OR_RETURN(const v1::Volume volume, FindVolume(*agent_, request.volume_id()));
  absl::Status staged = CheckStaged(volume, staging, access);
  if (staged.ok() && access.block && request.readonly() && !access.read_only) {
    staged = absl::AlreadyExistsError(
        "a device is read-only by its access mode: use SINGLE_NODE_READER_ONLY");
  }
  if (absl::IsAlreadyExists(staged)) {
    // Published there already, then it is the publish that differs.
    ASSIGN_OR_RETURN(const std::vector<MountEntry> mounts, host_->Mounts());
    if (MountAt(mounts, target)) return staged;
    return absl::FailedPreconditionError(staged.message());
  }
  if (absl::IsNotFound(staged)) return absl::FailedPreconditionError(staged.message());
  RETURN_IF_ERROR(staged);

  const std::string source = access.block ? StagedDevice(staging) : staging;
  const bool read_only = request.readonly() || access.read_only;
  const absl::Status published = CheckPublished(source, target, access, read_only);
  if (!absl::IsNotFound(published)) return published;
  ASSIGN_OR_RETURN(const PathKind before, host_->KindOf(target));
  if (before != PathKind::kMissing &&
      before != (access.block ? PathKind::kFile : PathKind::kDirectory)) {
    return absl::FailedPreconditionError(absl::StrCat(
        target, " is there and is not a ", access.block ? "file" : "directory", "; remove it"));
  }
  RETURN_IF_ERROR(HostError(access.block ? host_->MakeFile(target) : host_->MakeDirectory(target)));
  const absl::Status status = host_->BindMount(source, target, read_only);
  if (!status.ok() && before == PathKind::kMissing) host_->RemoveEmpty(target).IgnoreError();
  return HostError(status);
}

absl::Status Node::Unpublish(const ::csi::v1::NodeUnpublishVolumeRequest& request) {
  RETURN_IF_ERROR(RequireId(request.volume_id()));
  RETURN_IF_ERROR(CheckPath("target_path", request.target_path()));
  const std::string target = Trimmed(request.target_path());
  ASSIGN_OR_RETURN(const InFlight::Hold hold, in_flight_.Acquire(request.volume_id()));
  RETURN_IF_ERROR(UnmountAll(target));
  return host_->RemoveEmpty(target);
}

absl::Status Node::Stats(const ::csi::v1::NodeGetVolumeStatsRequest& request,
                         ::csi::v1::NodeGetVolumeStatsResponse& response) {
  RETURN_IF_ERROR(RequireId(request.volume_id()));
  if (request.volume_path().empty()) {
    return absl::InvalidArgumentError("volume_path is missing");
  }
  const std::string path = Trimmed(request.volume_path());
  ASSIGN_OR_RETURN(const v1::Volume volume, FindVolume(*agent_, request.volume_id()));
  ASSIGN_OR_RETURN(const std::vector<MountEntry> mounts, host_->Mounts());
  const std::optional<MountEntry> mount = MountAt(mounts, path);
  const absl::Status elsewhere =
      absl::NotFoundError(absl::StrCat("volume ", volume.id(), " is not at ", path));
  if (!mount || !volume.has_attachment()) return elsewhere;
  ASSIGN_OR_RETURN(const DeviceNumber number,
                   host_->BlockDeviceNumber(volume.attachment().device_path()));
  if (mount->device == number) {
    ASSIGN_OR_RETURN(const Usage usage, host_->FilesystemUsage(path));
    AddUsage(response, VolumeUsage::BYTES, usage.total_bytes, usage.available_bytes,
             usage.used_bytes);
    AddUsage(response, VolumeUsage::INODES, usage.total_inodes, usage.available_inodes,
             usage.used_inodes);
    return absl::OkStatus();
  }
  const absl::StatusOr<DeviceNumber> bound = host_->BlockDeviceNumber(path);
  if (!bound.ok() || *bound != number) return elsewhere;
  VolumeUsage& usage = *response.add_usage();
  usage.set_unit(VolumeUsage::BYTES);
  ASSIGN_OR_RETURN(const uint64_t size, host_->BlockDeviceSize(path));
  usage.set_total(size);
  return absl::OkStatus();
}

grpc::Status Node::NodeStageVolume(grpc::ServerContext*,
                                   const ::csi::v1::NodeStageVolumeRequest* request,
                                   ::csi::v1::NodeStageVolumeResponse*) {
  return Serve("NodeStageVolume", *request, [&] { return Stage(*request); });
}

grpc::Status Node::NodeUnstageVolume(grpc::ServerContext*,
                                     const ::csi::v1::NodeUnstageVolumeRequest* request,
                                     ::csi::v1::NodeUnstageVolumeResponse*) {
  return Serve("NodeUnstageVolume", *request, [&] { return Unstage(*request); });
}

grpc::Status Node::NodePublishVolume(grpc::ServerContext*,
                                     const ::csi::v1::NodePublishVolumeRequest* request,
                                     ::csi::v1::NodePublishVolumeResponse*) {
  return Serve("NodePublishVolume", *request, [&] { return Publish(*request); });
}

grpc::Status Node::NodeUnpublishVolume(grpc::ServerContext*,
                                       const ::csi::v1::NodeUnpublishVolumeRequest* request,
                                       ::csi::v1::NodeUnpublishVolumeResponse*) {
  return Serve("NodeUnpublishVolume", *request, [&] { return Unpublish(*request); });
}

grpc::Status Node::NodeGetVolumeStats(grpc::ServerContext*,
                                      const ::csi::v1::NodeGetVolumeStatsRequest* request,
                                      ::csi::v1::NodeGetVolumeStatsResponse* response) {
  return Serve("NodeGetVolumeStats", *request, [&] { return Stats(*request, *response); });
}

grpc::Status Node::NodeGetCapabilities(grpc::ServerContext*,
                                       const ::csi::v1::NodeGetCapabilitiesRequest*,
                                       ::csi::v1::NodeGetCapabilitiesResponse* response) {
  for (const auto type :
       {NodeServiceCapability::RPC::STAGE_UNSTAGE_VOLUME,
        NodeServiceCapability::RPC::GET_VOLUME_STATS, NodeServiceCapability::RPC::EXPAND_VOLUME,
        NodeServiceCapability::RPC::SINGLE_NODE_MULTI_WRITER}) {
    response->add_capabilities()->mutable_rpc()->set_type(type);
  }
  return grpc::Status::OK;
}

grpc::Status Node::NodeGetInfo(grpc::ServerContext*, const ::csi::v1::NodeGetInfoRequest*,
                               ::csi::v1::NodeGetInfoResponse* response) {
  response->set_node_id(placement_.node_id);
  (*response->mutable_accessible_topology()->mutable_segments())[placement_.topology_key] =
      placement_.node_id;
  return grpc::Status::OK;
}

}  // namespace diskd::csi
