// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/engine/diff.h"

#include <algorithm>

#include "drivers/object/engine/tree_diff.h"

namespace diskd::object {
namespace {

// Leaves that one part of an answer looks at: most differ in their pages only after a collection.
constexpr int kMaxLeaves = 4096;

// False: no room.
bool Add(DiffPage& page, Lba lba, bool zero, size_t max_extents) {
  if (!page.extents.empty()) {
    ChangedExtent& last = page.extents.back();
    if (last.zero == zero && last.lba + last.blocks == lba) {
      ++last.blocks;
      return true;
    }
  }
  if (page.extents.size() >= max_extents) return false;
  page.extents.push_back({lba, 1, zero});
  return true;
}

}  // namespace

Task<absl::StatusOr<DiffPage>> DiffRoots(MapTree* tree, Lane lane, PagePointer from, PagePointer to,
                                         uint64_t size_blocks, Lba begin, size_t max_extents) {
  DiffPage page;
  page.size_blocks = page.next = size_blocks;
  int leaves = 0;
  bool full = false;
  TreeDiff::Visitor visitor;
  visitor.leaf = [&](Lba first, uint64_t blocks, const MapPage* old,
                     const MapPage* now) -> Task<absl::Status> {
    const Lba end = std::min(first + blocks, size_blocks);
    for (Lba lba = std::max(first, begin); lba < end && !full; ++lba) {
      const BlockLocation before = old != nullptr ? old->blocks[lba - first] : BlockLocation{};
      const BlockLocation after = now != nullptr ? now->blocks[lba - first] : BlockLocation{};
      if (before == after || Add(page, lba, after.hole(), max_extents)) continue;
      full = true;
      page.next = lba;
    }
    if (!full && (first >= size_blocks || ++leaves == kMaxLeaves)) {
      full = true;
      page.next = std::min(first + blocks, size_blocks);
    }
    co_return full ? absl::CancelledError("enough") : absl::OkStatus();
  };
  TreeDiff diff(tree, lane, std::move(visitor));
  const absl::Status status = co_await diff.Run(from, to, begin);
  if (!status.ok() && !full) co_return status;
  co_return page;
}

}  // namespace diskd::object
