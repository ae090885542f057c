// SPDX-License-Identifier: Apache-2.0
//
// Garbage collection. A pass marks what HEAD's roots reach, deletes objects that nothing reaches,
// and copies the live rest of sparse ones together; the copies count from the next checkpoint on,
// and the next pass deletes their sources. Objects that a snapshot reaches stay as they are, all
// others are collected whether snapshots exist or not.
//
// What may be deleted: objects of this volume that existed before the HEAD the marks come from, and
// that neither its roots nor the objects behind its checkpoint contain. Later HEADs reach only what
// this one does and newer objects, so a delete that lands late hurts nobody, whoever owns the
// volume by then. Seals stay: they hold back owners that do not know yet that they are not.
#include <algorithm>
#include <tuple>

#include "absl/container/btree_map.h"
#include "absl/strings/str_cat.h"
#include "drivers/object/engine/engine.h"
#include "drivers/object/engine/packer.h"

namespace diskd::object {
namespace {

uint64_t Key(uint16_t stream, uint32_t sequence) { return uint64_t{stream} << 32 | sequence; }

}  // namespace

struct Engine::Victims {
  absl::flat_hash_map<uint64_t, uint32_t> live_blocks;  // data objects
  absl::flat_hash_map<uint64_t, uint64_t> live_pages;   // map objects, bytes
  absl::flat_hash_set<uint64_t> pinned;                 // a snapshot needs it
  // Pages of snapshots, which share most of them.
  absl::flat_hash_set<std::tuple<uint16_t, uint32_t, uint32_t>> seen_pages;
  struct Candidate {
    std::string name;
    uint64_t bytes;
  };
  absl::btree_map<uint64_t, Candidate> candidates;
  absl::flat_hash_set<uint64_t> sparse;
  // Second walk: what to copy, what to rewrite.
  bool gather = false;
  std::vector<std::pair<Lba, BlockLocation>> blocks;
  Moves rewrites;
};

Task<absl::Status> Engine::CollectOnce() {
  const Mutex::Guard guard = co_await collect_mutex_.Lock();
  // All moves are in the tree and HEAD is ours after this.
  CO_RETURN_IF_ERROR(co_await Checkpoint(nullptr));
  Head head;
  uint32_t side_floor = 0;
  {
    const Mutex::Guard quiet = co_await checkpoint_mutex_.Lock();
    head = head_.head();
    side_floor = next_side_;
  }
  Victims victims;
  if (options_.sabotage != Sabotage::kCollectEarly) {
    for (const SnapshotEntry& snapshot : head.snapshots) {
      CO_RETURN_IF_ERROR(co_await Walk(snapshot.root, true, false, victims));
    }
  }
  victims.seen_pages.clear();
  CO_RETURN_IF_ERROR(co_await Walk(head.checkpoint.root, false, false, victims));
  CO_RETURN_IF_ERROR(co_await ListCandidates(head, side_floor, victims));
  CO_RETURN_IF_ERROR(co_await DeleteDead(victims));
  CO_RETURN_IF_ERROR(co_await MoveLive(head, victims));
  co_return co_await Checkpoint(nullptr);
}

Task<absl::Status> Engine::Walk(PagePointer at, bool pinned, bool force, Victims& victims) {
  if (at.hole()) co_return absl::OkStatus();
  const uint64_t key = Key(at.stream, at.sequence);
  if (victims.gather) {
    force |= victims.sparse.contains(key);
  } else {
    if (pinned && !victims.seen_pages.insert({at.stream, at.sequence, at.offset}).second) {
      co_return absl::OkStatus();
    }
    victims.live_pages[key] += at.length;
    if (pinned) victims.pinned.insert(key);
  }
  const absl::StatusOr<std::shared_ptr<const MapPage>> loaded =
      co_await tree_.Load(Lane::kCollect, at);
  if (!loaded.ok()) co_return loaded.status();
  const std::shared_ptr<const MapPage> page = *loaded;
  for (const PagePointer& child : page->pages) {
    if (child.hole()) continue;
    CO_RETURN_IF_ERROR(co_await Walk(child, pinned, force, victims));
    force = false;
  }
  const Lba first = page->level == 0 ? page->index << page->fanout_bits : 0;
  for (size_t i = 0; i < page->blocks.size(); ++i) {
    const BlockLocation& block = page->blocks[i];
    if (block.hole()) continue;
    const uint64_t object = Key(block.stream, block.sequence);
    if (!victims.gather) {
      ++victims.live_blocks[object];
      if (pinned) victims.pinned.insert(object);
      continue;
    }
    if (force) victims.rewrites[first + i] = {block, block};
    force = false;
    if (victims.sparse.contains(object) &&
        victims.blocks.size() * kBlockBytes < options_.collect_bytes) {
      victims.blocks.emplace_back(first + i, block);
    }
  }
  co_return absl::OkStatus();
}

Task<absl::Status> Engine::ListCandidates(const Head& head, uint32_t side_floor, Victims& victims) {
  std::string after;
  for (bool more = true; more;) {
    const absl::StatusOr<ListResult> listed =
        co_await store_.List(Lane::kCollect, VolumePrefix(volume_), after);
    if (!listed.ok()) co_return listed.status();
    more = listed->more && !listed->entries.empty();
    for (const ListEntry& entry : listed->entries) {
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
      victims.candidates[Key(stream->id, name->sequence)] = {entry.name, entry.object_bytes};
    }
  }
  co_return absl::OkStatus();
}

Task<absl::Status> Engine::DeleteDead(Victims& victims) {
  // Reads that began on an older root may still use them.
  co_await readers_.WaitForReaders();
  for (const auto& [key, candidate] : victims.candidates) {
    if (victims.live_blocks.contains(key) || victims.live_pages.contains(key)) continue;
    if (!failure_.ok()) co_return failure_;
    CO_RETURN_IF_ERROR(co_await store_.Delete(Lane::kCollect, candidate.name));
    ++stats_.objects_deleted;
  }
  co_return absl::OkStatus();
}

Task<absl::Status> Engine::MoveLive(const Head& head, Victims& victims) {
  for (const auto& [key, candidate] : victims.candidates) {
    if (victims.pinned.contains(key)) continue;
    uint64_t live = 0;
    uint64_t bytes = candidate.bytes;
    if (auto it = victims.live_blocks.find(key); it != victims.live_blocks.end()) {
      live = uint64_t{it->second} * kBlockBytes;
      if (head.packed) {
        // As many bytes as they were before.
        const Stream stream = *head.FindStream(static_cast<uint16_t>(key >> 32));
        const absl::StatusOr<uint64_t> unpacked =
            co_await blocks_.DataBlocks(Lane::kCollect, stream, static_cast<uint32_t>(key));
        if (!unpacked.ok()) co_return unpacked.status();
        bytes = (*unpacked + 1) * kBlockBytes;
      }
    } else if (auto it = victims.live_pages.find(key); it != victims.live_pages.end()) {
      live = it->second;
    }
    if (live == 0 || bytes <= kBlockBytes) continue;
    const double whole = static_cast<double>(bytes - kBlockBytes);
    if (static_cast<double>(live) < options_.collect_below * whole) victims.sparse.insert(key);
  }
  if (victims.sparse.empty()) co_return absl::OkStatus();
  victims.gather = true;
  CO_RETURN_IF_ERROR(co_await Walk(head.checkpoint.root, false, false, victims));
  for (const auto& [lba, move] : victims.rewrites) moves_[lba] = move;
  const auto place = [](const std::pair<Lba, BlockLocation>& block) {
    return std::make_tuple(block.second.stream, block.second.sequence, block.second.block);
  };
  std::sort(victims.blocks.begin(), victims.blocks.end(),
            [&](const auto& a, const auto& b) { return place(a) < place(b); });
  const size_t limit = std::max<size_t>(1, options_.object_bytes / kBlockBytes);
  for (size_t at = 0; at < victims.blocks.size(); at += limit) {
    const size_t end = std::min(victims.blocks.size(), at + limit);
    CO_RETURN_IF_ERROR(co_await StoreMoved({victims.blocks.begin() + static_cast<ptrdiff_t>(at),
                                            victims.blocks.begin() + static_cast<ptrdiff_t>(end)}));
  }
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
  std::string data;
  AlignedBuffer buffer(kMaxOpBlocks);
  for (size_t at = 0; at < live.size();) {
    std::vector<BlockLocation> places = {live[at].second};
    while (at + places.size() < live.size() && places.size() < kMaxOpBlocks) {
      const BlockLocation& next = live[at + places.size()].second;
      if (next.stream != places[0].stream || next.sequence != places[0].sequence ||
          next.block != places[0].block + places.size()) {
        break;
      }
      places.push_back(next);
    }
    const size_t run = places.size();
    CO_RETURN_IF_ERROR(co_await blocks_.Read(Lane::kCollect, std::move(places), buffer.block(0)));
    data.append(reinterpret_cast<const char*>(buffer.block(0)), run * kBlockBytes);
    at += run;
  }
  std::shared_ptr<const std::string> body =
      co_await PackObject(environment_.scheduler, options_, header, std::move(data));
  const absl::StatusOr<ObjectHeader> there =
      co_await store_.Create(Lane::kCollect, header, std::move(body));
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
