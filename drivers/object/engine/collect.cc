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
#include <cmath>
#include <cstring>
#include <tuple>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "drivers/object/engine/engine.h"
#include "drivers/object/engine/packer.h"
#include "drivers/object/engine/workers.h"

namespace diskd::object {
namespace {

// Walks over the map that one pass makes to move what `collect_bytes` allow each time.
constexpr int kMoveRounds = 16;
// Requests at the same time.
constexpr int kPagesAtOnce = 32;
constexpr int kDeletesAtOnce = 8;
// Tries of something that one object keeps from succeeding, while the store gives others.
constexpr int kUnreachedTries = 8;
constexpr StoreClient::Patience kDeletePatience{absl::Seconds(10), 4};
// Passes whose copies have an age.
constexpr size_t kMaxPasses = 1024;
constexpr int kReadsAtOnce = 16;
constexpr uint64_t kMaxRunBlocks = 64;

uint64_t Key(uint16_t stream, uint32_t sequence) { return uint64_t{stream} << 32 | sequence; }

}  // namespace

// An object of which little is live; bytes of its data or pages.
struct Engine::Sparse {
  uint64_t key;
  uint64_t live;
  uint64_t whole;
  double age;  // data objects stored since

  double Share() const { return static_cast<double>(live) / static_cast<double>(whole); }
  // What copying it frees for what it copies, and for how long: in an old object little will still
  // die by itself.
  double Benefit() const { return (1 - Share()) / Share() * std::sqrt(age); }
};

struct Engine::Victims {
  Head head;        // the marks come from it
  std::string end;  // last name looked at; "": there are no more
  struct Object {
    uint32_t bytes = 0;  // stored
    uint32_t live = 0;   // bytes of its data or pages that HEAD's roots reach
    bool data = false;
    bool pinned = false;  // a snapshot needs it
  };
  // Of which something may be deleted or copied. The memory of a pass.
  absl::btree_map<uint64_t, Object> objects;
  absl::flat_hash_set<uint64_t> sparse;
  // Second walk: what to copy, what to rewrite.
  bool gather = false;
  std::vector<std::pair<Lba, BlockLocation>> blocks;
  Moves rewrites;

  void Mark(uint64_t key, uint32_t bytes, bool data, bool pinning);
};

Task<absl::Status> Engine::CollectOnce() {
  const Mutex::Guard guard = co_await collect_mutex_.Lock();
  Victims victims;
  CO_RETURN_IF_ERROR(co_await DeleteUnreached(victims));
  const uint64_t moved = stats_.blocks_moved;
  CO_RETURN_IF_ERROR(co_await MoveLive(victims));
  if (stats_.blocks_moved > moved) {
    // The sources of the copies.
    Victims emptied;
    CO_RETURN_IF_ERROR(co_await DeleteUnreached(emptied));
  }
  collect_after_ = victims.end;
  co_return absl::OkStatus();
}

// Holds nothing between the tries, but waits for a store that gives nothing at all.
Task<absl::Status> Engine::Insist(std::function<Task<absl::Status>()> attempt) {
  StoreClient::Retry retry(&store_, {});
  for (int tries = 1;; ++tries) {
    absl::Status status = co_await attempt();
    const bool over = tries == kUnreachedTries || !failure_.ok();
    if (over || !StoreClient::MayPass(status)) co_return status;
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
  if (!victims.gather) victims.Mark(Key(root.stream, root.sequence), root.length, false, pinned);
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
  if (victims.gather) force |= victims.sparse.contains(Key(at.stream, at.sequence));
  const std::vector<PagePointer>& below = pages.page->pages;
  for (size_t slot = 0; slot < below.size();) {
    std::vector<size_t> slots;
    for (; slot < below.size() && slots.size() < kPagesAtOnce; ++slot) {
      if (below[slot].hole() || below[slot] == pages.PageBefore(slot)) continue;
      slots.push_back(slot);
      if (victims.gather) continue;
      const PagePointer& child = below[slot];
      victims.Mark(Key(child.stream, child.sequence), child.length, false, pinned);
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
    const uint64_t object = Key(block.stream, block.sequence);
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
      victims.objects[Key(stream->id, name->sequence)].bytes = bytes;
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

Task<absl::Status> Engine::CountBlocks(Stream stream, uint32_t sequence, uint64_t* into) {
  const absl::StatusOr<uint64_t> blocks =
      co_await blocks_.DataBlocks(Lane::kCollect, stream, sequence);
  if (blocks.ok()) *into = *blocks;
  co_return blocks.status();
}

// The objects that are best copied, as many as must go for the rest to be used as far as the
// options want.
Task<absl::StatusOr<std::vector<Engine::Sparse>>> Engine::FindSparse(const Victims& victims) {
  const Head& head = victims.head;
  const ObjectAges ages(head, volume_, stream_.id, confirmed_, &passes_);
  std::vector<Sparse> found;
  uint64_t live_bytes = 0, whole_bytes = 0;
  for (const auto& [key, object] : victims.objects) {
    if (object.pinned) continue;
    uint64_t bytes = object.bytes;
    if (object.data && head.packed) {
      // As many bytes as they were before.
      const Stream stream = *head.FindStream(static_cast<uint16_t>(key >> 32));
      uint64_t blocks = 0;
      const auto count = [&, key = key] {
        return CountBlocks(stream, static_cast<uint32_t>(key), &blocks);
      };
      CO_RETURN_IF_ERROR(co_await Insist(count));
      bytes = (blocks + 1) * kBlockBytes;
    }
    if (bytes <= kBlockBytes) continue;
    const Sparse object_found{
        key, object.live, bytes - kBlockBytes,
        static_cast<double>(ages.Of(static_cast<uint16_t>(key >> 32), static_cast<uint32_t>(key))) +
            1};
    if (object_found.Share() < options_.collect_below) found.push_back(object_found);
    live_bytes += object.live;
    whole_bytes += bytes - kBlockBytes;
  }
  std::sort(found.begin(), found.end(),
            [](const Sparse& a, const Sparse& b) { return a.Benefit() > b.Benefit(); });
  size_t count = 0;
  while (count < found.size() && static_cast<double>(live_bytes) <
                                     options_.collect_until * static_cast<double>(whole_bytes)) {
    // Its live part is in a full object afterwards.
    whole_bytes -=
        std::min(whole_bytes, found[count].whole - std::min(found[count].whole, found[count].live));
    ++count;
  }
  found.resize(count);
  co_return found;
}

Task<absl::Status> Engine::MoveLive(Victims& victims) {
  const absl::StatusOr<std::vector<Sparse>> sparse = co_await FindSparse(victims);
  if (!sparse.ok()) co_return sparse.status();
  victims.gather = true;
  passes_.emplace_back(next_side_, confirmed_);
  if (passes_.size() > kMaxPasses) passes_.erase(passes_.begin(), passes_.begin() + kMaxPasses / 2);
  size_t next = 0;
  for (int round = 0; round < kMoveRounds && next < sparse->size(); ++round) {
    victims.sparse.clear();
    victims.blocks.clear();
    victims.rewrites.clear();
    for (uint64_t bytes = 0; next < sparse->size(); ++next) {
      bytes += (*sparse)[next].live;
      if (bytes > options_.collect_bytes && !victims.sparse.empty()) break;
      victims.sparse.insert((*sparse)[next].key);
    }
    CO_RETURN_IF_ERROR(co_await MoveRound(victims));
    CO_RETURN_IF_ERROR(co_await Checkpoint(nullptr));
  }
  co_return absl::OkStatus();
}

Task<absl::Status> Engine::MoveRound(Victims& victims) {
  CO_RETURN_IF_ERROR(co_await Walk(victims.head.checkpoint.root, {}, false, victims));
  for (const auto& [lba, move] : victims.rewrites) moves_[lba] = move;
  const auto place = [](const std::pair<Lba, BlockLocation>& block) {
    return std::make_tuple(block.second.stream, block.second.sequence, block.second.block);
  };
  std::sort(victims.blocks.begin(), victims.blocks.end(),
            [&](const auto& a, const auto& b) { return place(a) < place(b); });
  const size_t limit = std::max<size_t>(1, options_.object_bytes / kBlockBytes);
  for (size_t at = 0; at < victims.blocks.size(); at += limit) {
    const size_t end = std::min(victims.blocks.size(), at + limit);
    const std::vector<std::pair<Lba, BlockLocation>> piece(
        victims.blocks.begin() + static_cast<ptrdiff_t>(at),
        victims.blocks.begin() + static_cast<ptrdiff_t>(end));
    const auto store = [&] { return StoreMoved(piece); };
    CO_RETURN_IF_ERROR(co_await Insist(store));
  }
  co_return absl::OkStatus();
}

// Through a buffer, as a read from the cache's file needs an aligned one.
Task<absl::Status> Engine::ReadRun(std::vector<BlockLocation> places, char* into) {
  const size_t bytes = places.size() * kBlockBytes;
  AlignedBuffer buffer(places.size());
  CO_RETURN_IF_ERROR(co_await blocks_.Read(Lane::kCollect, std::move(places), buffer.block(0)));
  memcpy(into, buffer.block(0), bytes);
  co_return absl::OkStatus();
}

Task<absl::Status> Engine::StoreMoved(const std::vector<std::pair<Lba, BlockLocation>>& live) {
  ObjectHeader header;
  header.kind = ObjectKind::kMoved;
  header.volume = volume_;
  header.epoch = stream_.epoch;
  header.nonce = stream_.nonce;
  header.sequence = next_side_++;
  for (const auto& [lba, from] : live) {
    header.moved.push_back({lba, from});
    header.block_crcs.push_back(from.crc);
  }
  const size_t room = ObjectHeaderBytes(header);
  const uint64_t bytes = room + live.size() * uint64_t{kBlockBytes};
  const MemoryBudget::Grant memory = co_await bodies_.Take(bytes * PackingCopies(options_));
  std::string data = co_await NewBody(bytes);
  Workers workers(environment_.scheduler, kReadsAtOnce);
  for (size_t at = 0; at < live.size() && workers.status().ok();) {
    std::vector<BlockLocation> places = {live[at].second};
    while (at + places.size() < live.size()) {
      const BlockLocation& next = live[at + places.size()].second;
      if (!BlockReader::InOneGet(places[0], places.back(), next)) break;
      if (uint64_t{next.block} - places[0].block >= kMaxRunBlocks) break;
      places.push_back(next);
    }
    const size_t run = places.size();
    co_await workers.Start(ReadRun(std::move(places), &data[room + at * kBlockBytes]));
    at += run;
  }
  const absl::Status read = co_await workers.Finish();
  if (!read.ok()) {
    (void)body_memory_->Share(std::move(data), bytes);  // gives it back
    co_return read;
  }
  data = co_await PackObject(environment_.scheduler, options_, header, std::move(data), room);
  const absl::StatusOr<ObjectHeader> there =
      co_await store_.Create(Lane::kCollect, header, body_memory_->Share(std::move(data), bytes));
  if (!there.ok()) co_return there.status();
  if (*there != header) co_return absl::DataLossError("the name of a moved object is taken");
  uint64_t block = ObjectHeaderBytes(header) / kBlockBytes;
  for (const auto& [lba, from] : live) {
    BlockLocation to{stream_.id, static_cast<uint16_t>(block++), header.sequence, from.crc};
    moves_[lba] = {from, to};
  }
  stats_.blocks_moved += live.size();
  co_return absl::OkStatus();
}

}  // namespace diskd::object
