// SPDX-License-Identifier: Apache-2.0
//
// The calls of csi.v1 that this plugin has no capability for: UNIMPLEMENTED, with the message that
// the interface demands and generated code leaves out. Thread-safe.
#ifndef DISKD_CLIENT_CSI_UNSUPPORTED_H_
#define DISKD_CLIENT_CSI_UNSUPPORTED_H_

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "client/csi/rpc.h"
#include "proto/csi/v1/csi.grpc.pb.h"

namespace diskd::csi {

inline grpc::Status Unsupported(const char* method) {
  return ToGrpc(absl::UnimplementedError(
      absl::StrCat(method, " is not supported: the plugin does not have its capability")));
}

class UnsupportedController : public ::csi::v1::Controller::Service {
 public:
  grpc::Status ControllerPublishVolume(grpc::ServerContext*,
                                       const ::csi::v1::ControllerPublishVolumeRequest*,
                                       ::csi::v1::ControllerPublishVolumeResponse*) override {
    return Unsupported("ControllerPublishVolume");
  }
  grpc::Status ControllerUnpublishVolume(grpc::ServerContext*,
                                         const ::csi::v1::ControllerUnpublishVolumeRequest*,
                                         ::csi::v1::ControllerUnpublishVolumeResponse*) override {
    return Unsupported("ControllerUnpublishVolume");
  }
  grpc::Status ListVolumes(grpc::ServerContext*, const ::csi::v1::ListVolumesRequest*,
                           ::csi::v1::ListVolumesResponse*) override {
    return Unsupported("ListVolumes");
  }
  grpc::Status GetCapacity(grpc::ServerContext*, const ::csi::v1::GetCapacityRequest*,
                           ::csi::v1::GetCapacityResponse*) override {
    return Unsupported("GetCapacity");
  }
  grpc::Status CreateSnapshot(grpc::ServerContext*, const ::csi::v1::CreateSnapshotRequest*,
                              ::csi::v1::CreateSnapshotResponse*) override {
    return Unsupported("CreateSnapshot");
  }
  grpc::Status DeleteSnapshot(grpc::ServerContext*, const ::csi::v1::DeleteSnapshotRequest*,
                              ::csi::v1::DeleteSnapshotResponse*) override {
    return Unsupported("DeleteSnapshot");
  }
  grpc::Status ListSnapshots(grpc::ServerContext*, const ::csi::v1::ListSnapshotsRequest*,
                             ::csi::v1::ListSnapshotsResponse*) override {
    return Unsupported("ListSnapshots");
  }
  grpc::Status GetSnapshot(grpc::ServerContext*, const ::csi::v1::GetSnapshotRequest*,
                           ::csi::v1::GetSnapshotResponse*) override {
    return Unsupported("GetSnapshot");
  }
  grpc::Status ControllerGetVolume(grpc::ServerContext*,
                                   const ::csi::v1::ControllerGetVolumeRequest*,
                                   ::csi::v1::ControllerGetVolumeResponse*) override {
    return Unsupported("ControllerGetVolume");
  }
  grpc::Status ControllerModifyVolume(grpc::ServerContext*,
                                      const ::csi::v1::ControllerModifyVolumeRequest*,
                                      ::csi::v1::ControllerModifyVolumeResponse*) override {
    return Unsupported("ControllerModifyVolume");
  }
};

}  // namespace diskd::csi

#endif  // DISKD_CLIENT_CSI_UNSUPPORTED_H_
