// SPDX-License-Identifier: Apache-2.0
//
// What only some drivers can do with a volume: snapshots, rollback, statistics. The driver is the
// only one who knows what snapshots there are. Thread-safe.
#ifndef DISKD_AGENT_VOLUME_FEATURES_H_
#define DISKD_AGENT_VOLUME_FEATURES_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/volume/attachments.h"
#include "agent/volume/environment.h"
#include "proto/diskd/v1/diskd.pb.h"

namespace diskd::agent {

class Features {
 public:
  Features(const Environment& environment, Attachments* attachments)
      : environment_(environment), attachments_(attachments) {}

  // Errors: proto/diskd/v1/diskd.proto.
  absl::StatusOr<diskd::v1::CreateSnapshotResponse> CreateSnapshot(
      const diskd::v1::CreateSnapshotRequest& request);
  absl::StatusOr<diskd::v1::ListSnapshotsResponse> ListSnapshots(
      const diskd::v1::ListSnapshotsRequest& request);
  absl::Status DeleteSnapshot(const diskd::v1::DeleteSnapshotRequest& request);
  absl::StatusOr<diskd::v1::RollBackVolumeResponse> RollBack(
      const diskd::v1::RollBackVolumeRequest& request);
  absl::StatusOr<diskd::v1::DiffSnapshotsResponse> Diff(
      const diskd::v1::DiffSnapshotsRequest& request);
  absl::StatusOr<diskd::v1::Volume> Resize(const diskd::v1::ResizeVolumeRequest& request);
  // Of the one that a former call has begun, if it is still to be done: no caller has asked for
  // another size meanwhile.
  absl::Status FinishResize(const std::string& volume);
  absl::StatusOr<diskd::v1::CheckVolumeResponse> Check(
      const diskd::v1::CheckVolumeRequest& request);
  absl::StatusOr<diskd::v1::GetVolumeStatsResponse> Stats(
      const diskd::v1::GetVolumeStatsRequest& request);

 private:
  // In the process that serves the volume; at rest, in one of its own. The caller has the lock.
  absl::StatusOr<diskd::driver::v1::FeatureResponse> Call(
      const VolumeRecord& volume, diskd::driver::v1::FeatureRequest request);
  // In a process of its own, whether or not another one serves the volume, and without its lock.
  absl::StatusOr<diskd::driver::v1::FeatureResponse> Look(const std::string& key,
                                                          diskd::driver::v1::FeatureRequest request,
                                                          absl::Duration limit);
  absl::StatusOr<LockedVolume> LockDetached(const std::string& key);
  absl::Status Resize(VolumeRecord& volume, uint64_t size_bytes);

  const Environment environment_;
  Attachments* const attachments_;
};

}  // namespace diskd::agent

#endif  // DISKD_AGENT_VOLUME_FEATURES_H_
