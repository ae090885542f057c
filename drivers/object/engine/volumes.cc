// SPDX-License-Identifier: Apache-2.0
//
// Who keeps what alive. A clone's HEAD reaches objects of the volume it came from. That volume's
// HEAD names the clone at the snapshot, first: from then on the snapshot's entry, and so all that
// its root reaches, stays in that HEAD until the clone is gone, whatever happens to the snapshot
// and to its volume. All of that are replacements of one HEAD by compare-and-swap, so a clone and a
// deletion of the snapshot, however late they land, have an order. Collection in that volume reads
// nothing else than its HEAD; a pass that began before the clone was made works for a HEAD that had
// the snapshot, and hurts nothing that this one reaches.
//
// A clone holds its origin until its own HEAD is gone, and that HEAD stays while it has clones
// itself: each volume looks after its own objects and its own clones only, whatever the depth.
#include "drivers/object/engine/volumes.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "drivers/object/engine/map_tree.h"
#include "drivers/object/engine/tree_diff.h"

namespace diskd::object {
namespace {

// A request that was not answered is carried out before this has passed, or never.
constexpr absl::Duration kLateDelete = absl::Minutes(2);

}  // namespace

Volumes::Volumes(Store* store, Scheduler* scheduler, const Options& options,
                 absl::Duration patience)
    : scheduler_(scheduler),
      options_(options),
      lease_(
          options_.fencing == Fencing::kLease
              ? std::make_unique<LeaseStore>(store, scheduler, options_, [](const absl::Status&) {})
              : nullptr),
      store_(lease_ != nullptr ? lease_.get() : store, scheduler, patience,
             options_.key_or_null()) {}

HeadKeeper Volumes::Keeper(const Uuid& volume) {
  return HeadKeeper(&store_, scheduler_, volume, options_);
}

void Volumes::Create(const Uuid& volume, uint64_t size_blocks, Done done) {
  auto run = [](Volumes* self, Uuid volume, uint64_t size_blocks, Done done) -> Task<void> {
    done(co_await self->CreateNow(volume, size_blocks));
  };
  tasks_.Spawn(run(this, volume, size_blocks, std::move(done)));
}

Task<absl::Status> Volumes::CreateNow(Uuid volume, uint64_t size_blocks) {
  struct Head head;
  head.volume = volume;
  head.size_blocks = size_blocks;
  head.fanout_bits = options_.fanout_bits;
  head.packed = options_.zstd_level > 0 || options_.key.has_value();
  head.encrypted = options_.key.has_value();
  if (head.encrypted) head.key_check = CheckOfKey(*options_.key);
  HeadKeeper keeper = Keeper(volume);
  co_return co_await keeper.Create(std::move(head));
}

void Volumes::Load(const Uuid& volume, std::function<void(absl::StatusOr<Head>)> done) {
  auto run = [](Volumes* self, Uuid volume, auto done) -> Task<void> {
    HeadKeeper keeper = self->Keeper(volume);
    const absl::Status status = co_await keeper.Load();
    if (status.ok()) {
      done(keeper.head());
    } else {
      done(status);
    }
  };
  tasks_.Spawn(run(this, volume, std::move(done)));
}

void Volumes::Clone(const Uuid& source, uint64_t snapshot, const Uuid& clone, Done done) {
  auto run = [](Volumes* self, Uuid source, uint64_t snapshot, Uuid clone,
                Done done) -> Task<void> {
    done(co_await self->CloneNow(source, snapshot, clone));
  };
  tasks_.Spawn(run(this, source, snapshot, clone, std::move(done)));
}

Task<absl::Status> Volumes::CloneNow(Uuid source, uint64_t snapshot, Uuid clone) {
  if (source == clone) co_return absl::InvalidArgumentError("a volume can't be its own clone");
  if (lease_ != nullptr) {
    co_return absl::UnimplementedError(
        "volumes with fencing=lease can't be cloned: copy the snapshot instead");
  }
  HeadKeeper parent = Keeper(source);
  const absl::Status pinned = co_await parent.EditForeign([&](Head& head) {
    for (SnapshotEntry& entry : head.snapshots) {
      if (entry.id != snapshot) continue;
      if (std::count(entry.clones.begin(), entry.clones.end(), clone) > 0) {
        return absl::OkStatus();
      }
      if (entry.deleted || head.state != VolumeState::kLive) break;
      if (options_.sabotage != Sabotage::kCloneNotPinned) entry.clones.push_back(clone);
      return absl::OkStatus();
    }
    return absl::NotFoundError(
        absl::StrCat("volume ", source.Hex(), " has no snapshot ", snapshot));
  });
  if (absl::IsNotFound(pinned)) {
    co_return absl::NotFoundError(absl::StrCat("clone: ", pinned.message()));
  }
  CO_RETURN_IF_ERROR(pinned);
  const SnapshotEntry* entry = parent.head().FindSnapshot(snapshot);
  struct Head head;
  head.volume = clone;
  head.size_blocks = entry->size_blocks;
  head.fanout_bits = parent.head().fanout_bits;
  head.origin = source;
  head.origin_snapshot = snapshot;
  head.packed = parent.head().packed;
  head.encrypted = parent.head().encrypted;
  head.key_check = parent.head().key_check;
  head.checkpoint.root = entry->root;
  head.streams = parent.head().streams;
  HeadKeeper keeper = Keeper(clone);
  const absl::Status created = co_await keeper.Create(std::move(head));
  if (!absl::IsAlreadyExists(created)) co_return created;
  const Head& there = keeper.head();
  const bool same = there.state == VolumeState::kLive && there.origin == source &&
                    there.origin_snapshot == snapshot;
  co_return same ? absl::OkStatus() : created;
}

void Volumes::DeleteSnapshot(const Uuid& volume, uint64_t snapshot, Done done) {
  auto run = [](Volumes* self, Uuid volume, uint64_t snapshot, Done done) -> Task<void> {
    done(co_await self->DeleteSnapshotNow(volume, snapshot));
  };
  tasks_.Spawn(run(this, volume, snapshot, std::move(done)));
}

Task<absl::Status> Volumes::DeleteSnapshotNow(Uuid volume, uint64_t snapshot) {
  HeadKeeper keeper = Keeper(volume);
  const absl::Status status = co_await keeper.EditForeign([&](Head& head) {
    head.RemoveSnapshot(snapshot);
    return absl::OkStatus();
  });
  co_return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

void Volumes::Delete(const Uuid& volume, const Deletion& deletion, Done done) {
  auto run = [](Volumes* self, Uuid volume, Deletion deletion, Done done) -> Task<void> {
    done(co_await self->DeleteNow(volume, deletion));
  };
  tasks_.Spawn(run(this, volume, deletion, std::move(done)));
}

Task<absl::Status> Volumes::DeleteNow(Uuid volume, Deletion deletion) {
  std::optional<Uuid> origin = deletion.origin;
  HeadKeeper keeper = Keeper(volume);
  const absl::Status loaded = co_await keeper.Load();
  if (!loaded.ok() && !absl::IsNotFound(loaded)) co_return loaded;
  if (loaded.ok()) {
    CO_RETURN_IF_ERROR(co_await Bury(keeper));
    // The first HEAD of the next volume of this id may be the same as this one's was.
    deletion.repeated |= keeper.may_land();
    const Head& head = keeper.head();
    CO_RETURN_IF_ERROR(co_await Sweep(head));
    if (!head.snapshots.empty()) co_return absl::OkStatus();  // the last clone comes here again
    if (head.origin != Uuid{}) origin = head.origin;
  }
  if (origin.has_value()) {
    HeadKeeper parent = Keeper(*origin);
    const absl::StatusOr<bool> left_over = co_await Unpin(parent, volume);
    if (!left_over.ok()) co_return left_over.status();
    if (*left_over) CO_RETURN_IF_ERROR(co_await DeleteNow(*origin, Deletion()));
  }
  // Last, so that a repetition after a crash finds its way.
  co_return co_await DeleteHead(volume, deletion);
}

// A DELETE knows no condition: one that lands late would take the HEAD of the next volume of this
// id. A LeaseStore sees to that by itself.
Task<absl::Status> Volumes::DeleteHead(Uuid volume, Deletion deletion) {
  bool may_land = deletion.repeated;
  CO_RETURN_IF_ERROR(
      co_await store_.Delete(Lane::kCollect, HeadName(volume), StoreClient::Patience(), &may_land));
  if (may_land && !deletion.id_is_spent && lease_ == nullptr) {
    co_await Sleep(scheduler_, kLateDelete);
  }
  co_return absl::OkStatus();
}

// Ends the volume: no owner, no root of its own, no snapshots but those with clones.
Task<absl::Status> Volumes::Bury(HeadKeeper& keeper) {
  if (keeper.head().state == VolumeState::kDeleted) co_return absl::OkStatus();
  uint64_t nonce = 0;
  while (nonce == 0) nonce = scheduler_->Random();
  co_return co_await keeper.TakeOver(nonce, [](Head& head) -> Task<absl::Status> {
    // A copy's origin has not heard of it.
    if (head.state == VolumeState::kCopying || head.copied_blocks > 0) head.origin = {};
    head.state = VolumeState::kDeleted;
    head.checkpoint = {};
    head.log_id = 0;
    std::vector<SnapshotEntry> kept;
    for (SnapshotEntry& entry : head.snapshots) {
      if (entry.clones.empty()) continue;
      entry.deleted = true;
      kept.push_back(std::move(entry));
    }
    head.snapshots = std::move(kept);
    co_return absl::OkStatus();
  });
}

// True: the parent is deleted, and `clone` was the last it was kept for.
Task<absl::StatusOr<bool>> Volumes::Unpin(HeadKeeper& parent, Uuid clone) {
  const absl::Status status = co_await parent.EditForeign([&](Head& head) {
    std::vector<SnapshotEntry> kept;
    for (SnapshotEntry& entry : head.snapshots) {
      const auto removed = std::remove(entry.clones.begin(), entry.clones.end(), clone);
      entry.clones.erase(removed, entry.clones.end());
      if (!entry.deleted || !entry.clones.empty()) kept.push_back(std::move(entry));
    }
    head.snapshots = std::move(kept);
    return absl::OkStatus();
  });
  if (absl::IsNotFound(status)) co_return false;
  CO_RETURN_IF_ERROR(status);
  co_return parent.head().state == VolumeState::kDeleted;
}

// Deletes every object of a deleted volume that no snapshot of its HEAD reaches. Nothing can begin
// to reach them: a deleted volume gets no clones.
Task<absl::Status> Volumes::Sweep(const Head& head) {
  // Who deletes the last clone need not know what to keep.
  if (!head.snapshots.empty() && !CheckKey(head, options_).ok()) co_return absl::OkStatus();
  MapTree tree(
      &store_, [&head](uint16_t id) { return head.FindStream(id); }, options_);
  absl::flat_hash_set<std::string> kept;
  const auto keep = [&](uint16_t id, uint32_t sequence) {
    const Stream* stream = head.FindStream(id);
    if (stream == nullptr || stream->volume != head.volume) return;
    kept.insert(ObjectName(stream->volume, stream->epoch, stream->nonce, sequence));
  };
  TreeDiff::Visitor visitor;
  visitor.page = [&](const PagePointer& page) {
    keep(page.stream, page.sequence);
    return absl::OkStatus();
  };
  visitor.leaf = [&](Lba, uint64_t, const MapPage*, const MapPage* to) -> Task<absl::Status> {
    if (to == nullptr) co_return absl::OkStatus();
    for (const BlockLocation& block : to->blocks) {
      if (!block.hole()) keep(block.stream, block.sequence);
    }
    co_return absl::OkStatus();
  };
  TreeDiff walk(&tree, Lane::kCollect, std::move(visitor));
  PagePointer before;
  for (const SnapshotEntry& entry : head.snapshots) {
    CO_RETURN_IF_ERROR(co_await walk.Run(before, entry.root, 0));
    before = entry.root;
  }
  std::string after;
  for (bool more = true; more;) {
    const absl::StatusOr<ListResult> listed =
        co_await store_.List(Lane::kCollect, VolumePrefix(head.volume), after);
    if (!listed.ok()) co_return listed.status();
    more = listed->more && !listed->entries.empty();
    for (const ListEntry& entry : listed->entries) {
      after = entry.name;
      if (entry.name == HeadName(head.volume) || kept.contains(entry.name)) continue;
      CO_RETURN_IF_ERROR(co_await store_.Delete(Lane::kCollect, entry.name));
    }
  }
  co_return absl::OkStatus();
}

}  // namespace diskd::object
