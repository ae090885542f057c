// SPDX-License-Identifier: Apache-2.0
//
// Pages of the extent map, a radix tree over block numbers (docs/object-format.md, "Map pages").
// Pure functions, any thread.
#ifndef DISKD_DRIVERS_OBJECT_FORMAT_MAP_PAGE_H_
#define DISKD_DRIVERS_OBJECT_FORMAT_MAP_PAGE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "drivers/object/format/object.h"

namespace diskd::object {

// Level 0 pages hold block locations, higher ones pointers to pages of the level below. Exactly
// one of the vectors has 2^fanout_bits entries, the other is empty.
struct MapPage {
  uint8_t level = 0;
  uint8_t fanout_bits = 0;
  uint64_t index = 0;  // of the page in its level
  std::vector<BlockLocation> blocks;
  std::vector<PagePointer> pages;
  bool operator==(const MapPage&) const = default;
};

std::string EncodeMapPage(const MapPage& page);
absl::StatusOr<MapPage> ParseMapPage(absl::string_view data);

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_FORMAT_MAP_PAGE_H_
