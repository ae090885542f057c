// SPDX-License-Identifier: Apache-2.0
#include "agent/server/services.h"
#include "agent/server/status.h"

namespace diskd::agent {

grpc::Status NodeService::GetNodeInfo(grpc::ServerContext*, const diskd::v1::GetNodeInfoRequest*,
                                      diskd::v1::GetNodeInfoResponse* response) {
  const auto volumes = store_->CountVolumes();
  if (!volumes.ok()) return ToGrpc(volumes.status());
  const auto attachments = store_->ListAttachments();
  if (!attachments.ok()) return ToGrpc(attachments.status());
  response->set_node_name(identity_.node_name);
  response->set_agent_version(identity_.agent_version);
  response->set_kernel_release(identity_.kernel_release);
  response->set_state_dir(identity_.state_dir);
  for (const auto& transport : devices_->Transports()) *response->add_transports() = transport;
  response->set_volumes(*volumes);
  response->set_attachments(static_cast<uint32_t>(attachments->size()));
  return grpc::Status::OK;
}

grpc::Status NodeService::ListDrivers(grpc::ServerContext*, const diskd::v1::ListDriversRequest*,
                                      diskd::v1::ListDriversResponse* response) {
  for (const auto& driver : catalog_->List()) *response->add_drivers() = driver;
  return grpc::Status::OK;
}

}  // namespace diskd::agent
