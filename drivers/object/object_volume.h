// SPDX-License-Identifier: Apache-2.0
//
// What the parameters of an object volume mean, and its life in the store: made, removed. Blocking,
// any thread.
#ifndef DISKD_DRIVERS_OBJECT_OBJECT_VOLUME_H_
#define DISKD_DRIVERS_OBJECT_OBJECT_VOLUME_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "drivers/object/engine/options.h"
#include "drivers/object/packing_parameters.h"
#include "drivers/object/store/open_store.h"
#include "drivers/object/types.h"
#include "drivers/sdk/driver.h"

namespace diskd::object {

struct ObjectVolume {
  Uuid id;
  uint64_t size_blocks = 0;
  StoreParameters store;
  std::string log_path;
  uint64_t log_bytes = 0;
  std::string memory_path;  // of its LogMemory; "": there is none
  std::string memory_mark_path;
  std::string cache_path;
  uint64_t cache_bytes = 0;   // 0: no read cache
  bool use_existing = false;  // existing=use: the volume is in the store already, and stays there
  PackingParameters packing;
  Options options;
};

// INVALID_ARGUMENT: the parameters contradict each other or have unknown values.
// FAILED_PRECONDITION: the key of an encrypted volume is not here, and what to do about it.
absl::StatusOr<ObjectVolume> ParseVolume(const sdk::VolumeConfig& config);

// Before a volume is made: FAILED_PRECONDITION: the store can't keep its owners apart.
// ALREADY_EXISTS: it has one of that id with the other fencing.
absl::Status CheckFencing(Store& store, const ObjectVolume& volume);
// The volume in the store, and its log.
absl::Status ProvisionVolume(const sdk::VolumeConfig& config);
// In place of ProvisionVolume: begins as the snapshot, shares its data.
absl::Status CloneVolume(const sdk::VolumeConfig& config, const sdk::VolumeConfig& source,
                         const std::string& snapshot);
// Before the volume is made in the store: notes that what is there of its id from now on is its
// own, to be found again and to be removed with it. ALREADY_EXISTS: somebody else's is there.
// `origin`: what it is a clone of, in hexadecimal digits.
absl::Status MarkAsMade(const sdk::VolumeConfig& config, Store& store, const ObjectVolume& volume,
                        const std::string& origin);
// In place of ProvisionVolume: a full copy, in the same store or another one.
absl::Status CopyVolume(const sdk::VolumeConfig& config, const sdk::VolumeConfig& source,
                        const std::string& snapshot);
// What clones of its snapshots need stays until the last of them is removed.
absl::Status DeprovisionVolume(const sdk::VolumeConfig& config);

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_OBJECT_VOLUME_H_
