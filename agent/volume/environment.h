// SPDX-License-Identifier: Apache-2.0
//
// What volumes and attachments work with. All pointers outlive their users.
#ifndef DISKD_AGENT_VOLUME_ENVIRONMENT_H_
#define DISKD_AGENT_VOLUME_ENVIRONMENT_H_

#include <string>

#include "agent/device/device.h"
#include "agent/store/store.h"
#include "agent/supervisor/driver_process.h"
#include "agent/supervisor/driver_users.h"
#include "agent/supervisor/supervisor.h"
#include "agent/volume/long_calls.h"
#include "agent/volume/secrets.h"
#include "agent/volume/stoppable_calls.h"
#include "agent/volume/volume_locks.h"

namespace diskd::agent {

struct Environment {
  Store* store;
  DeviceFactory* devices;
  DriverLauncher* launcher;
  DriverCatalog* catalog;
  VolumeLocks* locks;
  LongCalls* long_calls;
  StoppableCalls* stoppable_calls;
  Secrets* secrets;
  std::string state_dir;
  std::string run_dir;
  std::string boot_id;  // of the running kernel
  SupervisorLimits limits;
  DriverUsers users;
};

// A volume that this call alone works on.
struct LockedVolume {
  VolumeLocks::Lock lock;
  VolumeRecord record;
};

// By id or name. NOT_FOUND; ABORTED: another call has it.
absl::StatusOr<LockedVolume> LockVolume(const Environment& environment, const std::string& key);

// A driver that did not answer in time is UNAVAILABLE to a caller, who would take
// DEADLINE_EXCEEDED for the end of its own time.
absl::Status ForCaller(const absl::Status& status);

absl::Status NoSuchVolume(const std::string& key);

diskd::driver::v1::VolumeConfig ConfigOf(const Environment& environment, const VolumeRecord& volume,
                                         bool read_only);

}  // namespace diskd::agent

#endif  // DISKD_AGENT_VOLUME_ENVIRONMENT_H_
