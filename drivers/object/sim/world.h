// SPDX-License-Identifier: Apache-2.0
//
// One simulated history of a volume and its clones: clients, faults, crashes, takeovers; all from
// one seed.
#ifndef DISKD_DRIVERS_OBJECT_SIM_WORLD_H_
#define DISKD_DRIVERS_OBJECT_SIM_WORLD_H_

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "drivers/object/sim/coverage.h"
#include "drivers/object/sim/node.h"
#include "drivers/object/sim/timeline.h"

namespace diskd::object {

class World {
 public:
  World(uint64_t seed, Sabotage sabotage, bool verbose, Fencing fencing = Fencing::kCas);
  ~World();

  // The first thing that went wrong; empty: nothing did.
  std::string Run();
  const Coverage& coverage() const { return coverage_; }

 private:
  struct SnapshotRecord {
    uint64_t id;
    DiskState state;
  };
  // What all volumes of a history have in common.
  struct Shared {
    Shared(uint64_t seed, Fencing fencing);
    SimScheduler random;
    SimStore store;
    SimStore other_store;  // copies may be there
    const bool encrypted;
    const Fencing fencing;
    LeaseTimes lease;
    bool lossy = false;
    std::string violation;
    Coverage coverage;
    std::vector<std::unique_ptr<Operator>> checks;
    // A check that such a volume's end falls into finds objects of the former one in the next.
    std::set<Uuid> used_again;
    std::vector<std::unique_ptr<World>> clones;  // of the first volume and of each other
  };
  World(std::shared_ptr<Shared> shared, SimStore* store, Sabotage sabotage, bool verbose,
        uint64_t size_blocks, uint8_t fanout_bits);
  enum class End { kKill, kPowerCut, kLogLost, kTakeover, kClose };

  void Violate(const std::string& what);
  bool ok() const { return violation_.empty(); }
  void Trace(const std::string& what);

  // Runs events until `done`; too long is a violation of liveness.
  void RunUntil(const std::function<bool()>& done, const char* what);
  void RunEvents(uint64_t count);

  void ChooseFaults();
  void MakeVolume();
  void Step();
  void CheckOwner();
  // Events until all late requests have landed.
  void LetTimePass();
  // Their answers will mean nothing: the owner changes.
  void ForgetRequests();
  bool Tolerated(const absl::Status& status) const;
  void VerifyAll(const char* when);
  void VerifyRoot(PagePointer root, const DiskState& want, const std::string& what);
  void VerifySnapshots();
  DiskState ReadEverything(const PagePointer* root, uint64_t size, const std::string& what);

  void SubmitSome(uint64_t count);
  void SubmitWrite(bool more);
  void SubmitRead(bool more);
  void SubmitFlush(bool more);
  void SubmitToZombie();
  void StartSnapshot();
  void StartSnapshotDelete();
  void StartCollect();
  void RollBack();
  void StartResize();
  void EndRound(End end);
  void EndRandomly();
  void LoseAnObject();

  // world_open.cc
  // A process that opens the volume.
  struct Opening {
    std::unique_ptr<Node> node;
    std::optional<absl::Status> result;
    bool done() const { return result.has_value(); }
    bool opened() const { return done() && result->ok(); }
  };
  std::shared_ptr<SimDisk> NewDisk();
  std::shared_ptr<SimDisk> ChooseCache();
  uint64_t OpenInVain(const std::shared_ptr<SimDisk>& disk, const std::shared_ptr<SimDisk>& cache,
                      uint64_t at_least);
  std::unique_ptr<Opening> StartOpening(std::shared_ptr<SimDisk> disk,
                                        std::shared_ptr<SimDisk> cache);
  // The number of the write that the opened volume ends with has to be in [at_least, issued].
  void OpenOn(std::shared_ptr<SimDisk> disk, uint64_t at_least, const char* why);
  void AdoptUnknownSnapshots();
  uint64_t KeptWithoutLog() const;
  void TakeOver();

  // world_lease.cc
  bool leased() const { return shared_->fencing == Fencing::kLease; }
  absl::Duration SomeTime(double leases);
  void DisturbOwner();
  void PauseOwner();
  void CalmOwner();
  void AddRivals(std::vector<std::unique_ptr<Opening>>& openings);
  // Whom the volume has been taken over by; nullptr: nobody.
  std::unique_ptr<Opening> Winner(std::vector<std::unique_ptr<Opening>>& openings);
  void NobodyOpened(const absl::Status& status, std::shared_ptr<SimDisk> disk, uint64_t at_least,
                    const char* why);
  void PauseForAWhile();
  void LoseTheLease();
  void StaleAnswer(const absl::Status& status);

  // world_look.cc
  void VerifyDiffs();
  void VerifyDiff(uint64_t from, const DiskState& old, uint64_t to, const DiskState& now);
  void StartCheck();
  CheckReport CheckNow();
  bool ReadableOffline();
  void DamageAndCheck();

  // world_family.cc
  // Runs a call of Volumes to its end, while everybody goes on; kills and repeats it at times.
  absl::Status Operate(
      const char* what,
      const std::function<void(Volumes&, std::function<void(absl::Status)>)>& call);
  void MakeClone(World& source);
  void MakeCopy(World& source);
  void Adopt(std::unique_ptr<World> world, const DiskState& state);
  void DeleteVolume(bool owned);
  absl::Status DeleteInStore();
  void UseIdAgain();
  World& AnyVolume();
  void ActOnFamily();
  std::vector<World*> Family();
  void VerifyFamily(const char* when);
  void DeleteFamily();
  bool HasClones() const;

  const std::shared_ptr<Shared> shared_;
  const bool first_;  // the others belong to it
  SimScheduler& random_;
  const Sabotage sabotage_;
  const bool verbose_;
  SimStore& store_;
  Options options_;
  Uuid volume_;
  uint64_t size_blocks_;  // that clients may use
  uint64_t log_blocks_;
  bool lasting_memory_;  // that logs make their records in
  uint64_t flushes_;     // of 100 requests
  uint64_t max_write_;
  uint8_t fanout_bits_;
  bool& lossy_;  // an object was taken away: errors are allowed, wrong data is not

  Timeline timeline_;
  Stamp next_stamp_ = 1;
  std::unique_ptr<Node> node_;    // the owner
  std::unique_ptr<Node> zombie_;  // an earlier owner that does not know it yet
  uint64_t zombie_limit_ = 0;     // it must not get anything behind this into the store
  // Of two machines: the owner's, and the one of the owner before it or none.
  std::shared_ptr<SimDisk> cache_;
  std::shared_ptr<SimDisk> other_cache_;
  bool taking_over_ = false;
  int openings_in_vain_ = 0;
  uint64_t session_ = 0;  // +1 whenever the owner changes: older answers mean nothing
  uint64_t in_flight_ = 0;
  Lba next_read_ = 0;      // where reads in order go on
  uint64_t flushed_ = 0;   // covered by an answered flush: survives a power cut
  uint64_t uploaded_ = 0;  // in the store, as the engine says: survives the loss of the log
  std::vector<SnapshotRecord> snapshots_;
  uint64_t snapshot_names_ = 0;
  bool snapshot_running_ = false;
  uint64_t new_size_ = 0;  // of a resize under way; 0: none
  bool collecting_ = false;
  std::vector<SnapshotRecord> deleting_;              // snapshots that may or may not be gone
  std::vector<std::unique_ptr<Operator>> operators_;  // at work behind the owner's back
  std::string& violation_;
  Coverage& coverage_;
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_SIM_WORLD_H_
