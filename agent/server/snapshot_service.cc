// SPDX-License-Identifier: Apache-2.0
#include "agent/server/services.h"
#include "agent/server/status.h"

namespace diskd::agent {

grpc::Status SnapshotService::CreateSnapshot(grpc::ServerContext*,
                                             const diskd::v1::CreateSnapshotRequest* request,
                                             diskd::v1::CreateSnapshotResponse* response) {
  return ToGrpc(features_->CreateSnapshot(*request), response);
}

grpc::Status SnapshotService::ListSnapshots(grpc::ServerContext*,
                                            const diskd::v1::ListSnapshotsRequest* request,
                                            diskd::v1::ListSnapshotsResponse* response) {
  return ToGrpc(features_->ListSnapshots(*request), response);
}

grpc::Status SnapshotService::DeleteSnapshot(grpc::ServerContext*,
                                             const diskd::v1::DeleteSnapshotRequest* request,
                                             diskd::v1::DeleteSnapshotResponse*) {
  return ToGrpc(features_->DeleteSnapshot(*request));
}

grpc::Status SnapshotService::RollBackVolume(grpc::ServerContext*,
                                             const diskd::v1::RollBackVolumeRequest* request,
                                             diskd::v1::RollBackVolumeResponse* response) {
  return ToGrpc(features_->RollBack(*request), response);
}

grpc::Status SnapshotService::DiffSnapshots(grpc::ServerContext*,
                                            const diskd::v1::DiffSnapshotsRequest* request,
                                            diskd::v1::DiffSnapshotsResponse* response) {
  return ToGrpc(features_->Diff(*request), response);
}

}  // namespace diskd::agent
