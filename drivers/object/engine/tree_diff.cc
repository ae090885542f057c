// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/engine/tree_diff.h"

#include <algorithm>

namespace diskd::object {

// The root of a volume that has grown since is lower than the one it is compared with: it stands
// for a higher page whose first child it is.
PagePointer TreeDiff::Side::Child(uint8_t level, size_t slot) const {
  if (page == nullptr) return {};
  if (page->level == level) return page->pages[slot];
  return slot == 0 ? pointer : PagePointer{};
}

Task<absl::StatusOr<TreeDiff::Side>> TreeDiff::Load(PagePointer pointer, Lba first,
                                                    std::vector<PagePointer> beside) {
  Side side;
  side.pointer = pointer;
  if (pointer.hole()) co_return side;
  absl::StatusOr<std::shared_ptr<const MapPage>> page =
      co_await tree_->Load(lane_, pointer, std::move(beside));
  if (page.ok()) {
    side.page = *std::move(page);
    co_return side;
  }
  if (!visitor_.broken) co_return page.status();
  CO_RETURN_IF_ERROR(visitor_.broken(first, pointer, page.status()));
  co_return side;
}

std::vector<PagePointer> TreeDiff::Beside(const Side& side, const Side& other, uint8_t level,
                                          size_t slot) const {
  if (side.page == nullptr || side.page->level != level) return {};
  const bool same_level = other.page != nullptr && other.page->level == level;
  return tree_->Beside(lane_, *side.page, slot, same_level ? other.page.get() : nullptr);
}

Task<absl::Status> TreeDiff::Run(PagePointer from, PagePointer to, Lba begin) {
  begin_ = begin;
  if (from == to) co_return absl::OkStatus();
  if (!to.hole() && visitor_.page) CO_RETURN_IF_ERROR(visitor_.page(to));
  const absl::StatusOr<Side> a = co_await Load(from, 0, {});
  if (!a.ok()) co_return a.status();
  const absl::StatusOr<Side> b = co_await Load(to, 0, {});
  if (!b.ok()) co_return b.status();
  uint8_t level = 0;
  for (const Side* side : {&*a, &*b}) {
    if (side->page == nullptr) continue;
    level = std::max(level, side->page->level);
    fanout_bits_ = side->page->fanout_bits;
  }
  if (a->page == nullptr && b->page == nullptr) co_return absl::OkStatus();
  co_return co_await Walk(*a, *b, level, 0);
}

Task<absl::Status> TreeDiff::Walk(const Side& from, const Side& to, uint8_t level, Lba first) {
  if (level == 0) {
    co_return co_await visitor_.leaf(first, PageSpan(fanout_bits_, 0), from.page.get(),
                                     to.page.get());
  }
  const uint64_t span = PageSpan(fanout_bits_, level - 1);
  const size_t fanout = size_t{1} << fanout_bits_;
  size_t slot = begin_ > first ? std::min<uint64_t>((begin_ - first) / span, fanout) : 0;
  for (; slot < fanout; ++slot) {
    const PagePointer old = from.Child(level, slot);
    const PagePointer now = to.Child(level, slot);
    if (old == now) continue;
    const Lba at = first + slot * span;
    // A lower root was told of already.
    if (!now.hole() && now != to.pointer && visitor_.page) {
      CO_RETURN_IF_ERROR(visitor_.page(now));
    }
    const absl::StatusOr<Side> a = co_await Load(old, at, Beside(from, to, level, slot));
    if (!a.ok()) co_return a.status();
    const absl::StatusOr<Side> b = co_await Load(now, at, Beside(to, from, level, slot));
    if (!b.ok()) co_return b.status();
    if (a->page == nullptr && b->page == nullptr) continue;
    CO_RETURN_IF_ERROR(co_await Walk(*a, *b, level - 1, at));
  }
  co_return absl::OkStatus();
}

}  // namespace diskd::object
