// SPDX-License-Identifier: Apache-2.0
#include "agent/volume/features.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/supervisor/driver_calls.h"
#include "agent/volume/names.h"
#include "base/log.h"
#include "base/status_macros.h"

namespace diskd::agent {
namespace {

using diskd::driver::v1::FeatureRequest;
using diskd::driver::v1::FeatureResponse;

// The driver has let everything go before it answered; only the process has to end.
constexpr absl::Duration kShortShutdownLimit = absl::Seconds(5);
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

absl::StatusOr<FeatureResponse> Features::CallAtRest(const VolumeRecord& volume,
                                                     const FeatureRequest& request) {
  ASSIGN_OR_RETURN(const std::unique_ptr<DriverProcess> process,
                   environment_.launcher->Launch(volume.id(), volume.driver(), 0));
  absl::StatusOr<FeatureResponse> response = CallFeature(*process, request, kRestingFeatureLimit);
  const absl::Status ended = ShutDown(*process, kShortShutdownLimit);
  if (response.ok() && !ended.ok()) {
    SPDLOG_WARN("volume {}: driver process {} ended badly: {}", volume.id(), process->pid(),
                std::string(ended.message()));
  }
  return response;
}

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
    response = CallAtRest(volume, request);
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

absl::Status Features::RollBack(const diskd::v1::RollBackVolumeRequest& request) {
  ASSIGN_OR_RETURN(const LockedVolume locked, LockVolume(environment_, request.volume()));
  const VolumeRecord& volume = locked.record;
  ASSIGN_OR_RETURN(const auto attachment, environment_.store->FindAttachment(volume.id()));
  if (attachment.has_value()) {
    return absl::FailedPreconditionError(
        absl::StrCat("volume \"", volume.name(),
                     "\" is attached: detach it first, since its users would not notice"));
  }
  FeatureRequest feature;
  feature.mutable_roll_back()->set_snapshot(request.snapshot());
  RETURN_IF_ERROR(Call(volume, std::move(feature)).status());
  SPDLOG_INFO("volume {} ({}): rolled back to snapshot {}", volume.id(), volume.name(),
              request.snapshot());
  return absl::OkStatus();
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
          auto* added = stats.add_statistics();
          added->set_name(statistic.name());
          added->set_value(statistic.value());
          added->set_unit(statistic.unit());
        }
        return absl::OkStatus();
      });
  RETURN_IF_ERROR(NotCancelled(ForCaller(status)));
  return stats;
}

}  // namespace diskd::agent
