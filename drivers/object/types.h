// SPDX-License-Identifier: Apache-2.0
//
// Words shared by the whole object engine.
#ifndef DISKD_DRIVERS_OBJECT_TYPES_H_
#define DISKD_DRIVERS_OBJECT_TYPES_H_

#include <array>
#include <cstdint>
#include <string>

namespace diskd::object {

// The unit of mapping, checksums and log sectors, bytes.
inline constexpr uint32_t kBlockBytes = 4096;

// Position of a block in the volume, in blocks.
using Lba = uint64_t;

// Number of an accepted write, discard or write-zeroes: 1, 2, 3... over the volume's whole life.
using WriteSequence = uint64_t;

// Identity of a volume, and the folder of its objects in the store.
struct Uuid {
  std::array<uint8_t, 16> bytes{};
  bool operator==(const Uuid&) const = default;
  auto operator<=>(const Uuid&) const = default;
  std::string Hex() const;
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_TYPES_H_
