// SPDX-License-Identifier: Apache-2.0
#ifndef DISKD_DRIVERS_OBJECT_SIM_COVERAGE_H_
#define DISKD_DRIVERS_OBJECT_SIM_COVERAGE_H_

#include <cstdint>

namespace diskd::object {

// How often the interesting things happened: a simulation that never gets there proves nothing.
struct Coverage {
  uint64_t ends[5] = {};  // by World::End
  uint64_t writes = 0;
  uint64_t killed_openings = 0;
  uint64_t kept_records = 0;  // of logs, that the disk did not have
  uint64_t checkpoints = 0;
  uint64_t retries = 0;
  uint64_t deleted_objects = 0;
  uint64_t moved_blocks = 0;
  uint64_t snapshots = 0;
  uint64_t rollbacks = 0;
  uint64_t clones = 0;
  uint64_t copies = 0;
  uint64_t broken_off = 0;  // clones and deletions that were killed
  uint64_t deleted_volumes = 0;
  uint64_t deleted_with_clones = 0;
  uint64_t used_again = 0;  // ids of these
  uint64_t resizes = 0;
  uint64_t diffs = 0;
  uint64_t packed_bytes = 0;
  uint64_t stored_bytes = 0;
  uint64_t cache_hits = 0;
  uint64_t read_ahead = 0;      // blocks
  uint64_t cache_restored = 0;  // blocks found in a cache at its opening...
  uint64_t cache_damaged = 0;   // ...and not there any more when they were read
  uint64_t changed_blocks = 0;  // between the two states of a diff
  uint64_t told_blocks = 0;     // by the diff
  uint64_t checks = 0;          // of living volumes
  uint64_t damages = 0;         // that a check was put before...
  uint64_t damages_found = 0;   // ...and that matter
  // With fencing=lease.
  uint64_t rivals = 0;     // who opened a volume beside another one
  uint64_t refused = 0;    // openings of a volume whose owner goes on
  uint64_t disturbed = 0;  // owners that were paused, not heard or cut off, and taken over
  uint64_t fenced = 0;     // owners that stopped themselves

  void Add(const Coverage& other);
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_SIM_COVERAGE_H_
