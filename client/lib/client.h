// SPDX-License-Identifier: Apache-2.0
//
// Client: the node agent over its Unix socket.
//
// Thread-safe; one Client serves a whole process. Each call ends at the latest `call_timeout`
// after it began, retries included. Retried, after a jittered pause, at most `retry_limit` times:
//   - the agent can't be reached (it restarts): every call, since each may be repeated;
//   - UNAVAILABLE from the agent itself: every call but AttachVolume and UpgradeDriver, where it
//     means that the driver process fails;
//   - ABORTED, another call works on the volume: if `retry_aborted`.
// Errors have the codes of the RPC. An agent that can't be reached is UNAVAILABLE with a message
// that says what to check; IsAgentUnreachable (status.h) tells it from the agent's own
// UNAVAILABLE. After DEADLINE_EXCEEDED the agent goes on with the call: repeat it for the result.
#ifndef DISKD_CLIENT_LIB_CLIENT_H_
#define DISKD_CLIENT_LIB_CLIENT_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "client/lib/agent.h"

namespace diskd::client {

inline constexpr char kDefaultEndpoint[] = "unix:///run/diskd/diskd.sock";

struct ClientOptions {
  absl::Duration call_timeout = absl::Seconds(60);
  int retry_limit = 5;
  bool retry_aborted = false;
  // The pause doubles from the first to the longest, and is cut by up to a half at random.
  absl::Duration first_pause = absl::Milliseconds(100);
  absl::Duration longest_pause = absl::Seconds(2);
};

class Client : public Agent {
 public:
  // `endpoint`: unix:///run/diskd/diskd.sock, or the path alone. INVALID_ARGUMENT: endpoint or
  // options. The connection is made by the first call and again whenever it is lost, so the agent
  // need not run yet.
  static absl::StatusOr<std::unique_ptr<Client>> Connect(absl::string_view endpoint,
                                                         const ClientOptions& options = {});
  ~Client() override;

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
  struct Connection;  // channel and stubs
  explicit Client(std::unique_ptr<Connection> connection);

  const std::unique_ptr<Connection> connection_;
};

}  // namespace diskd::client

#endif  // DISKD_CLIENT_LIB_CLIENT_H_
