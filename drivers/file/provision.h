// SPDX-License-Identifier: Apache-2.0
//
// Making and removing backing files. Stateless, any thread.
//
// A file that this volume did not make is never overwritten or removed. What it made is recorded,
// by inode number, in STATE_DIR/file-driver.made, before the file gets its final name.
#ifndef DISKD_DRIVERS_FILE_PROVISION_H_
#define DISKD_DRIVERS_FILE_PROVISION_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "drivers/sdk/driver.h"

namespace diskd::file_driver {

// What the parameters of a volume mean.
struct Place {
  std::string path;           // of the backing file or block device
  bool preallocate = false;   // allocate=full
  bool use_existing = false;  // existing=use
};

// INVALID_ARGUMENT: the parameters contradict each other or have unknown values.
absl::StatusOr<Place> PlaceOf(const sdk::VolumeConfig& config);

// ALREADY_EXISTS: a file that is not this volume's. RESOURCE_EXHAUSTED: no room (allocate=full).
// NOT_FOUND: no such directory.
absl::Status Provision(const sdk::VolumeConfig& config);
absl::Status Deprovision(const sdk::VolumeConfig& config);
// Of a volume that has config.size_bytes, through its open backing. Durable. FAILED_PRECONDITION: a
// block device that is too small.
absl::Status SetSize(int fd, const Place& place, const sdk::VolumeConfig& config,
                     uint64_t size_bytes);

}  // namespace diskd::file_driver

#endif  // DISKD_DRIVERS_FILE_PROVISION_H_
