// SPDX-License-Identifier: Apache-2.0
//
// csi.v1.Node. Keeps nothing: the mount table says what is staged and published, the agent what is
// attached. A volume is staged by its file system on the staging path, or, for raw block access,
// by its device node bound to the file kStagedDevice in there. Thread-safe.
#ifndef DISKD_CLIENT_CSI_NODE_H_
#define DISKD_CLIENT_CSI_NODE_H_

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/csi/controller.h"
#include "client/csi/host.h"
#include "client/csi/in_flight.h"
#include "client/csi/request.h"
#include "client/lib/agent.h"
#include "proto/csi/v1/csi.grpc.pb.h"

namespace diskd::csi {

inline constexpr char kStagedDevice[] = "device";

// The host's codes are about paths, files and programs; to the orchestrator these would be about
// the volume.
absl::Status HostError(const absl::Status& status);

class Node : public ::csi::v1::Node::Service {
 public:
  // `agent` and `host` stay the caller's and outlive this.
  Node(Placement placement, client::Agent* agent, Host* host)
      : placement_(std::move(placement)), agent_(agent), host_(host) {}

  grpc::Status NodeStageVolume(grpc::ServerContext*,
                               const ::csi::v1::NodeStageVolumeRequest* request,
                               ::csi::v1::NodeStageVolumeResponse*) override;
  grpc::Status NodeUnstageVolume(grpc::ServerContext*,
                                 const ::csi::v1::NodeUnstageVolumeRequest* request,
                                 ::csi::v1::NodeUnstageVolumeResponse*) override;
  grpc::Status NodePublishVolume(grpc::ServerContext*,
                                 const ::csi::v1::NodePublishVolumeRequest* request,
                                 ::csi::v1::NodePublishVolumeResponse*) override;
  grpc::Status NodeUnpublishVolume(grpc::ServerContext*,
                                   const ::csi::v1::NodeUnpublishVolumeRequest* request,
                                   ::csi::v1::NodeUnpublishVolumeResponse*) override;
  grpc::Status NodeGetVolumeStats(grpc::ServerContext*,
                                  const ::csi::v1::NodeGetVolumeStatsRequest* request,
                                  ::csi::v1::NodeGetVolumeStatsResponse* response) override;
  grpc::Status NodeExpandVolume(grpc::ServerContext*,
                                const ::csi::v1::NodeExpandVolumeRequest* request,
                                ::csi::v1::NodeExpandVolumeResponse* response) override;
  grpc::Status NodeGetCapabilities(grpc::ServerContext*,
                                   const ::csi::v1::NodeGetCapabilitiesRequest*,
                                   ::csi::v1::NodeGetCapabilitiesResponse* response) override;
  grpc::Status NodeGetInfo(grpc::ServerContext*, const ::csi::v1::NodeGetInfoRequest*,
                           ::csi::v1::NodeGetInfoResponse* response) override;

 private:
  absl::Status Stage(const ::csi::v1::NodeStageVolumeRequest& request);
  absl::Status Unstage(const ::csi::v1::NodeUnstageVolumeRequest& request);
  absl::Status Publish(const ::csi::v1::NodePublishVolumeRequest& request);
  absl::Status Unpublish(const ::csi::v1::NodeUnpublishVolumeRequest& request);
  absl::Status Stats(const ::csi::v1::NodeGetVolumeStatsRequest& request,
                     ::csi::v1::NodeGetVolumeStatsResponse& response);
  // Of a mounted or published volume: it grows, and its file system with it. expand.cc
  absl::Status Expand(const ::csi::v1::NodeExpandVolumeRequest& request,
                      ::csi::v1::NodeExpandVolumeResponse& response);

  // OK: staged just so already; NOT_FOUND: not staged; ALREADY_EXISTS: staged, otherwise.
  absl::Status CheckStaged(const v1::Volume& volume, const std::string& path, const Access& access);
  absl::Status StageFilesystem(const std::string& device, const std::string& path,
                               const Access& access);
  absl::Status StageDevice(const std::string& device, const std::string& path);
  // Whether the target is published just so (OK), not (NOT_FOUND), or otherwise (ALREADY_EXISTS),
  // or may not be, since other targets are (FAILED_PRECONDITION).
  absl::Status CheckPublished(const std::string& staged, const std::string& target,
                              const Access& access, bool read_only);
  // Every mount at the path.
  absl::Status UnmountAll(const std::string& path);
  absl::Status Detach(const std::string& volume_id);

  const Placement placement_;
  client::Agent* const agent_;
  Host* const host_;
  InFlight in_flight_;
};

}  // namespace diskd::csi

#endif  // DISKD_CLIENT_CSI_NODE_H_
