// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/sim/coverage.h"

#include <cstddef>
#include <iterator>

namespace diskd::object {

void Coverage::Add(const Coverage& other) {
  for (size_t i = 0; i < std::size(ends); ++i) ends[i] += other.ends[i];
  writes += other.writes;
  killed_openings += other.killed_openings;
  kept_records += other.kept_records;
  checkpoints += other.checkpoints;
  retries += other.retries;
  deleted_objects += other.deleted_objects;
  moved_blocks += other.moved_blocks;
  snapshots += other.snapshots;
  rollbacks += other.rollbacks;
  clones += other.clones;
  copies += other.copies;
  broken_off += other.broken_off;
  deleted_volumes += other.deleted_volumes;
  deleted_with_clones += other.deleted_with_clones;
  used_again += other.used_again;
  resizes += other.resizes;
  diffs += other.diffs;
  packed_bytes += other.packed_bytes;
  stored_bytes += other.stored_bytes;
  read_ahead += other.read_ahead;
  cache_hits += other.cache_hits;
  cache_restored += other.cache_restored;
  cache_damaged += other.cache_damaged;
  changed_blocks += other.changed_blocks;
  told_blocks += other.told_blocks;
  checks += other.checks;
  damages += other.damages;
  damages_found += other.damages_found;
  rivals += other.rivals;
  refused += other.refused;
  disturbed += other.disturbed;
  fenced += other.fenced;
}

}  // namespace diskd::object
