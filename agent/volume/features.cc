// SPDX-License-Identifier: Apache-2.0
#include "agent/volume/features.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/supervisor/driver_calls.h"
#include "agent/volume/at_rest.h"
#include "agent/volume/check.h"
#include "agent/volume/names.h"
#include "agent/volume/resize.h"
#include "base/log.h"
#include "base/status_macros.h"

namespace diskd::agent {
namespace {

using diskd::driver::v1::FeatureRequest;
using diskd::driver::v1::FeatureResponse;

// More than a volume can have; ends with a driver that never does.
constexpr int kMaxListCalls = 1024;

diskd::v1::Snapshot Show(const VolumeRecord& volume, const diskd::driver::v1::Snapshot& snapshot) {
  diskd::v1::Snapshot shown;
  shown.set_id(snapshot.id());
  shown.set_name(snapshot.name());
  shown.set_size_bytes(snapshot.size_bytes());
  shown.set_volume_id(volume.id());
  shown.set_volume_name(volume.name());
  return shown;
}

void Show(const diskd::driver::v1::Statistic& statistic, diskd::v1::Statistic* shown) {
  shown->set_name(statistic.name());
  shown->set_value(statistic.value());
  shown->set_unit(statistic.unit());
}

absl::Status CheckReady(const VolumeRecord& volume) {
  if (volume.state() == diskd::v1::VOLUME_STATE_READY) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("volume \"", volume.name(), "\" is in state ",
                                                    diskd::v1::VolumeState_Name(volume.state()),
                                                    ": finish that first"));
}

// To the caller CANCELLED would mean that it has cancelled.
absl::Status NotCancelled(const absl::Status& status) {
  return absl::IsCancelled(status) ? absl::UnavailableError(status.message()) : status;
}

}  // namespace

absl::StatusOr<FeatureResponse> Features::Call(const VolumeRecord& volume, FeatureRequest request) {
  RETURN_IF_ERROR(CheckReady(volume));
  ASSIGN_OR_RETURN(const auto attachment, environment_.store->FindAttachment(volume.id()));
  *request.mutable_config() =
      ConfigOf(environment_, volume, attachment.has_value() && attachment->read_only);
  absl::StatusOr<FeatureResponse> response = FeatureResponse();
  absl::Status status;
  if (attachment.has_value()) {
    status = attachments_->UseServing(volume, [&](DriverProcess& process) {
      response = CallFeature(process, request, kServingFeatureLimit);
      return response.status();
    });
  } else {
    request.set_tell_progress(true);
    response = CallAtRest(environment_, volume, request, /*slot=*/0, kRestingFeatureLimit);
    status = response.status();
  }
  if (status.ok()) return response;
  return NotCancelled(ForCaller(status));
}

absl::StatusOr<diskd::v1::CreateSnapshotResponse> Features::CreateSnapshot(
    const diskd::v1::CreateSnapshotRequest& request) {
  RETURN_IF_ERROR(CheckName(request.name()));
  ASSIGN_OR_RETURN(const LockedVolume locked, LockVolume(environment_, request.volume()));
  const VolumeRecord& volume = locked.record;
  FeatureRequest feature;
  feature.mutable_create_snapshot()->set_name(request.name());
  ASSIGN_OR_RETURN(const FeatureResponse answer, Call(volume, std::move(feature)));
  diskd::v1::CreateSnapshotResponse response;
  *response.mutable_snapshot() = Show(volume, answer.create_snapshot().snapshot());
  response.set_existed(answer.create_snapshot().existed());
  SPDLOG_INFO("volume {} ({}): snapshot {}{}", volume.id(), volume.name(), request.name(),
              response.existed() ? " is there already" : "");
  return response;
}

absl::StatusOr<diskd::v1::ListSnapshotsResponse> Features::ListSnapshots(
    const diskd::v1::ListSnapshotsRequest& request) {
  ASSIGN_OR_RETURN(const LockedVolume locked, LockVolume(environment_, request.volume()));
  diskd::v1::ListSnapshotsResponse response;
  uint64_t after = 0;
  for (int calls = 0; calls < kMaxListCalls; ++calls) {
    FeatureRequest feature;
    feature.mutable_list_snapshots()->set_after_id(after);
    ASSIGN_OR_RETURN(const FeatureResponse answer, Call(locked.record, std::move(feature)));
    for (const auto& snapshot : answer.list_snapshots().snapshots()) {
      *response.add_snapshots() = Show(locked.record, snapshot);
      after = snapshot.id();
    }
    if (!answer.list_snapshots().more()) return response;
  }
  return absl::InternalError(absl::StrCat("driver ", locked.record.driver(),
                                          " lists snapshots without end: its log may say why"));
}

absl::Status Features::DeleteSnapshot(const diskd::v1::DeleteSnapshotRequest& request) {
  auto locked = LockVolume(environment_, request.volume());
  if (absl::IsNotFound(locked.status())) return absl::OkStatus();
  RETURN_IF_ERROR(locked.status());
  FeatureRequest feature;
  feature.mutable_delete_snapshot()->set_name(request.name());
  RETURN_IF_ERROR(Call(locked->record, std::move(feature)).status());
  SPDLOG_INFO("volume {} ({}): no snapshot {} any more", locked->record.id(), locked->record.name(),
              request.name());
  return absl::OkStatus();
}

absl::StatusOr<LockedVolume> Features::LockDetached(const std::string& key) {
  ASSIGN_OR_RETURN(LockedVolume locked, LockVolume(environment_, key));
  ASSIGN_OR_RETURN(const auto attachment, environment_.store->FindAttachment(locked.record.id()));
  if (!attachment.has_value()) return locked;
  return absl::FailedPreconditionError(
      absl::StrCat("volume \"", locked.record.name(),
                   "\" is attached: detach it first, since its users would not notice"));
}

absl::StatusOr<diskd::v1::RollBackVolumeResponse> Features::RollBack(
    const diskd::v1::RollBackVolumeRequest& request) {
  ASSIGN_OR_RETURN(LockedVolume locked, LockDetached(request.volume()));
  VolumeRecord& volume = locked.record;
  FeatureRequest feature;
  feature.mutable_roll_back()->set_snapshot(request.snapshot());
  ASSIGN_OR_RETURN(const FeatureResponse answer, Call(volume, std::move(feature)));
  diskd::v1::RollBackVolumeResponse response;
  response.set_size_bytes(answer.roll_back().size_bytes());
  volume.set_size_bytes(response.size_bytes());
  volume.set_resize_bytes(0);  // nobody wants that size any more
  RETURN_IF_ERROR(environment_.store->PutVolume(volume));
  SPDLOG_INFO("volume {} ({}): rolled back to snapshot {}, {} bytes", volume.id(), volume.name(),
              request.snapshot(), volume.size_bytes());
  return response;
}

absl::StatusOr<diskd::v1::Volume> Features::Resize(const diskd::v1::ResizeVolumeRequest& request) {
  ASSIGN_OR_RETURN(LockedVolume locked, LockVolume(environment_, request.volume()));
  RETURN_IF_ERROR(Resize(locked.record, request.size_bytes()));
  return locked.record;
}

absl::Status Features::FinishResize(const std::string& volume) {
  ASSIGN_OR_RETURN(LockedVolume locked, LockVolume(environment_, volume));
  if (locked.record.resize_bytes() == 0) return absl::OkStatus();
  return Resize(locked.record, locked.record.resize_bytes());
}

absl::Status Features::Resize(VolumeRecord& volume, uint64_t size_bytes) {
  ASSIGN_OR_RETURN(const auto attachment, environment_.store->FindAttachment(volume.id()));
  RETURN_IF_ERROR(CheckSize(size_bytes, volume.logical_block_bytes()));
  if (attachment.has_value() && size_bytes < volume.size_bytes()) {
    return absl::FailedPreconditionError(
        absl::StrCat("volume \"", volume.name(),
                     "\" is attached and can only grow: detach it first, since its users would not "
                     "notice"));
  }
  RETURN_IF_ERROR(ChangeSize(environment_, volume, size_bytes, [&](const FeatureRequest& feature) {
    return Call(volume, feature).status();
  }));
  if (attachment.has_value()) RETURN_IF_ERROR(attachments_->ShowNewSize(volume));
  SPDLOG_INFO("volume {} ({}): has {} bytes now", volume.id(), volume.name(), volume.size_bytes());
  return absl::OkStatus();
}

absl::StatusOr<FeatureResponse> Features::Look(const std::string& key, FeatureRequest request,
                                               absl::Duration limit) {
  ASSIGN_OR_RETURN(const auto volume, environment_.store->FindVolume(key));
  if (!volume) return NoSuchVolume(key);
  RETURN_IF_ERROR(CheckReady(*volume));
  // No volume has such a name. It may be detached and even deleted meanwhile: then there is less
  // to see.
  ASSIGN_OR_RETURN(const VolumeLocks::Lock lock,
                   environment_.locks->Acquire(absl::StrCat(volume->name(), "/look")));
  *request.mutable_config() = ConfigOf(environment_, *volume, /*read_only=*/true);
  absl::StatusOr<FeatureResponse> response =
      CallAtRest(environment_, *volume, request, kLookSlot, limit);
  if (response.ok()) return response;
  return NotCancelled(ForCaller(response.status()));
}

absl::StatusOr<diskd::v1::DiffSnapshotsResponse> Features::Diff(
    const diskd::v1::DiffSnapshotsRequest& request) {
  FeatureRequest feature;
  feature.mutable_diff()->set_from(request.from());
  feature.mutable_diff()->set_to(request.to());
  feature.mutable_diff()->set_begin(request.begin());
  ASSIGN_OR_RETURN(const FeatureResponse answer,
                   Look(request.volume(), std::move(feature), kRestingFeatureLimit));
  diskd::v1::DiffSnapshotsResponse response;
  for (const auto& extent : answer.diff().extents()) {
    auto* added = response.add_extents();
    added->set_offset(extent.offset());
    added->set_length(extent.length());
    added->set_zero(extent.zero());
  }
  response.set_next(answer.diff().next());
  response.set_size_bytes(answer.diff().size_bytes());
  return response;
}

absl::StatusOr<diskd::v1::CheckVolumeResponse> Features::Check(
    const diskd::v1::CheckVolumeRequest& request) {
  ASSIGN_OR_RETURN(const LongCalls::Place place, environment_.long_calls->Begin());
  FeatureRequest feature;
  feature.mutable_check();
  ASSIGN_OR_RETURN(const FeatureResponse answer,
                   Look(request.volume(), std::move(feature), kCheckLimit));
  diskd::v1::CheckVolumeResponse response;
  for (const auto& count : answer.check().counts()) Show(count, response.add_counts());
  *response.mutable_problems() = answer.check().problems();
  response.set_more_problems(answer.check().more_problems());
  // The caller may not wait any more.
  SPDLOG_INFO("volume {}: checked, {}{} problems", request.volume(), response.problems_size(),
              response.more_problems() ? " and more" : "");
  for (const std::string& problem : response.problems()) {
    SPDLOG_WARN("volume {}: {}", request.volume(), problem);
  }
  return response;
}

absl::StatusOr<diskd::v1::GetVolumeStatsResponse> Features::Stats(
    const diskd::v1::GetVolumeStatsRequest& request) {
  // Without the lock: looking disturbs nobody.
  ASSIGN_OR_RETURN(const auto volume, environment_.store->FindVolume(request.volume()));
  if (!volume) return NoSuchVolume(request.volume());
  diskd::v1::GetVolumeStatsResponse stats;
  const absl::Status status =
      attachments_->UseServing(*volume, [&](DriverProcess& process) -> absl::Status {
        ASSIGN_OR_RETURN(const auto counted, GetStatus(process));
        stats.set_reads(counted.reads());
        stats.set_writes(counted.writes());
        stats.set_read_bytes(counted.read_bytes());
        stats.set_written_bytes(counted.written_bytes());
        stats.set_flushes(counted.flushes());
        stats.set_errors(counted.errors());
        FeatureRequest feature;
        *feature.mutable_config() = ConfigOf(environment_, *volume, /*read_only=*/false);
        feature.mutable_statistics();
        const auto own = CallFeature(process, feature, kServingFeatureLimit);
        if (absl::IsUnimplemented(own.status())) return absl::OkStatus();
        RETURN_IF_ERROR(own.status());
        for (const auto& statistic : own->statistics().statistics()) {
          Show(statistic, stats.add_statistics());
        }
        return absl::OkStatus();
      });
  RETURN_IF_ERROR(NotCancelled(ForCaller(status)));
  return stats;
}

}  // namespace diskd::agent
