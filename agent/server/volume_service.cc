// SPDX-License-Identifier: Apache-2.0
#include "agent/server/services.h"
#include "agent/server/status.h"

namespace diskd::agent {

grpc::Status VolumeService::CreateVolume(grpc::ServerContext*,
                                         const diskd::v1::CreateVolumeRequest* request,
                                         diskd::v1::CreateVolumeResponse* response) {
  return ToGrpc(volumes_->Create(*request), response->mutable_volume());
}

grpc::Status VolumeService::GetVolume(grpc::ServerContext*,
                                      const diskd::v1::GetVolumeRequest* request,
                                      diskd::v1::GetVolumeResponse* response) {
  return ToGrpc(volumes_->Get(request->volume()), response->mutable_volume());
}

grpc::Status VolumeService::ListVolumes(grpc::ServerContext*,
                                        const diskd::v1::ListVolumesRequest* request,
                                        diskd::v1::ListVolumesResponse* response) {
  return ToGrpc(volumes_->List(*request), response);
}

grpc::Status VolumeService::DeleteVolume(grpc::ServerContext*,
                                         const diskd::v1::DeleteVolumeRequest* request,
                                         diskd::v1::DeleteVolumeResponse*) {
  return ToGrpc(volumes_->Delete(request->volume()));
}

grpc::Status VolumeService::ResizeVolume(grpc::ServerContext*,
                                         const diskd::v1::ResizeVolumeRequest* request,
                                         diskd::v1::ResizeVolumeResponse* response) {
  return ToGrpc(features_->Resize(*request), response->mutable_volume());
}

grpc::Status VolumeService::CheckVolume(grpc::ServerContext*,
                                        const diskd::v1::CheckVolumeRequest* request,
                                        diskd::v1::CheckVolumeResponse* response) {
  return ToGrpc(features_->Check(*request), response);
}

grpc::Status VolumeService::SetVolumeSecrets(grpc::ServerContext*,
                                             const diskd::v1::SetVolumeSecretsRequest* request,
                                             diskd::v1::SetVolumeSecretsResponse*) {
  return ToGrpc(volumes_->SetSecrets(*request));
}

grpc::Status VolumeService::GetVolumeStats(grpc::ServerContext*,
                                           const diskd::v1::GetVolumeStatsRequest* request,
                                           diskd::v1::GetVolumeStatsResponse* response) {
  return ToGrpc(features_->Stats(*request), response);
}

}  // namespace diskd::agent
