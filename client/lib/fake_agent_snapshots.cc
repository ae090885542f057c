// SPDX-License-Identifier: Apache-2.0
//
// FakeAgent: snapshots and statistics.
#include <algorithm>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/lib/fake_agent.h"

namespace diskd::client {
namespace {

bool ValidSnapshotName(absl::string_view name) {
  return !name.empty() && name.find('/') == absl::string_view::npos;
}

absl::Status NoVolume(absl::string_view volume) {
  return absl::NotFoundError(absl::StrCat("no volume ", volume));
}

}  // namespace

void FakeAgent::SetCheck(v1::CheckVolumeResponse check) {
  absl::MutexLock lock(&mutex_);
  check_ = std::move(check);
}

void FakeAgent::SetExtents(std::vector<v1::Extent> extents) {
  absl::MutexLock lock(&mutex_);
  extents_ = std::move(extents);
}

absl::StatusOr<v1::ResizeVolumeResponse> FakeAgent::ResizeVolume(
    const v1::ResizeVolumeRequest& request) {
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(BeginCall("ResizeVolume"));
  ASSIGN_OR_RETURN(v1::Volume * volume, FindForSnapshots(request.volume()));
  if (volume->has_attachment() && request.size_bytes() < volume->size_bytes()) {
    return absl::FailedPreconditionError(
        absl::StrCat(volume->name(), " is attached and can only grow"));
  }
  volume->set_size_bytes(request.size_bytes());
  v1::ResizeVolumeResponse response;
  *response.mutable_volume() = *volume;
  return response;
}

absl::StatusOr<v1::CheckVolumeResponse> FakeAgent::CheckVolume(
    const v1::CheckVolumeRequest& request) {
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(BeginCall("CheckVolume"));
  RETURN_IF_ERROR(FindForSnapshots(request.volume()).status());
  return check_;
}

absl::StatusOr<v1::DiffSnapshotsResponse> FakeAgent::DiffSnapshots(
    const v1::DiffSnapshotsRequest& request) {
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(BeginCall("DiffSnapshots"));
  ASSIGN_OR_RETURN(const v1::Volume* volume, FindForSnapshots(request.volume()));
  v1::DiffSnapshotsResponse response;
  response.set_size_bytes(volume->size_bytes());
  response.set_next(volume->size_bytes());
  for (const v1::Extent& extent : extents_) {
    if (extent.offset() < request.begin()) continue;
    *response.add_extents() = extent;
    response.set_next(extent.offset() + extent.length());
    break;
  }
  return response;
}

v1::SetVolumeSecretsRequest FakeAgent::last_secrets() const {
  const absl::MutexLock lock(&mutex_);
  return last_secrets_;
}

absl::StatusOr<v1::SetVolumeSecretsResponse> FakeAgent::SetVolumeSecrets(
    const v1::SetVolumeSecretsRequest& request) {
  const absl::MutexLock lock(&mutex_);
  last_secrets_ = request;
  RETURN_IF_ERROR(BeginCall("SetVolumeSecrets"));
  if (Find(request.volume()) == nullptr) {
    return absl::NotFoundError(absl::StrCat("no volume ", request.volume()));
  }
  return v1::SetVolumeSecretsResponse();
}

void FakeAgent::SetStats(v1::GetVolumeStatsResponse stats) {
  absl::MutexLock lock(&mutex_);
  stats_ = std::move(stats);
}

absl::StatusOr<v1::GetVolumeStatsResponse> FakeAgent::GetVolumeStats(
    const v1::GetVolumeStatsRequest& request) {
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(BeginCall("GetVolumeStats"));
  const v1::Volume* volume = Find(request.volume());
  if (volume == nullptr) return NoVolume(request.volume());
  if (!volume->has_attachment()) {
    return absl::FailedPreconditionError(absl::StrCat(volume->name(), " is not attached"));
  }
  return stats_;
}

absl::StatusOr<v1::Volume*> FakeAgent::FindForSnapshots(absl::string_view name) {
  v1::Volume* volume = Find(name);
  if (volume == nullptr) return NoVolume(name);
  RETURN_IF_ERROR(CheckNotBusy(*volume));
  if (volume->driver() == "file") return volume;
  return absl::UnimplementedError(
      absl::StrCat("driver ", volume->driver(), " does not have snapshots"));
}

absl::StatusOr<v1::CreateSnapshotResponse> FakeAgent::CreateSnapshot(
    const v1::CreateSnapshotRequest& request) {
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(BeginCall("CreateSnapshot"));
  if (!ValidSnapshotName(request.name())) {
    return absl::InvalidArgumentError(absl::StrCat("name \"", request.name(), "\""));
  }
  ASSIGN_OR_RETURN(const v1::Volume* volume, FindForSnapshots(request.volume()));
  std::vector<v1::Snapshot>& snapshots = snapshots_[volume->id()];
  v1::CreateSnapshotResponse response;
  for (const v1::Snapshot& snapshot : snapshots) {
    if (snapshot.name() != request.name()) continue;
    *response.mutable_snapshot() = snapshot;
    response.set_existed(true);
    return response;
  }
  v1::Snapshot& snapshot = snapshots.emplace_back();
  snapshot.set_id(++last_id_);
  snapshot.set_name(request.name());
  snapshot.set_size_bytes(volume->size_bytes());
  snapshot.set_volume_id(volume->id());
  snapshot.set_volume_name(volume->name());
  *response.mutable_snapshot() = snapshot;
  return response;
}

absl::StatusOr<v1::ListSnapshotsResponse> FakeAgent::ListSnapshots(
    const v1::ListSnapshotsRequest& request) {
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(BeginCall("ListSnapshots"));
  ASSIGN_OR_RETURN(const v1::Volume* volume, FindForSnapshots(request.volume()));
  v1::ListSnapshotsResponse response;
  for (const v1::Snapshot& snapshot : snapshots_[volume->id()]) {
    *response.add_snapshots() = snapshot;
  }
  return response;
}

absl::StatusOr<v1::DeleteSnapshotResponse> FakeAgent::DeleteSnapshot(
    const v1::DeleteSnapshotRequest& request) {
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(BeginCall("DeleteSnapshot"));
  if (Find(request.volume()) == nullptr) return v1::DeleteSnapshotResponse();
  ASSIGN_OR_RETURN(const v1::Volume* volume, FindForSnapshots(request.volume()));
  std::vector<v1::Snapshot>& snapshots = snapshots_[volume->id()];
  snapshots.erase(std::remove_if(snapshots.begin(), snapshots.end(),
                                 [&](const v1::Snapshot& snapshot) {
                                   return snapshot.name() == request.name();
                                 }),
                  snapshots.end());
  return v1::DeleteSnapshotResponse();
}

absl::StatusOr<v1::RollBackVolumeResponse> FakeAgent::RollBackVolume(
    const v1::RollBackVolumeRequest& request) {
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(BeginCall("RollBackVolume"));
  ASSIGN_OR_RETURN(const v1::Volume* volume, FindForSnapshots(request.volume()));
  if (volume->has_attachment()) {
    return absl::FailedPreconditionError(absl::StrCat(volume->name(), " is attached"));
  }
  if (absl::c_none_of(snapshots_[volume->id()], [&](const v1::Snapshot& snapshot) {
        return snapshot.name() == request.snapshot();
      })) {
    return absl::NotFoundError(absl::StrCat("there is no snapshot \"", request.snapshot(), "\""));
  }
  return v1::RollBackVolumeResponse();
}

}  // namespace diskd::client
