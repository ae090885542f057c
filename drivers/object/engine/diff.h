// SPDX-License-Identifier: Apache-2.0
//
// What differs between two states of a disk, page by page: any part of the answer is of bounded
// size and work, and the caller says where to go on.
#ifndef DISKD_DRIVERS_OBJECT_ENGINE_DIFF_H_
#define DISKD_DRIVERS_OBJECT_ENGINE_DIFF_H_

#include <vector>

#include "absl/status/statusor.h"
#include "drivers/object/engine/map_tree.h"
#include "drivers/object/engine/task.h"

namespace diskd::object {

struct ChangedExtent {
  Lba lba = 0;
  uint64_t blocks = 0;
  bool zero = false;  // reads as zeros now
  bool operator==(const ChangedExtent&) const = default;
};

struct DiffPage {
  std::vector<ChangedExtent> extents;  // ascending, disjoint
  // Everything before this is told; size_blocks: that was all.
  Lba next = 0;
  uint64_t size_blocks = 0;  // of the newer state; nothing behind it is told
};

// From `begin` on, at most `max_extents` (> 0). `from` may be a hole: then all that has data.
// Every block whose content differs is told; one that has the same may be, where it was written
// again, or moved by a collection while one of the snapshots was made.
Task<absl::StatusOr<DiffPage>> DiffRoots(MapTree* tree, Lane lane, PagePointer from, PagePointer to,
                                         uint64_t size_blocks, Lba begin, size_t max_extents);

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_ENGINE_DIFF_H_
