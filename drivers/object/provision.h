// SPDX-License-Identifier: Apache-2.0
//
// The life of an object volume in the store: made, cloned, copied, removed. Blocking, any thread.
#ifndef DISKD_DRIVERS_OBJECT_PROVISION_H_
#define DISKD_DRIVERS_OBJECT_PROVISION_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "drivers/object/env/store.h"
#include "drivers/object/format/head.h"
#include "drivers/object/object_volume.h"
#include "drivers/object/offline_volumes.h"
#include "drivers/sdk/driver.h"
#include "drivers/sdk/features.h"

namespace diskd::object {

// Before a volume is made: FAILED_PRECONDITION: the store can't keep its owners apart.
// ALREADY_EXISTS: it has one of that id with the other fencing.
absl::Status CheckFencing(Store& store, const ObjectVolume& volume);
// The volume in the store, and its log.
absl::Status ProvisionVolume(const sdk::VolumeConfig& config);
// What a clone or a copy begins as.
struct Origin {
  Head head;
  sdk::Snapshot snapshot;
};
// `key`: the options with the key of `parent`. INVALID_ARGUMENT: `config` has another size; `verb`
// says in the message what to do instead.
absl::StatusOr<Origin> FindOrigin(OfflineVolumes& offline, const ObjectVolume& parent,
                                  const Options& key, const std::string& snapshot,
                                  const sdk::VolumeConfig& config, const char* verb);
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

#endif  // DISKD_DRIVERS_OBJECT_PROVISION_H_
