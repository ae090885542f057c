// SPDX-License-Identifier: Apache-2.0
//
// The store with retries: calls end when the store has given a definite answer. What may pass by
// itself (outages, throttling, refused credentials) is tried again, with growing, jittered pauses:
// for ever by an engine, for `patience` by what somebody waits for; then the call ends with the
// last status. Scheduler's thread only.
#ifndef DISKD_DRIVERS_OBJECT_ENGINE_STORE_CLIENT_H_
#define DISKD_DRIVERS_OBJECT_ENGINE_STORE_CLIENT_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
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
};

class StoreClient {
 public:
  StoreClient(Store* store, Scheduler* scheduler,
              absl::Duration patience = absl::InfiniteDuration(), const PackingKey* key = nullptr)
      : store_(store), scheduler_(scheduler), patience_(patience), key_(key) {}

  // FAILED_PRECONDITION: the condition did not hold for some attempt; an earlier one may have been
  // applied, so the caller must look.
  Task<absl::StatusOr<Etag>> Put(Lane lane, std::string name,
                                 std::shared_ptr<const std::string> body, PutCondition condition);
  // NOT_FOUND only when the store says so again and again.
  Task<absl::StatusOr<GetResult>> Get(Lane lane, std::string name, std::optional<ByteRange> range);
  Task<absl::StatusOr<ListResult>> List(Lane lane, std::string prefix, std::string after);
  Task<absl::Status> Delete(Lane lane, std::string name);

  // The header of an object, its sequence, epoch and nonce checked against its name's.
  Task<absl::StatusOr<ObjectHeader>> GetHeader(Lane lane, Uuid volume, uint64_t epoch,
                                               uint64_t nonce, uint32_t sequence);

  // Creates the object that `header` describes; `body` begins with it. The result is the header of
  // the object that has the name now: the same if it is this one, by whichever attempt; another one
  // if the name was taken.
  Task<absl::StatusOr<ObjectHeader>> Create(Lane lane, ObjectHeader header,
                                            std::shared_ptr<const std::string> body);

  const StoreCounters& counters() const { return counters_; }

 private:
  Task<void> Pause(int attempt, absl::Status status);
  bool Again(const absl::Status& status, absl::Duration begin) const;

  Store* const store_;
  Scheduler* const scheduler_;
  const absl::Duration patience_;
  const PackingKey* const key_;  // of the headers
  StoreCounters counters_;
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_ENGINE_STORE_CLIENT_H_
