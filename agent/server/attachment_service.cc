// SPDX-License-Identifier: Apache-2.0
#include "agent/server/services.h"
#include "agent/server/status.h"

namespace diskd::agent {

grpc::Status AttachmentService::AttachVolume(grpc::ServerContext*,
                                             const diskd::v1::AttachVolumeRequest* request,
                                             diskd::v1::AttachVolumeResponse* response) {
  return ToGrpc(attachments_->Attach(*request), response->mutable_attachment());
}

grpc::Status AttachmentService::DetachVolume(grpc::ServerContext*,
                                             const diskd::v1::DetachVolumeRequest* request,
                                             diskd::v1::DetachVolumeResponse*) {
  return ToGrpc(attachments_->Detach(*request));
}

grpc::Status AttachmentService::UpgradeDriver(grpc::ServerContext*,
                                              const diskd::v1::UpgradeDriverRequest* request,
                                              diskd::v1::UpgradeDriverResponse* response) {
  return ToGrpc(attachments_->UpgradeDriver(*request), response);
}

grpc::Status AttachmentService::ListAttachments(grpc::ServerContext*,
                                                const diskd::v1::ListAttachmentsRequest*,
                                                diskd::v1::ListAttachmentsResponse* response) {
  const auto attachments = attachments_->List();
  if (!attachments.ok()) return ToGrpc(attachments.status());
  for (const auto& attachment : *attachments) *response->add_attachments() = attachment;
  return grpc::Status::OK;
}

}  // namespace diskd::agent
