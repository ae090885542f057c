// SPDX-License-Identifier: Apache-2.0
#include "agent/volume/environment.h"

#include "absl/strings/str_cat.h"
#include "agent/paths/volume_paths.h"
#include "base/status_macros.h"

namespace diskd::agent {

absl::Status ForCaller(const absl::Status& status) {
  if (!absl::IsDeadlineExceeded(status)) return status;
  return absl::UnavailableError(status.message());
}

absl::Status NoSuchVolume(const std::string& key) {
  return absl::NotFoundError(absl::StrCat("no volume has the name or id \"", key, "\""));
}

absl::StatusOr<LockedVolume> LockVolume(const Environment& environment, const std::string& key) {
  ASSIGN_OR_RETURN(const auto found, environment.store->FindVolume(key));
  if (!found) return NoSuchVolume(key);
  ASSIGN_OR_RETURN(VolumeLocks::Lock lock, environment.locks->Acquire(found->name()));
  // Until the lock was ours, another call could remove the volume or make a new one of its name.
  ASSIGN_OR_RETURN(auto current, environment.store->FindVolume(key));
  if (!current) return NoSuchVolume(key);
  return LockedVolume{std::move(lock), *std::move(current)};
}

diskd::driver::v1::VolumeConfig ConfigOf(const Environment& environment, const VolumeRecord& volume,
                                         bool read_only) {
  diskd::driver::v1::VolumeConfig config;
  config.set_volume_id(volume.id());
  config.set_size_bytes(volume.size_bytes());
  config.set_logical_block_bytes(volume.logical_block_bytes());
  config.set_read_only(read_only);
  config.set_state_dir(absl::StrCat(environment.state_dir, "/volumes/", volume.id()));
  config.set_memory_dir(DriverMemoryDir(environment.run_dir, volume.id()));
  *config.mutable_parameters() = volume.parameters();
  *config.mutable_secrets() = environment.secrets->Get(volume.id());
  return config;
}

}  // namespace diskd::agent
