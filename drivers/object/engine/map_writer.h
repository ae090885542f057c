// SPDX-License-Identifier: Apache-2.0
//
// Writing the map: merges changes into the tree of a root and stores the new pages; what has not
// changed is shared with the old tree. Old pages are fetched side by side. Memory: one path of
// pages, kPagesAtOnce old ones on each level of it, and one map object.
#ifndef DISKD_DRIVERS_OBJECT_ENGINE_MAP_WRITER_H_
#define DISKD_DRIVERS_OBJECT_ENGINE_MAP_WRITER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "drivers/object/engine/block_map.h"
#include "drivers/object/engine/map_tree.h"
#include "drivers/object/engine/options.h"
#include "drivers/object/engine/task.h"

namespace diskd::object {

// A copied block: counts only where the map still names `from`. from == to: rewrite the page.
struct Move {
  BlockLocation from;
  BlockLocation to;
};
using Moves = absl::btree_map<Lba, Move>;

class MapWriter {
 public:
  // All outlive it. New pages go to objects of `stream`, numbered from *next_side on.
  MapWriter(MapTree* tree, StoreClient* store, Scheduler* scheduler, const Stream& stream,
            uint32_t* next_side, uint8_t fanout_bits, const Options& options)
      : tree_(tree),
        store_(store),
        scheduler_(scheduler),
        stream_(stream),
        next_side_(next_side),
        fanout_bits_(fanout_bits),
        options_(options) {}

  // The new root, stored with everything below it. Changes replace moves of the same block.
  Task<absl::StatusOr<PagePointer>> Merge(PagePointer root, uint64_t size_blocks,
                                          const BlockMap<BlockLocation>& changes,
                                          const Moves& moves);

  static constexpr size_t kPagesAtOnce = 16;

 private:
  using PagePtr = std::shared_ptr<const MapPage>;
  MapPage NewPage(uint8_t level, uint64_t index) const;
  // `loaded`: the old page, which is on that level, if it was fetched already.
  Task<absl::StatusOr<PagePointer>> Node(PagePointer old, uint8_t level, uint64_t index,
                                         PagePtr loaded);
  // The page above a finished root, with the changes that lie behind that one.
  Task<absl::StatusOr<PagePointer>> Raise(PagePointer first_child, uint8_t level);
  bool ApplyToLeaf(MapPage& page, Lba first);
  struct Child {  // of an inner page, to be merged
    size_t slot;
    PagePtr loaded;
  };
  // From `slot` on.
  Task<absl::StatusOr<bool>> ApplyToInner(MapPage& page, Lba first, size_t slot);
  Task<absl::Status> LoadChildren(const MapPage& page, std::vector<Child>& children);
  Task<absl::Status> LoadChild(PagePointer pointer, PagePtr* into);
  Task<absl::StatusOr<PagePointer>> Emit(const MapPage& page);
  Task<absl::Status> PutObject();

  MapTree* const tree_;
  StoreClient* const store_;
  Scheduler* const scheduler_;
  const Stream stream_;
  uint32_t* const next_side_;
  const uint8_t fanout_bits_;
  const Options& options_;
  const BlockMap<BlockLocation>* changes_ = nullptr;
  const Moves* moves_ = nullptr;
  uint32_t sequence_ = 0;
  std::string body_;  // of the object being filled; empty: none
  uint64_t leaves_ = 0;
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_ENGINE_MAP_WRITER_H_
