// SPDX-License-Identifier: Apache-2.0
//
// csi.v1.Identity. Thread-safe.
#ifndef DISKD_CLIENT_CSI_IDENTITY_H_
#define DISKD_CLIENT_CSI_IDENTITY_H_

#include <atomic>
#include <string>
#include <utility>

#include "client/lib/agent.h"
#include "proto/csi/v1/csi.grpc.pb.h"

namespace diskd::csi {

inline constexpr char kPluginVersion[] = "0.1.0";

class Identity : public ::csi::v1::Identity::Service {
 public:
  // `agent` answers fast or not at all; it stays the caller's and outlives this.
  Identity(std::string driver_name, client::Agent* agent)
      : driver_name_(std::move(driver_name)), agent_(agent) {}

  grpc::Status GetPluginInfo(grpc::ServerContext*, const ::csi::v1::GetPluginInfoRequest*,
                             ::csi::v1::GetPluginInfoResponse* response) override;
  grpc::Status GetPluginCapabilities(grpc::ServerContext*,
                                     const ::csi::v1::GetPluginCapabilitiesRequest*,
                                     ::csi::v1::GetPluginCapabilitiesResponse* response) override;
  // Ready once the agent has answered, and from then on: an agent that restarts is no reason to
  // restart the plugin.
  grpc::Status Probe(grpc::ServerContext*, const ::csi::v1::ProbeRequest*,
                     ::csi::v1::ProbeResponse* response) override;

 private:
  const std::string driver_name_;
  client::Agent* const agent_;
  std::atomic<bool> ready_{false};
};

}  // namespace diskd::csi

#endif  // DISKD_CLIENT_CSI_IDENTITY_H_
