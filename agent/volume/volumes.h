// SPDX-License-Identifier: Apache-2.0
//
// The volumes of this node: create, delete, find. Thread-safe.
#ifndef DISKD_AGENT_VOLUME_VOLUMES_H_
#define DISKD_AGENT_VOLUME_VOLUMES_H_

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
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

  // Before the agent ends: copies under way stop; the next agent goes on with them.
  void StopCopies() ABSL_LOCKS_EXCLUDED(copies_mutex_);

  // Before the first call: secrets whose volume was never recorded, or is gone, are removed.
  void DropStraySecrets();

  // Ends what a former agent began: creates, deletes, resizes. Errors are logged.
  void FinishInterrupted();

 private:
  absl::StatusOr<diskd::v1::Volume> Finish(VolumeRecord volume);
  // Of a create: the volume is ready, or undone.
  absl::StatusOr<diskd::v1::Volume> Conclude(VolumeRecord volume, const absl::Status& status);
  void FinishInterrupted(bool copies);
  void FinishResizeOf(const VolumeRecord& volume);
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

  // volume_copy.cc
  // Of a copy; nothing for other creates.
  absl::StatusOr<std::optional<LongCalls::Place>> PlaceFor(const VolumeRecord& volume);
  struct CopyState {
    DriverProcess* process = nullptr;  // that copies just now
    bool broken_off = false;
  };
  absl::StatusOr<diskd::v1::Volume> FinishCopy(VolumeRecord volume,
                                               const diskd::driver::v1::VolumeConfig& config)
      ABSL_LOCKS_EXCLUDED(copies_mutex_);
  absl::Status RunCopy(const VolumeRecord& volume, const diskd::driver::v1::VolumeConfig& config)
      ABSL_LOCKS_EXCLUDED(copies_mutex_);
  absl::Status TryCopy(const VolumeRecord& volume, const diskd::driver::v1::VolumeConfig& config,
                       const diskd::driver::v1::VolumeConfig& source)
      ABSL_LOCKS_EXCLUDED(copies_mutex_);
  void DropCopySnapshot(const VolumeRecord& volume);
  // True: a copy into the volume of that name is under way, and ends now.
  bool BreakOffCopy(const std::string& name) ABSL_LOCKS_EXCLUDED(copies_mutex_);
  bool Stopping() ABSL_LOCKS_EXCLUDED(copies_mutex_);
  void ShowProgress(VolumeRecord& volume);

  const Environment environment_;
  Attachments* const attachments_;
  Features* const features_;
  absl::Mutex copies_mutex_;
  std::map<std::string, CopyState> copies_ ABSL_GUARDED_BY(copies_mutex_);  // by volume name
  bool stopping_ ABSL_GUARDED_BY(copies_mutex_) = false;
};

}  // namespace diskd::agent

#endif  // DISKD_AGENT_VOLUME_VOLUMES_H_
