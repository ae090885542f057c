// SPDX-License-Identifier: Apache-2.0
//
// What may be asked of a disk. Stateless, any thread.
#ifndef DISKD_DRIVERS_SDK_GEOMETRY_H_
#define DISKD_DRIVERS_SDK_GEOMETRY_H_

#include "absl/status/status.h"
#include "drivers/sdk/driver.h"

namespace diskd::sdk {

// INTERNAL: no kernel would take such a disk, and what is wrong with it.
absl::Status CheckGeometry(const Geometry& geometry);

// Of a request that has data: whole blocks within the disk, at least one.
inline bool IsRangeOfDisk(const Geometry& geometry, uint64_t offset, uint32_t length) {
  const uint64_t mask = geometry.logical_block_bytes - 1;
  return length != 0 && ((offset | length) & mask) == 0 && offset <= geometry.size_bytes &&
         length <= geometry.size_bytes - offset;
}

// 0, or the errno a request deserves without asking the driver: out of range, unaligned, a write
// to a read-only disk, or an operation the disk does not offer.
int CheckRequest(const Geometry& geometry, const Request& request);

}  // namespace diskd::sdk

#endif  // DISKD_DRIVERS_SDK_GEOMETRY_H_
