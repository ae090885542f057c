// SPDX-License-Identifier: Apache-2.0
//
// Garbage collection. A pass marks what HEAD's roots reach, deletes objects that nothing reaches,
// and copies the live rest of the emptiest ones together; the copies count from the next checkpoint
// on, and their sources are then deleted in the same way. Objects that a snapshot reaches stay as
// they are, all others are collected whether snapshots exist or not.
//
// What may be deleted: objects of this volume that existed before the HEAD the marks come from, and
// that neither its roots nor the objects behind its checkpoint contain. Later HEADs reach only what
// this one does and newer objects, so a delete that lands late hurts nobody, whoever owns the
// volume by then. Seals stay: they hold back owners that do not know yet that they are not.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "drivers/object/engine/engine.h"
#include "drivers/object/engine/victims.h"
#include "drivers/object/engine/workers.h"

namespace diskd::object {
namespace {

// Requests at the same time.
constexpr int kPagesAtOnce = 32;
constexpr int kDeletesAtOnce = 8;
// Tries of something that one object keeps from succeeding, while the store gives others.
constexpr int kUnreachedTries = 8;
constexpr StoreClient::Patience kDeletePatience{absl::Seconds(10), 4, absl::ZeroDuration()};

}  // namespace

Task<absl::Status> Engine::CollectOnce() {
  const Mutex::Guard guard = co_await collect_mutex_.Lock();
  Victims victims;
  CO_RETURN_IF_ERROR(co_await DeleteUnreached(victims));
  const uint64_t moved = stats_.blocks_moved;
  absl::Status status = co_await MoveLive(victims);
  if (status.ok() && stats_.blocks_moved > moved) {
    // The sources of the copies.
    Victims emptied;
    status = co_await DeleteUnreached(emptied);
  }
  // After an error, too: what can't be moved must not keep what lies behind it.
  collect_after_ = victims.end;
  co_return status;
}

// Holds nothing between the tries, but waits for a store that gives nothing at all.
Task<absl::Status> Engine::Insist(std::function<Task<absl::Status>()> attempt) {
  StoreClient::Retry retry(&store_, Lane::kCollect, {});
  for (int tries = 1;; ++tries) {
    absl::Status status = co_await attempt();
    if (!StoreClient::MayPass(status)) co_return status;
    // The store is not what ends it then.
    if (!failure_.ok()) co_return failure_;
    if (tries == kUnreachedTries) co_return status;
    co_await retry.Again(std::move(status));
    // Any answer will do.
    (void)co_await store_.Get(Lane::kCollect, HeadName(volume_), ByteRange{0, 1});
  }
}

Task<absl::Status> Engine::DeleteUnreached(Victims& victims) {
  // All moves are in the tree and HEAD is ours after this.
  CO_RETURN_IF_ERROR(co_await Checkpoint(nullptr));
  uint32_t side_floor = 0;
  {
    const Mutex::Guard quiet = co_await checkpoint_mutex_.Lock();
    victims.head = head_.head();
    side_floor = next_side_;
  }
  CO_RETURN_IF_ERROR(co_await ListCandidates(side_floor, victims));
  if (options_.sabotage != Sabotage::kCollectEarly) {
    PagePointer before;
    for (const SnapshotEntry& snapshot : victims.head.snapshots) {
      CO_RETURN_IF_ERROR(co_await Walk(snapshot.root, before, true, victims));
      before = snapshot.root;
    }
  }
  CO_RETURN_IF_ERROR(co_await Walk(victims.head.checkpoint.root, {}, false, victims));
  CO_RETURN_IF_ERROR(co_await DeleteDead(victims));
  stored_objects_ = victims.objects.size();
  co_return absl::OkStatus();
}

void Engine::Victims::Mark(uint64_t key, uint32_t bytes, bool data, bool pinning) {
  const auto it = objects.find(key);
  if (it == objects.end()) return;
  Object& object = it->second;
  // What snapshots that are not neighbours share is told twice.
  object.live = std::max(object.live, object.live + bytes);
  object.data |= data;
  object.pinned |= pinning;
}

// `before`: a root whose pages are marked as these will be; what both share is left out.
Task<absl::Status> Engine::Walk(PagePointer root, PagePointer before, bool pinned,
                                Victims& victims) {
  if (root.hole() || root == before) co_return absl::OkStatus();
  if (!victims.gather)
    victims.Mark(ObjectKey(root.stream, root.sequence), root.length, false, pinned);
  PagePair pages;
  CO_RETURN_IF_ERROR(co_await LoadPages(root, before, &pages));
  co_return co_await WalkPage(root, std::move(pages), pinned, /*force=*/false, victims);
}

Task<absl::Status> Engine::LoadPages(PagePointer at, PagePointer before, PagePair* into) {
  const auto load = [&] { return LoadPage(at, &into->page); };
  CO_RETURN_IF_ERROR(co_await Insist(load));
  if (before.hole()) co_return absl::OkStatus();
  const auto load_before = [&] { return LoadPage(before, &into->before); };
  CO_RETURN_IF_ERROR(co_await Insist(load_before));
  // The volume has grown in between.
  if (into->before->level != into->page->level) into->before = nullptr;
  co_return absl::OkStatus();
}

Task<absl::Status> Engine::LoadPage(PagePointer at, PagePtr* into) {
  absl::StatusOr<PagePtr> page = co_await tree_.Load(Lane::kCollect, at);
  if (page.ok()) *into = *std::move(page);
  co_return page.status();
}

// `force`: something below it must be written again, and with it the page that is to be emptied.
Task<absl::Status> Engine::WalkPage(PagePointer at, PagePair pages, bool pinned, bool force,
                                    Victims& victims) {
  if (victims.gather) force |= victims.sparse.contains(ObjectKey(at.stream, at.sequence));
  const std::vector<PagePointer>& below = pages.page->pages;
  for (size_t slot = 0; slot < below.size();) {
    std::vector<size_t> slots;
    for (; slot < below.size() && slots.size() < kPagesAtOnce; ++slot) {
      if (below[slot].hole() || below[slot] == pages.PageBefore(slot)) continue;
      slots.push_back(slot);
      if (victims.gather) continue;
      const PagePointer& child = below[slot];
      victims.Mark(ObjectKey(child.stream, child.sequence), child.length, false, pinned);
    }
    std::vector<PagePair> loaded(slots.size());
    Workers workers(environment_.scheduler, kPagesAtOnce);
    for (size_t i = 0; i < slots.size(); ++i) {
      co_await workers.Start(LoadPages(below[slots[i]], pages.PageBefore(slots[i]), &loaded[i]));
    }
    CO_RETURN_IF_ERROR(co_await workers.Finish());
    for (size_t i = 0; i < slots.size(); ++i) {
      CO_RETURN_IF_ERROR(
          co_await WalkPage(below[slots[i]], std::move(loaded[i]), pinned, force, victims));
      force = false;
    }
  }
  const MapPage& page = *pages.page;
  const Lba first = page.level == 0 ? page.index << page.fanout_bits : 0;
  for (size_t i = 0; i < page.blocks.size(); ++i) {
    const BlockLocation& block = page.blocks[i];
    if (block.hole()) continue;
    const uint64_t object = ObjectKey(block.stream, block.sequence);
    if (!victims.gather) {
      const bool told = pages.before != nullptr && pages.before->blocks[i] == block;
      if (!told) victims.Mark(object, kBlockBytes, true, pinned);
      continue;
    }
    if (force) victims.rewrites[first + i] = {block, block};
    force = false;
    if (victims.sparse.contains(object)) victims.blocks.emplace_back(first + i, block);
  }
  co_return absl::OkStatus();
}

Task<absl::Status> Engine::ListCandidates(uint32_t side_floor, Victims& victims) {
  const Head& head = victims.head;
  std::string after = collect_after_;
  for (bool more = true; more;) {
    const absl::StatusOr<ListResult> listed =
        co_await store_.List(Lane::kCollect, VolumePrefix(volume_), after);
    if (!listed.ok()) co_return listed.status();
    more = listed->more && !listed->entries.empty();
    for (const ListEntry& entry : listed->entries) {
      if (victims.objects.size() >= options_.collect_objects) {
        victims.end = after;
        co_return absl::OkStatus();
      }
      after = entry.name;
      const absl::StatusOr<ParsedObjectName> name = ParseObjectName(entry.name);
      if (!name.ok()) continue;
      const Stream* stream = nullptr;
      for (const Stream& known : head.streams) {
        if (known.volume == volume_ && known.epoch == name->epoch && known.nonce == name->nonce) {
          stream = &known;
        }
      }
      if (stream == nullptr) continue;
      const bool ours = stream->id == stream_.id;
      if (name->sequence >= kFirstSideSequence) {
        if (ours && name->sequence >= side_floor) continue;
      } else if (ours) {
        if (name->sequence > head.checkpoint.sequence) continue;
      } else if (stream->end == 0 || name->sequence == stream->end) {
        continue;
      }
      const auto bytes = static_cast<uint32_t>(std::min<uint64_t>(entry.object_bytes, ~0u));
      victims.objects[ObjectKey(stream->id, name->sequence)].bytes = bytes;
    }
  }
  co_return absl::OkStatus();
}

Task<absl::Status> Engine::DeleteDead(Victims& victims) {
  // Reads that began on an older root may still use them.
  co_await object_readers_.WaitForReaders();
  Workers workers(environment_.scheduler, kDeletesAtOnce);
  for (const auto& [key, object] : victims.objects) {
    if (object.live > 0) continue;
    if (!failure_.ok() || !workers.status().ok()) break;
    const Stream& stream = *victims.head.FindStream(static_cast<uint16_t>(key >> 32));
    co_await workers.Start(DeleteOne(
        ObjectName(stream.volume, stream.epoch, stream.nonce, static_cast<uint32_t>(key))));
  }
  CO_RETURN_IF_ERROR(co_await workers.Finish());
  absl::erase_if(victims.objects, [](const auto& object) { return object.second.live == 0; });
  co_return failure_;
}

Task<absl::Status> Engine::DeleteOne(std::string name) {
  const absl::Status status = co_await store_.Delete(Lane::kCollect, name, kDeletePatience);
  if (status.ok()) ++stats_.objects_deleted;
  // What can't be deleted is left to the next pass.
  co_return StoreClient::MayPass(status) ? absl::OkStatus() : status;
}

}  // namespace diskd::object
