// SPDX-License-Identifier: Apache-2.0
//
// What a pass of collection knows: engine/collect.cc marks and deletes, engine/collect_move.cc
// moves.
#ifndef DISKD_DRIVERS_OBJECT_ENGINE_VICTIMS_H_
#define DISKD_DRIVERS_OBJECT_ENGINE_VICTIMS_H_

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_set.h"
#include "drivers/object/engine/engine.h"

namespace diskd::object {

inline uint64_t ObjectKey(uint16_t stream, uint32_t sequence) {
  return uint64_t{stream} << 32 | sequence;
}

// An object of which little is live; bytes of its data or pages.
struct Engine::Sparse {
  uint64_t key;
  uint64_t live;
  uint64_t whole;
  double age;  // data objects stored since

  double Share() const { return static_cast<double>(live) / static_cast<double>(whole); }
  // What copying it frees for what it copies, and for how long: in an old object little will still
  // die by itself.
  double Benefit() const { return (1 - Share()) / Share() * std::sqrt(age); }
};

struct Engine::Victims {
  Head head;        // the marks come from it
  std::string end;  // last name looked at; "": there are no more
  struct Object {
    uint32_t bytes = 0;  // stored
    uint32_t live = 0;   // bytes of its data or pages that HEAD's roots reach
    bool data = false;
    bool pinned = false;  // a snapshot needs it
  };
  // Of which something may be deleted or copied. The memory of a pass.
  absl::btree_map<uint64_t, Object> objects;
  absl::flat_hash_set<uint64_t> sparse;
  // Second walk: what to copy, what to rewrite.
  bool gather = false;
  std::vector<std::pair<Lba, BlockLocation>> blocks;
  Moves rewrites;
  // What the last try to read some of them has failed for.
  absl::btree_map<uint64_t, absl::Status> unread;

  void Mark(uint64_t key, uint32_t bytes, bool data, bool pinning);
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_ENGINE_VICTIMS_H_
