// SPDX-License-Identifier: Apache-2.0
#include "client/csi/identity.h"

namespace diskd::csi {

using ::csi::v1::PluginCapability;

grpc::Status Identity::GetPluginInfo(grpc::ServerContext*, const ::csi::v1::GetPluginInfoRequest*,
                                     ::csi::v1::GetPluginInfoResponse* response) {
  response->set_name(driver_name_);
  response->set_vendor_version(kPluginVersion);
  return grpc::Status::OK;
}

grpc::Status Identity::GetPluginCapabilities(grpc::ServerContext*,
                                             const ::csi::v1::GetPluginCapabilitiesRequest*,
                                             ::csi::v1::GetPluginCapabilitiesResponse* response) {
  for (const auto type : {PluginCapability::Service::CONTROLLER_SERVICE,
                          PluginCapability::Service::VOLUME_ACCESSIBILITY_CONSTRAINTS}) {
    response->add_capabilities()->mutable_service()->set_type(type);
  }
  response->add_capabilities()->mutable_volume_expansion()->set_type(
      PluginCapability::VolumeExpansion::ONLINE);
  return grpc::Status::OK;
}

grpc::Status Identity::Probe(grpc::ServerContext*, const ::csi::v1::ProbeRequest*,
                             ::csi::v1::ProbeResponse* response) {
  if (!ready_) ready_ = agent_->GetNodeInfo({}).ok();
  response->mutable_ready()->set_value(ready_);
  return grpc::Status::OK;
}

}  // namespace diskd::csi
