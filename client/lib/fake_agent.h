// SPDX-License-Identifier: Apache-2.0
//
// FakeAgent: an agent in memory for the unit tests of clients. It keeps the contract of
// diskd.v1 (validation, codes, same request same answer, page tokens) and does nothing else:
// device paths are names only. Deterministic: ids and devices count up from one.
//
// Thread-safe.
#ifndef DISKD_CLIENT_LIB_FAKE_AGENT_H_
#define DISKD_CLIENT_LIB_FAKE_AGENT_H_

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "client/lib/agent.h"

namespace diskd::client {

class FakeAgent : public Agent {
 public:
  // Drivers "memory" (no parameters) and "file" (parameter "directory"), of which "file" has
  // snapshots; transport fuse is available, buse is not.
  FakeAgent();

  // --- what tests arrange ---
  // The next call of `method` ("AttachVolume") has this answer and no effect. Queues up.
  void FailNext(absl::string_view method, absl::Status status);
  // Every call has this answer, until OK is set: an agent that is down.
  void SetDown(absl::Status status);
  // The volume's device is open: DetachVolume without force is refused.
  void SetDeviceOpen(absl::string_view volume_name, bool open);
  // Another call works on the volume: calls that change it are refused with ABORTED.
  void SetBusy(absl::string_view volume_name, bool busy);
  void SetAttachmentState(absl::string_view volume_name, v1::AttachmentState state,
                          absl::string_view message);
  // The volume's attachments from now on have this device, instead of a made-up name.
  void SetDevicePath(absl::string_view volume_name, absl::string_view device_path);
  void SetTransports(std::vector<v1::TransportInfo> transports);
  void SetDrivers(std::vector<v1::DriverInfo> drivers);
  // CreateVolume beyond this sum of sizes is RESOURCE_EXHAUSTED.
  void SetCapacity(uint64_t bytes);
  void SetCheck(v1::CheckVolumeResponse check);  // what every check finds
  // Every difference of snapshots, one in each answer.
  void SetExtents(std::vector<v1::Extent> extents);
  void SetStats(v1::GetVolumeStatsResponse stats);  // of every attached volume

  // --- what tests ask ---
  // Calls of `method` so far, failed ones included.
  int Calls(absl::string_view method) const;
  // The last request of its kind, whatever came of it.
  v1::AttachVolumeRequest last_attach() const;
  v1::CreateVolumeRequest last_create() const;
  v1::SetVolumeSecretsRequest last_secrets() const;

  // --- Agent ---
  absl::StatusOr<v1::CreateVolumeResponse> CreateVolume(
      const v1::CreateVolumeRequest& request) override;
  absl::StatusOr<v1::GetVolumeResponse> GetVolume(const v1::GetVolumeRequest& request) override;
  absl::StatusOr<v1::ListVolumesResponse> ListVolumes(
      const v1::ListVolumesRequest& request) override;
  absl::StatusOr<v1::DeleteVolumeResponse> DeleteVolume(
      const v1::DeleteVolumeRequest& request) override;
  absl::StatusOr<v1::ResizeVolumeResponse> ResizeVolume(
      const v1::ResizeVolumeRequest& request) override;
  absl::StatusOr<v1::CheckVolumeResponse> CheckVolume(
      const v1::CheckVolumeRequest& request) override;
  absl::StatusOr<v1::DiffSnapshotsResponse> DiffSnapshots(
      const v1::DiffSnapshotsRequest& request) override;
  absl::StatusOr<v1::SetVolumeSecretsResponse> SetVolumeSecrets(
      const v1::SetVolumeSecretsRequest& request) override;
  absl::StatusOr<v1::GetVolumeStatsResponse> GetVolumeStats(
      const v1::GetVolumeStatsRequest& request) override;
  absl::StatusOr<v1::CreateSnapshotResponse> CreateSnapshot(
      const v1::CreateSnapshotRequest& request) override;
  absl::StatusOr<v1::ListSnapshotsResponse> ListSnapshots(
      const v1::ListSnapshotsRequest& request) override;
  absl::StatusOr<v1::DeleteSnapshotResponse> DeleteSnapshot(
      const v1::DeleteSnapshotRequest& request) override;
  absl::StatusOr<v1::RollBackVolumeResponse> RollBackVolume(
      const v1::RollBackVolumeRequest& request) override;
  absl::StatusOr<v1::AttachVolumeResponse> AttachVolume(
      const v1::AttachVolumeRequest& request) override;
  absl::StatusOr<v1::DetachVolumeResponse> DetachVolume(
      const v1::DetachVolumeRequest& request) override;
  absl::StatusOr<v1::UpgradeDriverResponse> UpgradeDriver(
      const v1::UpgradeDriverRequest& request) override;
  absl::StatusOr<v1::ListAttachmentsResponse> ListAttachments(
      const v1::ListAttachmentsRequest& request) override;
  absl::StatusOr<v1::GetNodeInfoResponse> GetNodeInfo(
      const v1::GetNodeInfoRequest& request) override;
  absl::StatusOr<v1::ListDriversResponse> ListDrivers(
      const v1::ListDriversRequest& request) override;

 private:
  // Counts the call; the error that the test ordered, if any.
  absl::Status BeginCall(absl::string_view method) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // By id or name; nullptr: none.
  v1::Volume* Find(absl::string_view volume) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // A volume whose driver has snapshots, and on which nobody works.
  absl::StatusOr<v1::Volume*> FindForSnapshots(absl::string_view volume)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckNotBusy(const v1::Volume& volume) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckCreate(const v1::CreateVolumeRequest& request) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckParameters(const v1::CreateVolumeRequest& request) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<v1::Transport> PickTransport(v1::Transport wanted) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  v1::Attachment NewAttachment(const v1::Volume& volume, const v1::AttachVolumeRequest& request,
                               v1::Transport transport) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  std::map<std::string, v1::Volume> volumes_ ABSL_GUARDED_BY(mutex_);  // by id
  std::map<std::string, std::deque<absl::Status>> failures_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, int> calls_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::string> device_paths_ ABSL_GUARDED_BY(mutex_);  // by volume name
  std::set<std::string> open_ ABSL_GUARDED_BY(mutex_);                       // volume names
  std::set<std::string> busy_ ABSL_GUARDED_BY(mutex_);                       // volume names
  std::map<std::string, std::vector<v1::Snapshot>> snapshots_
      ABSL_GUARDED_BY(mutex_);  // by volume id
  v1::GetVolumeStatsResponse stats_ ABSL_GUARDED_BY(mutex_);
  v1::CheckVolumeResponse check_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::Extent> extents_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> upgraded_ ABSL_GUARDED_BY(mutex_);  // volume ids
  std::vector<v1::TransportInfo> transports_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::DriverInfo> drivers_ ABSL_GUARDED_BY(mutex_);
  absl::Status down_ ABSL_GUARDED_BY(mutex_);
  uint64_t capacity_ ABSL_GUARDED_BY(mutex_) = UINT64_MAX;
  uint64_t last_id_ ABSL_GUARDED_BY(mutex_) = 0;
  int last_device_ ABSL_GUARDED_BY(mutex_) = -1;
  v1::AttachVolumeRequest last_attach_ ABSL_GUARDED_BY(mutex_);
  v1::CreateVolumeRequest last_create_ ABSL_GUARDED_BY(mutex_);
  v1::SetVolumeSecretsRequest last_secrets_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace diskd::client

#endif  // DISKD_CLIENT_LIB_FAKE_AGENT_H_
