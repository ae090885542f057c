// SPDX-License-Identifier: Apache-2.0
//
// The HEAD of a volume and its replacement by compare-and-swap. Scheduler's thread only.
#ifndef DISKD_DRIVERS_OBJECT_ENGINE_HEAD_KEEPER_H_
#define DISKD_DRIVERS_OBJECT_ENGINE_HEAD_KEEPER_H_

#include <functional>

#include "absl/status/status.h"
#include "drivers/object/engine/options.h"
#include "drivers/object/engine/store_client.h"
#include "drivers/object/engine/task.h"
#include "drivers/object/format/head.h"

namespace diskd::object {

// FAILED_PRECONDITION: the volume needs a key and the options have none. PERMISSION_DENIED: it is
// another one. INVALID_ARGUMENT: it needs none.
absl::Status CheckKey(const Head& head, const Options& options);

class HeadKeeper {
 public:
  HeadKeeper(StoreClient* store, Scheduler* scheduler, const Uuid& volume, const Options& options)
      : store_(store),
        name_(HeadName(volume)),
        volume_(volume),
        options_(options),
        mutex_(scheduler) {}

  // An edit may run several times, each time on the HEAD as it is then.
  using Edit = std::function<absl::Status(Head&)>;

  // Reads it. NOT_FOUND: the volume does not exist.
  Task<absl::Status> Load();
  // Creates the first HEAD. ALREADY_EXISTS: there is another one.
  Task<absl::Status> Create(Head head);
  // Replaces whatever is there by one whose owner is `nonce`; Load() has been called. `edit` is
  // called with the next epoch and the nonce set.
  Task<absl::Status> TakeOver(uint64_t nonce, std::function<Task<absl::Status>(Head&)> edit);
  // Replaces the HEAD as its owner. FAILED_PRECONDITION: somebody else owns the volume now.
  Task<absl::Status> Update(Edit edit);
  // Replaces it without being the owner; epoch and nonce stay. For the table of snapshots only:
  // owners take the changes over with their next replacement.
  Task<absl::Status> EditForeign(Edit edit);

  const Head& head() const { return head_; }
  // The store may still get a HEAD that this one has sent, if the one before it comes back.
  bool may_land() const { return may_land_; }

 private:
  Task<absl::StatusOr<Etag>> Put(const Head& head, PutCondition condition);

  StoreClient* const store_;
  const std::string name_;
  const Uuid volume_;
  const Options& options_;
  Mutex mutex_;
  Head head_;
  Etag etag_;
  bool may_land_ = false;
  absl::Status lost_;  // why it is not ours any more
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_ENGINE_HEAD_KEEPER_H_
