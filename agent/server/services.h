// SPDX-License-Identifier: Apache-2.0
//
// diskd.v1 over gRPC: each call goes to the logic and back. Calls run to their end whether or not
// the client still waits. Thread-safe.
#ifndef DISKD_AGENT_SERVER_SERVICES_H_
#define DISKD_AGENT_SERVER_SERVICES_H_

#include <string>

#include "agent/device/device.h"
#include "agent/supervisor/driver_process.h"
#include "agent/volume/attachments.h"
#include "agent/volume/features.h"
#include "agent/volume/volumes.h"
#include "proto/diskd/v1/diskd.grpc.pb.h"

namespace diskd::agent {

class VolumeService final : public diskd::v1::VolumeService::Service {
 public:
  VolumeService(Volumes* volumes, Features* features) : volumes_(volumes), features_(features) {}

  grpc::Status CreateVolume(grpc::ServerContext* context,
                            const diskd::v1::CreateVolumeRequest* request,
                            diskd::v1::CreateVolumeResponse* response) override;
  grpc::Status GetVolume(grpc::ServerContext* context, const diskd::v1::GetVolumeRequest* request,
                         diskd::v1::GetVolumeResponse* response) override;
  grpc::Status ListVolumes(grpc::ServerContext* context,
                           const diskd::v1::ListVolumesRequest* request,
                           diskd::v1::ListVolumesResponse* response) override;
  grpc::Status DeleteVolume(grpc::ServerContext* context,
                            const diskd::v1::DeleteVolumeRequest* request,
                            diskd::v1::DeleteVolumeResponse* response) override;
  grpc::Status ResizeVolume(grpc::ServerContext* context,
                            const diskd::v1::ResizeVolumeRequest* request,
                            diskd::v1::ResizeVolumeResponse* response) override;
  grpc::Status CheckVolume(grpc::ServerContext* context,
                           const diskd::v1::CheckVolumeRequest* request,
                           diskd::v1::CheckVolumeResponse* response) override;
  grpc::Status SetVolumeSecrets(grpc::ServerContext* context,
                                const diskd::v1::SetVolumeSecretsRequest* request,
                                diskd::v1::SetVolumeSecretsResponse* response) override;
  grpc::Status GetVolumeStats(grpc::ServerContext* context,
                              const diskd::v1::GetVolumeStatsRequest* request,
                              diskd::v1::GetVolumeStatsResponse* response) override;

 private:
  Volumes* const volumes_;
  Features* const features_;
};

class SnapshotService final : public diskd::v1::SnapshotService::Service {
 public:
  explicit SnapshotService(Features* features) : features_(features) {}

  grpc::Status CreateSnapshot(grpc::ServerContext* context,
                              const diskd::v1::CreateSnapshotRequest* request,
                              diskd::v1::CreateSnapshotResponse* response) override;
  grpc::Status ListSnapshots(grpc::ServerContext* context,
                             const diskd::v1::ListSnapshotsRequest* request,
                             diskd::v1::ListSnapshotsResponse* response) override;
  grpc::Status DeleteSnapshot(grpc::ServerContext* context,
                              const diskd::v1::DeleteSnapshotRequest* request,
                              diskd::v1::DeleteSnapshotResponse* response) override;
  grpc::Status DiffSnapshots(grpc::ServerContext* context,
                             const diskd::v1::DiffSnapshotsRequest* request,
                             diskd::v1::DiffSnapshotsResponse* response) override;
  grpc::Status RollBackVolume(grpc::ServerContext* context,
                              const diskd::v1::RollBackVolumeRequest* request,
                              diskd::v1::RollBackVolumeResponse* response) override;

 private:
  Features* const features_;
};

class AttachmentService final : public diskd::v1::AttachmentService::Service {
 public:
  explicit AttachmentService(Attachments* attachments) : attachments_(attachments) {}

  grpc::Status AttachVolume(grpc::ServerContext* context,
                            const diskd::v1::AttachVolumeRequest* request,
                            diskd::v1::AttachVolumeResponse* response) override;
  grpc::Status DetachVolume(grpc::ServerContext* context,
                            const diskd::v1::DetachVolumeRequest* request,
                            diskd::v1::DetachVolumeResponse* response) override;
  grpc::Status UpgradeDriver(grpc::ServerContext* context,
                             const diskd::v1::UpgradeDriverRequest* request,
                             diskd::v1::UpgradeDriverResponse* response) override;
  grpc::Status ListAttachments(grpc::ServerContext* context,
                               const diskd::v1::ListAttachmentsRequest* request,
                               diskd::v1::ListAttachmentsResponse* response) override;

 private:
  Attachments* const attachments_;
};

struct NodeIdentity {
  std::string node_name;
  std::string agent_version;
  std::string kernel_release;
  std::string state_dir;
};

class NodeService final : public diskd::v1::NodeService::Service {
 public:
  NodeService(NodeIdentity identity, Store* store, DeviceFactory* devices, DriverCatalog* catalog)
      : identity_(std::move(identity)), store_(store), devices_(devices), catalog_(catalog) {}

  grpc::Status GetNodeInfo(grpc::ServerContext* context,
                           const diskd::v1::GetNodeInfoRequest* request,
                           diskd::v1::GetNodeInfoResponse* response) override;
  grpc::Status ListDrivers(grpc::ServerContext* context,
                           const diskd::v1::ListDriversRequest* request,
                           diskd::v1::ListDriversResponse* response) override;

 private:
  const NodeIdentity identity_;
  Store* const store_;
  DeviceFactory* const devices_;
  DriverCatalog* const catalog_;
};

}  // namespace diskd::agent

#endif  // DISKD_AGENT_SERVER_SERVICES_H_
