// SPDX-License-Identifier: Apache-2.0
//
// The store with retries: calls end when the store has given a definite answer. What may pass by
// itself (outages, throttling, refused credentials) is tried again, with growing, jittered pauses
// and as the budget of its lane allows: for ever by an engine, for `patience` by what somebody
// waits for; then the call ends with the last status. Whoever holds what others need has less
// patience, and a Retry of its own around the call and the rest of the work. Scheduler's thread
// only.
#ifndef DISKD_DRIVERS_OBJECT_ENGINE_STORE_CLIENT_H_
#define DISKD_DRIVERS_OBJECT_ENGINE_STORE_CLIENT_H_

#include <array>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "drivers/object/engine/retry_budget.h"
#include "drivers/object/engine/task.h"
#include "drivers/object/env/scheduler.h"
#include "drivers/object/env/store.h"
#include "drivers/object/format/object.h"

namespace diskd::object {

struct StoreCounters {
  uint64_t puts = 0;
  uint64_t put_bytes = 0;
  uint64_t gets = 0;
  uint64_t get_bytes = 0;
  uint64_t lists = 0;
  uint64_t deletes = 0;
  uint64_t retries = 0;
  uint64_t corrupt = 0;  // answers that failed a checksum, asked for again
  uint64_t lost = 0;     // reads of data or of the map that ended with DATA_LOSS
};

class StoreClient {
 public:
  // How long there may be no definite answer.
  struct Patience {
    absl::Duration unreached = absl::InfiniteDuration();
    int tries = 0;          // at least, unless they take long or the budget is used up
    absl::Duration absent;  // NOT_FOUND, where it can't be; zero: after three tries
  };
  // The tries of one call, or of work around some.
  class Retry {
   public:
    Retry(StoreClient* client, Lane lane, Patience patience);
    // After a status of Get or GetHeader, or what came of it. True: it may pass, and a pause is
    // over.
    Task<bool> Again(absl::Status status);

   private:
    StoreClient* const client_;
    const Lane lane_;
    const absl::Duration begin_;
    Patience patience_;
    int attempt_ = 0;
    int absent_ = 0;
    int unreadable_ = 0;
  };

  StoreClient(Store* store, Scheduler* scheduler,
              absl::Duration patience = absl::InfiniteDuration(), const PackingKey* key = nullptr)
      : store_(store), scheduler_(scheduler), patience_(patience), key_(key) {}

  // FAILED_PRECONDITION: the condition did not hold for some attempt; an earlier one may have been
  // applied, so the caller must look. `may_land`: set where an attempt was not answered, which the
  // store may carry out later.
  Task<absl::StatusOr<Etag>> Put(Lane lane, std::string name,
                                 std::shared_ptr<const std::string> body, PutCondition condition,
                                 bool* may_land = nullptr);
  // NOT_FOUND only when the store says so again and again. DATA_LOSS: it has the object and can't
  // read it.
  Task<absl::StatusOr<GetResult>> Get(Lane lane, std::string name, std::optional<ByteRange> range,
                                      Patience patience);
  Task<absl::StatusOr<GetResult>> Get(Lane lane, std::string name, std::optional<ByteRange> range) {
    return Get(lane, std::move(name), range, Patience());
  }
  // Whether a Get that has ended with this may end otherwise later.
  static bool MayPass(const absl::Status& status);
  Task<absl::StatusOr<ListResult>> List(Lane lane, std::string prefix, std::string after);
  // `may_land`: as Put's.
  Task<absl::Status> Delete(Lane lane, std::string name, Patience patience,
                            bool* may_land = nullptr);
  Task<absl::Status> Delete(Lane lane, std::string name) {
    return Delete(lane, std::move(name), Patience());
  }

  // The header of an object, its sequence, epoch and nonce checked against its name's.
  Task<absl::StatusOr<ObjectHeader>> GetHeader(Lane lane, Uuid volume, uint64_t epoch,
                                               uint64_t nonce, uint32_t sequence,
                                               Patience patience);
  Task<absl::StatusOr<ObjectHeader>> GetHeader(Lane lane, Uuid volume, uint64_t epoch,
                                               uint64_t nonce, uint32_t sequence) {
    return GetHeader(lane, volume, epoch, nonce, sequence, Patience());
  }

  // Creates the object that `header` describes; `body` begins with it. The result is the header of
  // the object that has the name now: the same if it is this one, by whichever attempt; another one
  // if the name was taken.
  Task<absl::StatusOr<ObjectHeader>> Create(Lane lane, ObjectHeader header,
                                            std::shared_ptr<const std::string> body);

  const StoreCounters& counters() const { return counters_; }
  void CountCorrupt() { ++counters_.corrupt; }
  void CountLost() { ++counters_.lost; }
  Scheduler* scheduler() const { return scheduler_; }

 private:
  absl::Duration PauseAfter(int attempt, const absl::Status& status);
  absl::Duration Jittered(absl::Duration pause);
  // Before another try of what began at `begin`; false: the client's patience is over.
  Task<bool> Pause(Lane lane, int attempt, absl::Status status, absl::Duration begin);
  // After `pause`, once the budget allows it; false: not until `end`.
  Task<bool> Rest(Lane lane, absl::Duration pause, absl::Duration end);
  bool Again(const absl::Status& status, absl::Duration begin) const;
  RetryBudget& BudgetOf(Lane lane) { return budgets_[static_cast<size_t>(lane)]; }
  void Note(Lane lane, const absl::Status& status);

  Store* const store_;
  Scheduler* const scheduler_;
  const absl::Duration patience_;
  const PackingKey* const key_;  // of the headers
  StoreCounters counters_;
  std::array<RetryBudget, kLanes> budgets_;
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_ENGINE_STORE_CLIENT_H_
