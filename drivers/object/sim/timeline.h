// SPDX-License-Identifier: Apache-2.0
//
// The oracle: the writes of a volume in the order they were submitted. Write number i of the
// timeline has write sequence i in the engine, so what an engine has recovered can be compared
// with exactly one prefix.
#ifndef DISKD_DRIVERS_OBJECT_SIM_TIMELINE_H_
#define DISKD_DRIVERS_OBJECT_SIM_TIMELINE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "drivers/object/types.h"

namespace diskd::object {

// The content of a block is a stamp: 0 for zeros, else the id of the write that made it.
using Stamp = uint64_t;
inline constexpr Stamp kGarbage = ~Stamp{0};
using DiskState = std::vector<Stamp>;

inline uint64_t StampWord(Stamp stamp, Lba lba) {
  return stamp == 0 ? 0 : stamp * 0x9e3779b97f4a7c15 ^ lba * 0xbf58476d1ce4e5b9;
}

inline void FillBlock(std::byte* block, Stamp stamp, Lba lba) {
  for (size_t sector = 0; sector < kBlockBytes; sector += 512) {
    const uint64_t word[2] = {stamp, StampWord(stamp, lba)};
    memset(block + sector, stamp == 0 ? 0 : static_cast<int>(stamp % 255 + 1), 512);
    if (stamp == 0) continue;
    memcpy(block + sector, word, sizeof word);
    // Some don't compress.
    for (size_t at = 16; stamp % 4 == 1 && at < 512; at += 8) {
      const uint64_t noise = (word[1] + sector + at) * 0xbf58476d1ce4e5b9;
      memcpy(block + sector + at, &noise, sizeof noise);
    }
  }
}

// kGarbage: no block that was ever written to this place.
inline Stamp ReadStamp(const std::byte* block, Lba lba) {
  Stamp first = 0;
  memcpy(&first, block, sizeof first);
  std::byte want[kBlockBytes];
  FillBlock(want, first, lba);
  return memcmp(block, want, kBlockBytes) == 0 ? first : kGarbage;
}

class Timeline {
 public:
  explicit Timeline(uint64_t blocks) : history_(blocks) {}

  struct Write {
    Stamp stamp;  // 0: zeros
    Lba lba;
    uint64_t blocks;
    bool acknowledged = false;
  };

  uint64_t size() const { return writes_.size(); }

  // The new write's sequence, from 1 on.
  uint64_t Add(const Write& write) {
    writes_.push_back(write);
    for (uint64_t i = 0; i < write.blocks; ++i) {
      history_.at(write.lba + i).push_back({writes_.size(), write.stamp});
    }
    return writes_.size();
  }
  void Acknowledge(uint64_t sequence) {
    if (sequence <= writes_.size()) writes_[sequence - 1].acknowledged = true;
    while (acknowledged_ < writes_.size() && writes_[acknowledged_].acknowledged) ++acknowledged_;
  }
  // Every write up to here has been answered.
  uint64_t acknowledged() const { return acknowledged_; }

  DiskState StateAfter(uint64_t sequence) const {
    DiskState state(history_.size());
    for (Lba lba = 0; lba < history_.size(); ++lba) state[lba] = At(lba, sequence);
    return state;
  }

  // May a read find `stamp` that began when everything up to `floor` had been answered?
  bool Readable(Lba lba, Stamp stamp, uint64_t floor) const {
    if (At(lba, floor) == stamp) return true;
    return std::any_of(history_[lba].rbegin(), history_[lba].rend(), [&](const Change& change) {
      return change.sequence > floor && change.stamp == stamp;
    });
  }

  // A recovery has decided that nothing behind `sequence` ever happened.
  void Truncate(uint64_t sequence) {
    writes_.resize(sequence, {});
    for (Write& write : writes_) write.acknowledged = true;
    acknowledged_ = sequence;
    for (auto& changes : history_) {
      while (!changes.empty() && changes.back().sequence > sequence) changes.pop_back();
    }
  }

  uint64_t blocks() const { return history_.size(); }
  // Blocks behind the new end are forgotten, new ones are zeros.
  void Resize(uint64_t blocks) { history_.resize(blocks); }

  // The disk was made what `state` is, in size too; no sequence is used.
  void Overwrite(const DiskState& state) {
    Resize(state.size());
    for (Lba lba = 0; lba < history_.size(); ++lba) {
      history_[lba].push_back({writes_.size(), state[lba]});
    }
  }

 private:
  struct Change {
    uint64_t sequence;
    Stamp stamp;
  };
  Stamp At(Lba lba, uint64_t sequence) const {
    for (auto it = history_[lba].rbegin(); it != history_[lba].rend(); ++it) {
      if (it->sequence <= sequence) return it->stamp;
    }
    return 0;
  }

  std::vector<Write> writes_;
  std::vector<std::vector<Change>> history_;  // of each block
  uint64_t acknowledged_ = 0;
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_SIM_TIMELINE_H_
