// SPDX-License-Identifier: Apache-2.0
//
// What is done to volumes in a store without serving them: create, clone, delete, look. None of it
// needs the volume's owner, or disturbs it. Every call is repeatable: after an error, a crash or a
// doubt call it again with the same arguments.
//
// The id of a volume is never used again: a request of the deleted one may still be under way.
//
// With Fencing::kLease, Delete() takes minutes and is refused while the volume has an owner.
// UNIMPLEMENTED there: Clone(), DeleteSnapshot(). CopyTo() ends the use of such a target.
//
// Threads: Scheduler's thread only. Callbacks run there, possibly inside the call. Destruction
// abandons what is under way, as a crash would.
#ifndef DISKD_DRIVERS_OBJECT_ENGINE_VOLUMES_H_
#define DISKD_DRIVERS_OBJECT_ENGINE_VOLUMES_H_

#include <functional>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "drivers/object/engine/check.h"
#include "drivers/object/engine/copy.h"
#include "drivers/object/engine/diff.h"
#include "drivers/object/engine/head_keeper.h"
#include "drivers/object/engine/lease_store.h"
#include "drivers/object/engine/options.h"
#include "drivers/object/engine/store_client.h"
#include "drivers/object/engine/task.h"
#include "drivers/object/env/scheduler.h"
#include "drivers/object/env/store.h"
#include "drivers/object/format/head.h"

namespace diskd::object {

class Volumes {
 public:
  using Done = std::function<void(absl::Status)>;

  // `options`: packing and key, of new volumes and of those that are read. A store that does not
  // answer for `patience` ends a call with its status.
  Volumes(Store* store, Scheduler* scheduler, const Options& options,
          absl::Duration patience = absl::InfiniteDuration());

  // An empty volume. ALREADY_EXISTS: with another size, or opened since.
  void Create(const Uuid& volume, uint64_t size_blocks, Done done);
  // The HEAD as it is now. NOT_FOUND: no such volume.
  void Load(const Uuid& volume, std::function<void(absl::StatusOr<Head>)> done);
  // A new volume that begins as the snapshot of `source` and shares its data; two small PUTs,
  // whatever the size. Snapshot and source may be deleted at any time after that. NOT_FOUND: no
  // such snapshot (any more).
  void Clone(const Uuid& source, uint64_t snapshot, const Uuid& clone, Done done);
  // Also while the volume has an owner, who takes it over with its next HEAD. Deleting what is not
  // there is OK.
  void DeleteSnapshot(const Uuid& volume, uint64_t snapshot, Done done);
  struct Deletion {
    // What it is a clone of, if known; needed only where a Clone() was broken off.
    std::optional<Uuid> origin;
    // An earlier call may have been broken off: the store may still get what that one sent.
    bool repeated = false;
    // Nobody makes a volume of this id again.
    bool id_is_spent = false;
  };
  // Takes the volume from its owner and deletes it, except what clones of its snapshots need; the
  // last of these to be deleted deletes that. Deleting what is not there is OK. After the end the
  // id may be used again, if it was not spent: nothing lands any more.
  void Delete(const Uuid& volume, const Deletion& deletion, Done done);

  // What `to` has changed since `from`; both are snapshots of the volume. from == 0: all that has
  // data. to == 0: the last checkpoint of the volume (Engine::Diff: everything written so far). See
  // DiffRoots. NOT_FOUND: no such snapshot.
  void Diff(const Uuid& volume, uint64_t from, uint64_t to, Lba begin, size_t max_extents,
            std::function<void(absl::StatusOr<DiffPage>)> done);
  // Reads from a snapshot, which may not be deleted meanwhile. `into` is valid until `done`.
  void Read(const Uuid& volume, uint64_t snapshot, Lba lba, uint64_t blocks, std::byte* into,
            Done done);
  // A new volume, in the store of `target` (this or another one, on the same scheduler; it must
  // outlive the call), that is a full copy of the snapshot and owes it nothing. See class Copy.
  void CopyTo(const Uuid& source, uint64_t snapshot, Volumes* target, const Uuid& copy,
              CopyProgress progress, Done done);
  // See class Check.
  void Check(const Uuid& volume, std::function<void(absl::StatusOr<CheckReport>)> done);

 private:
  // A volume as it is in the store, for one call.
  struct View {
    View(Volumes* self, const Uuid& volume);
    // The root of a snapshot; 0: of the checkpoint.
    absl::StatusOr<PagePointer> Root(uint64_t snapshot, uint64_t* size_blocks) const;
    HeadKeeper keeper;
    MapTree tree;
    BlockReader reader;
  };
  Task<absl::Status> CreateNow(Uuid volume, uint64_t size_blocks);
  Task<absl::Status> CloneNow(Uuid source, uint64_t snapshot, Uuid clone);
  Task<absl::Status> DeleteSnapshotNow(Uuid volume, uint64_t snapshot);
  Task<absl::Status> DeleteNow(Uuid volume, Deletion deletion);
  Task<absl::Status> DeleteHead(Uuid volume, Deletion deletion);
  Task<absl::Status> Bury(HeadKeeper& keeper);
  Task<absl::StatusOr<bool>> Unpin(HeadKeeper& parent, Uuid clone);
  Task<absl::Status> Sweep(const Head& head);
  HeadKeeper Keeper(const Uuid& volume);

  Scheduler* const scheduler_;
  const Options options_;
  const std::unique_ptr<LeaseStore> lease_;  // Fencing::kLease; else nullptr
  StoreClient store_;
  TaskSet tasks_;  // last: its tasks use everything above
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_ENGINE_VOLUMES_H_
