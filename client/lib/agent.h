// SPDX-License-Identifier: Apache-2.0
//
// Agent: the node agent as its clients see it, one method for each RPC of diskd.v1. Client
// (client.h) speaks to a real agent; FakeAgent (fake_agent.h) is one in memory for tests.
//
// Implementations are thread-safe. Calls block until there is an answer or the implementation's
// deadline has passed. The meaning of requests and codes is in proto/diskd/v1/diskd.proto; each
// call may be repeated, and the same request again has the same answer.
#ifndef DISKD_CLIENT_LIB_AGENT_H_
#define DISKD_CLIENT_LIB_AGENT_H_

#include <vector>

#include "absl/status/statusor.h"
#include "proto/diskd/v1/diskd.pb.h"
#include "proto/diskd/v1/types.pb.h"

namespace diskd::client {

class Agent {
 public:
  virtual ~Agent() = default;

  virtual absl::StatusOr<v1::CreateVolumeResponse> CreateVolume(
      const v1::CreateVolumeRequest& request) = 0;
  virtual absl::StatusOr<v1::GetVolumeResponse> GetVolume(const v1::GetVolumeRequest& request) = 0;
  virtual absl::StatusOr<v1::ListVolumesResponse> ListVolumes(
      const v1::ListVolumesRequest& request) = 0;
  virtual absl::StatusOr<v1::DeleteVolumeResponse> DeleteVolume(
      const v1::DeleteVolumeRequest& request) = 0;
  virtual absl::StatusOr<v1::ResizeVolumeResponse> ResizeVolume(
      const v1::ResizeVolumeRequest& request) = 0;
  virtual absl::StatusOr<v1::CheckVolumeResponse> CheckVolume(
      const v1::CheckVolumeRequest& request) = 0;
  virtual absl::StatusOr<v1::DiffSnapshotsResponse> DiffSnapshots(
      const v1::DiffSnapshotsRequest& request) = 0;
  virtual absl::StatusOr<v1::SetVolumeSecretsResponse> SetVolumeSecrets(
      const v1::SetVolumeSecretsRequest& request) = 0;
  virtual absl::StatusOr<v1::GetVolumeStatsResponse> GetVolumeStats(
      const v1::GetVolumeStatsRequest& request) = 0;

  virtual absl::StatusOr<v1::CreateSnapshotResponse> CreateSnapshot(
      const v1::CreateSnapshotRequest& request) = 0;
  virtual absl::StatusOr<v1::ListSnapshotsResponse> ListSnapshots(
      const v1::ListSnapshotsRequest& request) = 0;
  virtual absl::StatusOr<v1::DeleteSnapshotResponse> DeleteSnapshot(
      const v1::DeleteSnapshotRequest& request) = 0;
  virtual absl::StatusOr<v1::RollBackVolumeResponse> RollBackVolume(
      const v1::RollBackVolumeRequest& request) = 0;

  virtual absl::StatusOr<v1::AttachVolumeResponse> AttachVolume(
      const v1::AttachVolumeRequest& request) = 0;
  virtual absl::StatusOr<v1::DetachVolumeResponse> DetachVolume(
      const v1::DetachVolumeRequest& request) = 0;
  virtual absl::StatusOr<v1::UpgradeDriverResponse> UpgradeDriver(
      const v1::UpgradeDriverRequest& request) = 0;
  virtual absl::StatusOr<v1::ListAttachmentsResponse> ListAttachments(
      const v1::ListAttachmentsRequest& request) = 0;

  virtual absl::StatusOr<v1::GetNodeInfoResponse> GetNodeInfo(
      const v1::GetNodeInfoRequest& request) = 0;
  virtual absl::StatusOr<v1::ListDriversResponse> ListDrivers(
      const v1::ListDriversRequest& request) = 0;
};

// Every volume, by id: follows the page tokens. INTERNAL: the agent's pages don't end.
absl::StatusOr<std::vector<v1::Volume>> ListAllVolumes(Agent& agent);

}  // namespace diskd::client

#endif  // DISKD_CLIENT_LIB_AGENT_H_
