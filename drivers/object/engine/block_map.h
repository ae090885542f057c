// SPDX-License-Identifier: Apache-2.0
//
// An ordered map from blocks to small values, with long ranges of zeros as single entries.
// Later settings replace earlier ones. Not thread-safe.
#ifndef DISKD_DRIVERS_OBJECT_ENGINE_BLOCK_MAP_H_
#define DISKD_DRIVERS_OBJECT_ENGINE_BLOCK_MAP_H_

#include <algorithm>
#include <cstdint>

#include "absl/container/btree_map.h"
#include "drivers/object/types.h"

namespace diskd::object {

template <class V>
class BlockMap {
 public:
  // As small as it can be: there are hundreds of thousands.
  struct Entry {
    uint32_t blocks : 31 = 1;  // data: 1
    uint32_t zero : 1 = 0;
    V value{};
  };
  // What is known about a block: entry == nullptr: nothing. `run`: as many blocks from there on
  // have the same answer (data: 1), at most the number asked for.
  struct Found {
    const Entry* entry = nullptr;
    uint64_t run = 0;
  };

  void SetData(Lba lba, V value) {
    const Entry entry{1, false, value};
    auto it = Mutable(lba);
    const bool known = it != entries_.end() && it->first <= lba;
    if (known && it->second.blocks > 1) {
      Erase(lba, 1);
      entries_[lba] = entry;
    } else if (known) {
      it->second = entry;
    } else {
      entries_.insert(it, {lba, entry});
    }
  }
  void SetZero(Lba lba, uint64_t blocks, V value) {
    Erase(lba, blocks);
    while (blocks > 0) {
      const auto piece = static_cast<uint32_t>(std::min<uint64_t>(blocks, kMaxEntryBlocks));
      entries_[lba] = Entry{piece, true, value};
      lba += piece;
      blocks -= piece;
    }
  }

  Found Find(Lba lba, uint64_t limit) const {
    auto next = entries_.upper_bound(lba);
    if (next != entries_.begin()) {
      auto it = std::prev(next);
      const Lba end = it->first + it->second.blocks;
      if (lba < end) return {&it->second, std::min(limit, end - lba)};
    }
    return {nullptr, next == entries_.end() ? limit : std::min(limit, next->first - lba)};
  }

  // First entry that ends behind `lba`; end() if there is none.
  auto FirstBehind(Lba lba) const {
    auto it = entries_.upper_bound(lba);
    if (it != entries_.begin()) {
      auto before = std::prev(it);
      if (before->first + before->second.blocks > lba) return before;
    }
    return it;
  }
  auto begin() const { return entries_.begin(); }
  auto end() const { return entries_.end(); }
  bool empty() const { return entries_.empty(); }
  size_t size() const { return entries_.size(); }
  void clear() { entries_.clear(); }

  void Erase(Lba lba, uint64_t blocks) {
    EraseIf(lba, blocks, [](const V&) { return true; });
  }

  // Forgets the parts within [lba, lba + blocks) of entries whose value satisfies `match`.
  template <class Match>
  void EraseIf(Lba lba, uint64_t blocks, Match match) {
    const Lba end = lba + blocks;
    Lba at = lba;
    while (at < end) {
      auto it = Mutable(at);
      if (it == entries_.end() || it->first >= end) return;
      const Lba first = it->first;
      const Entry entry = it->second;
      const Lba last = first + entry.blocks;
      at = last;
      if (!match(entry.value)) continue;
      entries_.erase(it);
      if (first < lba) {
        entries_[first] = Entry{static_cast<uint32_t>(lba - first), entry.zero, entry.value};
      }
      if (last > end) {
        entries_[end] = Entry{static_cast<uint32_t>(last - end), entry.zero, entry.value};
      }
    }
  }

 private:
  static constexpr uint32_t kMaxEntryBlocks = (1u << 31) - 1;

  auto Mutable(Lba lba) {
    auto it = entries_.upper_bound(lba);
    if (it != entries_.begin()) {
      auto before = std::prev(it);
      if (before->first + before->second.blocks > lba) return before;
    }
    return it;
  }

  absl::btree_map<Lba, Entry> entries_;
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_ENGINE_BLOCK_MAP_H_
