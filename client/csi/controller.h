// SPDX-License-Identifier: Apache-2.0
//
// csi.v1.Controller for the volumes of one node's agent. Keeps nothing: the agent's records are
// the truth. Thread-safe.
#ifndef DISKD_CLIENT_CSI_CONTROLLER_H_
#define DISKD_CLIENT_CSI_CONTROLLER_H_

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/csi/in_flight.h"
#include "client/csi/request.h"
#include "client/csi/unsupported.h"
#include "client/lib/agent.h"
#include "proto/csi/v1/csi.grpc.pb.h"

namespace diskd::csi {

// Where this plugin's volumes are: topology key -> node id.
struct Placement {
  std::string topology_key;
  std::string node_id;
};

// The volume with this id; the agent would accept a name too, which is no id. NOT_FOUND: none.
absl::StatusOr<v1::Volume> FindVolume(client::Agent& agent, const std::string& volume_id);

using Secrets = google::protobuf::Map<std::string, std::string>;
// Secrets of a request, for what follows; none: nothing happens.
absl::Status GiveSecrets(client::Agent& agent, const std::string& volume_id,
                         const Secrets& secrets);

// Whose calls make volumes larger.
enum class Expansion {
  kAnywhere,
  kOnNodeOnly,  // for orchestrators that don't call the controller on the volume's node
};

class Controller : public UnsupportedController {
 public:
  // `agent` stays the caller's and outlives this.
  Controller(Placement placement, client::Agent* agent, Expansion expansion = Expansion::kAnywhere)
      : placement_(std::move(placement)), agent_(agent), expansion_(expansion) {}

  grpc::Status CreateVolume(grpc::ServerContext*, const ::csi::v1::CreateVolumeRequest* request,
                            ::csi::v1::CreateVolumeResponse* response) override;
  grpc::Status DeleteVolume(grpc::ServerContext*, const ::csi::v1::DeleteVolumeRequest* request,
                            ::csi::v1::DeleteVolumeResponse* response) override;
  grpc::Status ValidateVolumeCapabilities(
      grpc::ServerContext*, const ::csi::v1::ValidateVolumeCapabilitiesRequest* request,
      ::csi::v1::ValidateVolumeCapabilitiesResponse* response) override;
  grpc::Status ControllerExpandVolume(grpc::ServerContext*,
                                      const ::csi::v1::ControllerExpandVolumeRequest* request,
                                      ::csi::v1::ControllerExpandVolumeResponse* response) override;
  grpc::Status ControllerGetCapabilities(
      grpc::ServerContext*, const ::csi::v1::ControllerGetCapabilitiesRequest*,
      ::csi::v1::ControllerGetCapabilitiesResponse* response) override;

 private:
  absl::Status Create(const ::csi::v1::CreateVolumeRequest& request, ::csi::v1::Volume& result);
  absl::Status Delete(const ::csi::v1::DeleteVolumeRequest& request);
  absl::Status Validate(const ::csi::v1::ValidateVolumeCapabilitiesRequest& request,
                        ::csi::v1::ValidateVolumeCapabilitiesResponse& response);
  absl::Status Expand(const ::csi::v1::ControllerExpandVolumeRequest& request,
                      ::csi::v1::ControllerExpandVolumeResponse& response);  // expand.cc
  absl::Status CheckTopology(const ::csi::v1::TopologyRequirement& requirement) const;
  // The agent's volume of that name, made if it is not there, checked against the request if it is.
  absl::StatusOr<v1::Volume> FindOrCreate(const std::string& name, const Parameters& parameters,
                                          const ::csi::v1::CapacityRange& range,
                                          uint64_t minimum_bytes, const Secrets& secrets);

  const Placement placement_;
  client::Agent* const agent_;
  const Expansion expansion_;
  InFlight in_flight_;
};

}  // namespace diskd::csi

#endif  // DISKD_CLIENT_CSI_CONTROLLER_H_
