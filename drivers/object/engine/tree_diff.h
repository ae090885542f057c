// SPDX-License-Identifier: Apache-2.0
//
// Walking what one root of the map has and another one has not. Parts that both share are skipped
// unread, whatever their size. Memory: two paths of pages. Scheduler's thread only.
#ifndef DISKD_DRIVERS_OBJECT_ENGINE_TREE_DIFF_H_
#define DISKD_DRIVERS_OBJECT_ENGINE_TREE_DIFF_H_

#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "drivers/object/engine/map_tree.h"
#include "drivers/object/engine/task.h"

namespace diskd::object {

class TreeDiff {
 public:
  struct Visitor {
    // A page of `to` that `from` has not at this place; may be empty. Any other status than OK ends
    // the walk with it. Children of a page come after it.
    std::function<absl::Status(const PagePointer&)> page;
    // Two leaves that differ; `from` or `to` is nullptr where that side has only holes.
    std::function<Task<absl::Status>(Lba first, uint64_t blocks, const MapPage* from,
                                     const MapPage* to)>
        leaf;
    // A page of either side that can't be read; may be empty: the walk ends with `problem`. OK: it
    // counts as a hole.
    std::function<absl::Status(Lba first, const PagePointer&, const absl::Status& problem)> broken;
  };

  TreeDiff(MapTree* tree, Lane lane, Visitor visitor)
      : tree_(tree), lane_(lane), visitor_(std::move(visitor)) {}

  // Leaves in ascending order; none that end at or before `begin`. `from` may be a hole.
  Task<absl::Status> Run(PagePointer from, PagePointer to, Lba begin);

 private:
  struct Side {
    PagePointer pointer;
    std::shared_ptr<const MapPage> page;  // nullptr: a hole
    PagePointer Child(uint8_t level, size_t slot) const;
  };
  Task<absl::StatusOr<Side>> Load(PagePointer pointer, Lba first, std::vector<PagePointer> beside);
  std::vector<PagePointer> Beside(const Side& side, const Side& other, uint8_t level,
                                  size_t slot) const;
  Task<absl::Status> Walk(const Side& from, const Side& to, uint8_t level, Lba first);

  MapTree* const tree_;
  const Lane lane_;
  const Visitor visitor_;
  Lba begin_ = 0;
  uint8_t fanout_bits_ = 0;
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_ENGINE_TREE_DIFF_H_
