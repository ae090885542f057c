// SPDX-License-Identifier: Apache-2.0
//
// The volumes of this node: create, delete, find. Thread-safe.
#ifndef DISKD_AGENT_VOLUME_VOLUMES_H_
#define DISKD_AGENT_VOLUME_VOLUMES_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/volume/attachments.h"
#include "agent/volume/environment.h"
#include "agent/volume/features.h"
#include "proto/diskd/v1/diskd.pb.h"

namespace diskd::agent {

class Volumes {
 public:
  Volumes(const Environment& environment, Attachments* attachments, Features* features)
      : environment_(environment), attachments_(attachments), features_(features) {}

  // Errors: proto/diskd/v1/diskd.proto. An error of the driver comes with its code, and then
  // nothing of the volume is left.
  absl::StatusOr<diskd::v1::Volume> Create(const diskd::v1::CreateVolumeRequest& request);
  absl::StatusOr<diskd::v1::Volume> Get(const std::string& key);
  absl::StatusOr<diskd::v1::ListVolumesResponse> List(const diskd::v1::ListVolumesRequest& request);
  absl::Status Delete(const std::string& key);
  absl::Status SetSecrets(const diskd::v1::SetVolumeSecretsRequest& request);

  // Ends what a former agent began: creates and deletes. Errors are logged.
  void FinishInterrupted();

 private:
  absl::StatusOr<diskd::v1::Volume> Finish(VolumeRecord volume);
  absl::Status CheckDriversSecrets(const std::string& driver, const SecretMap& secrets);
  // A request for a clone with everything that it leaves to the source.
  absl::StatusOr<diskd::v1::CreateVolumeRequest> Inherit(diskd::v1::CreateVolumeRequest request);
  // The config of what the volume is a clone of.
  absl::StatusOr<diskd::driver::v1::VolumeConfig> SourceOf(const VolumeRecord& volume);
  absl::Status Remove(const VolumeRecord& volume);
  // Runs `body` with a driver process that lives no longer.
  absl::Status WithDriver(const VolumeRecord& volume,
                          const std::function<absl::Status(DriverProcess&)>& body);
  absl::StatusOr<diskd::v1::Volume> WithAttachment(VolumeRecord volume);

  const Environment environment_;
  Attachments* const attachments_;
  Features* const features_;
};

}  // namespace diskd::agent

#endif  // DISKD_AGENT_VOLUME_VOLUMES_H_
