// SPDX-License-Identifier: Apache-2.0
//
// Which block of which object each slot of the read cache holds: a table with open addressing over
// the slots, about 13 bytes a slot and no more. Not thread-safe.
#ifndef DISKD_DRIVERS_OBJECT_ENGINE_CACHE_INDEX_H_
#define DISKD_DRIVERS_OBJECT_ENGINE_CACHE_INDEX_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "drivers/object/format/object.h"

namespace diskd::object {

class CacheIndex {
 public:
  using Key = uint64_t;
  static constexpr Key kNone = 0;  // no location has it

  static Key KeyOf(const BlockLocation& at) {
    return uint64_t{at.stream} << 48 | uint64_t{at.block} << 32 | at.sequence;
  }
  static BlockLocation LocationOf(Key key) {
    return {static_cast<uint16_t>(key >> 48), static_cast<uint16_t>(key >> 32),
            static_cast<uint32_t>(key), 0};
  }

  CacheIndex() = default;
  explicit CacheIndex(uint32_t slots) : keys_(slots), used_(slots), table_(slots + slots / 3 + 2) {}

  // Of an empty slot: kNone.
  Key key(uint32_t slot) const { return keys_[slot]; }
  std::optional<uint32_t> Find(Key key) const {
    for (size_t at = Home(key); table_[at] != 0; at = Next(at)) {
      if (keys_[table_[at] - 1] == key) return table_[at] - 1;
    }
    return std::nullopt;
  }
  // The slot is empty and no other one has the key.
  void Put(uint32_t slot, Key key) {
    keys_[slot] = key;
    used_[slot] = false;
    size_t at = Home(key);
    while (table_[at] != 0) at = Next(at);
    table_[at] = slot + 1;
  }
  // Of an empty slot: no effect.
  void Clear(uint32_t slot) {
    if (keys_[slot] == kNone) return;
    size_t hole = Home(keys_[slot]);
    while (table_[hole] != slot + 1) hole = Next(hole);
    keys_[slot] = kNone;
    used_[slot] = false;
    // What was put behind the hole only because of it moves into it.
    for (size_t at = Next(hole); table_[at] != 0; at = Next(at)) {
      const size_t home = Home(keys_[table_[at] - 1]);
      const bool stays = hole <= at ? hole < home && home <= at : hole < home || home <= at;
      if (stays) continue;
      table_[hole] = table_[at];
      hole = at;
    }
    table_[hole] = 0;
  }
  // Whether the slot was read since it was filled.
  bool used(uint32_t slot) const { return used_[slot]; }
  void MarkUsed(uint32_t slot) { used_[slot] = true; }

 private:
  size_t Home(Key key) const {
    const uint64_t mixed = (key ^ key >> 29) * 0x9e3779b97f4a7c15;
    return static_cast<size_t>((mixed >> 32) * table_.size() >> 32);
  }
  size_t Next(size_t at) const { return at + 1 == table_.size() ? 0 : at + 1; }

  std::vector<Key> keys_;
  std::vector<bool> used_;
  std::vector<uint32_t> table_;  // slot + 1; 0: free
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_ENGINE_CACHE_INDEX_H_
