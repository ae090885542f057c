// SPDX-License-Identifier: Apache-2.0
//
// Checks a volume in a store: every page of the map of every snapshot and of the last checkpoint,
// every object they reach, every block of data, and the objects behind the checkpoint. Changes
// nothing, needs no owner and disturbs none: what a living volume deletes or replaces meanwhile is
// looked up again before it is called a problem, and counts only if a HEAD from before and one from
// after the failed look reach it. Scheduler's thread only.
#ifndef DISKD_DRIVERS_OBJECT_ENGINE_CHECK_H_
#define DISKD_DRIVERS_OBJECT_ENGINE_CHECK_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "drivers/object/engine/block_reader.h"
#include "drivers/object/engine/head_keeper.h"
#include "drivers/object/engine/map_tree.h"
#include "drivers/object/engine/options.h"
#include "drivers/object/engine/store_client.h"
#include "drivers/object/engine/workers.h"

namespace diskd::object {

struct CheckProblem {
  uint64_t snapshot = 0;  // whose state; 0: the volume's
  Lba lba = 0;
  uint64_t blocks = 0;  // 0: no data is lost, recovery or the check of others could fail
  std::string object;   // its name in the store
  std::string message;
};

struct CheckReport {
  uint64_t pages = 0;    // of the map
  uint64_t objects = 0;  // that the map reaches
  uint64_t blocks = 0;   // of data
  uint64_t tail_objects = 0;
  std::vector<CheckProblem> problems;  // at most kMaxProblems
  bool more_problems = false;
  // Objects of the volume that nothing reaches: a collection deletes them...
  uint64_t garbage_objects = 0;
  uint64_t garbage_bytes = 0;
  // ...except these, which no owner knows of; the first kMaxOrphans of them.
  uint64_t orphan_objects = 0;
  uint64_t orphan_bytes = 0;
  std::vector<std::string> orphans;
};

inline constexpr size_t kMaxProblems = 1000;
inline constexpr size_t kMaxOrphans = 1000;

class Check {
 public:
  Check(StoreClient* store, Scheduler* scheduler, const Uuid& volume, const Options& options);

  // NOT_FOUND: no such volume. Problems are not an error.
  Task<absl::StatusOr<CheckReport>> Run();

 private:
  // A broken part of the state of a snapshot (0: of the checkpoint), not confirmed.
  struct Suspicion {
    uint64_t snapshot;
    Lba lba;
    uint64_t blocks;
  };
  struct Finding {
    std::string object;  // "": nothing is wrong
    std::string message;
  };

  // check.cc: what the map reaches
  std::string NameOf(uint16_t stream, uint32_t sequence) const;
  void Suspect(uint64_t snapshot, Lba lba, uint64_t blocks);
  void AddProblem(CheckProblem problem);
  Task<absl::Status> CheckRoot(uint64_t snapshot, PagePointer before, PagePointer root);
  Task<absl::Status> CheckLeaf(uint64_t snapshot, Lba first, const MapPage* from,
                               const MapPage* to);
  Task<absl::Status> CheckNewObjects(uint64_t snapshot, Lba lba);
  Task<absl::Status> CheckHeader(uint64_t snapshot, Lba lba, uint16_t stream, uint32_t sequence);
  Task<absl::Status> CheckRun(uint64_t snapshot, Lba lba, std::vector<BlockLocation> places);
  Task<absl::Status> Confirm();
  Task<absl::StatusOr<Finding>> Probe(uint64_t snapshot, Lba lba);
  Task<Finding> ProbeHeader(uint16_t stream, uint32_t sequence);

  // check_tail.cc: the rest
  Task<absl::Status> CheckTail();
  Task<absl::StatusOr<bool>> CheckTailOf(Stream stream, uint32_t from);
  Task<absl::StatusOr<bool>> GoneOn();
  Task<absl::Status> LostBefore(Stream stream, uint32_t sequence);
  Task<absl::Status> CheckObject(ObjectHeader header, uint16_t stream);
  Task<absl::Status> LookForGarbage();
  void Classify(const Head& head, const ListEntry& entry);

  StoreClient* const store_;
  const Options& options_;
  const Uuid volume_;
  HeadKeeper keeper_;
  Head head_;  // that is being checked
  MapTree tree_;
  BlockReader reader_;
  CheckReport report_;
  std::vector<Suspicion> suspicions_;
  bool more_suspicions_ = false;
  absl::flat_hash_set<uint64_t> reached_;  // objects
  absl::flat_hash_set<uint64_t> missing_;
  std::vector<std::pair<uint16_t, uint32_t>> new_objects_;
  Workers workers_;  // last: its tasks use everything above
};

// Whether a failed look says something about the volume, not about the way to it.
bool IsCheckFinding(const absl::Status& status);

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_ENGINE_CHECK_H_
