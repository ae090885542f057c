// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/engine/read_cache.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "drivers/object/engine/workers.h"
#include "drivers/object/format/crc32c.h"

namespace diskd::object {
namespace {

constexpr size_t kMaxFull = 2;         // segments that wait to be written
constexpr int kParallelLoads = 32;     // of segment headers
constexpr uint32_t kKeptPart = 2;      // at most 1/2 of a segment stays when it is replaced
constexpr uint32_t kMaxReadRun = 256;  // blocks read from the file at once

}  // namespace

ReadCache::ReadCache(LogDevice* device, Scheduler* scheduler, const Uuid& volume,
                     const Options& options)
    : device_(device),
      scheduler_(scheduler),
      volume_(volume),
      options_(options),
      segment_blocks_(options.cache_segment_blocks),
      work_(scheduler),
      room_(scheduler) {
  if (device_ != nullptr) {
    segments_ = static_cast<uint32_t>(device_->size_bytes() / kBlockBytes / segment_blocks_);
  }
  if (segments_ < kMinSegments) device_ = nullptr;
}

void ReadCache::Start(const std::vector<Stream>& streams) {
  if (device_ == nullptr) return;
  for (const Stream& stream : streams) {
    ids_[stream.nonce] = stream.id;
    nonces_[stream.id] = stream.nonce;
  }
  index_ = CacheIndex(segments_ * SlotsEach());
  started_ = true;
  tasks_.Spawn(Run());
}

uint64_t ReadCache::SegmentOffset(uint32_t segment) const {
  return uint64_t{segment} * segment_blocks_ * kBlockBytes;
}

uint64_t ReadCache::index_bytes() const {
  return enabled() ? uint64_t{segments_} * SlotsEach() * 40 / 3 : 0;
}

void ReadCache::Disable() {
  SPDLOG_WARN("the read cache fails and is not used until the volume is opened again");
  device_ = nullptr;
  work_.Notify();
  room_.Notify();
}

bool ReadCache::Good(const std::byte* block, uint32_t crc) const {
  return options_.sabotage == Sabotage::kNoCrcCheck ||
         options_.sabotage == Sabotage::kCacheNotChecked || Crc32c(block, kBlockBytes) == crc;
}

// nullptr: it is in the file.
const std::byte* ReadCache::InMemory(uint32_t slot) const {
  const uint32_t segment = slot / SlotsEach();
  const uint64_t block = 1 + slot % SlotsEach();
  if (open_.has_value() && open_->index == segment) return open_->buffer.block(block);
  if (ready_.has_value() && ready_->index == segment) return ready_->buffer.block(block);
  for (const Segment& full : full_) {
    if (full.index == segment) return full.buffer.block(block);
  }
  return nullptr;
}

void ReadCache::Drop(uint32_t slot) {
  ++counters_.damaged;
  index_.Clear(slot);
}

Task<void> ReadCache::Read(const std::vector<BlockLocation>& places, std::byte* into,
                           std::vector<bool>& have) {
  for (size_t i = 0; i < places.size();) {
    const std::optional<uint32_t> slot =
        enabled() ? index_.Find(CacheIndex::KeyOf(places[i])) : std::nullopt;
    if (!slot.has_value()) {
      ++counters_.misses;
      ++i;
      continue;
    }
    index_.MarkUsed(*slot);
    size_t run = 1;
    absl::Status status;
    if (const std::byte* memory = InMemory(*slot); memory != nullptr) {
      memcpy(into + i * kBlockBytes, memory, kBlockBytes);
    } else {
      while (i + run < places.size() && run < kMaxReadRun && (*slot + run) % SlotsEach() != 0 &&
             index_.key(*slot + run) == CacheIndex::KeyOf(places[i + run])) {
        index_.MarkUsed(*slot + run++);
      }
      const uint64_t block = 1 + *slot % SlotsEach();
      Completion<absl::Status> done;
      device_->Read(SegmentOffset(*slot / SlotsEach()) + block * kBlockBytes,
                    {into + i * kBlockBytes, run * kBlockBytes}, done.Callback());
      status = co_await done;
    }
    for (size_t end = i + run; i < end; ++i) {
      const auto at = static_cast<uint32_t>(*slot + run - (end - i));
      have[i] = status.ok() && Good(into + i * kBlockBytes, places[i].crc);
      ++(have[i] ? counters_.hits : counters_.misses);
      // Unless the slot was given to another block meanwhile.
      if (!have[i] && enabled() && index_.key(at) == CacheIndex::KeyOf(places[i]) &&
          InMemory(at) == nullptr) {
        Drop(at);
      }
    }
  }
}

bool ReadCache::Put(Segment& segment, const BlockLocation& place, const std::byte* block) {
  const auto nonce = nonces_.find(place.stream);
  const auto used = static_cast<uint32_t>(segment.header.entries.size());
  if (nonce == nonces_.end() || used == SlotsEach()) return false;
  memcpy(segment.buffer.block(1 + used), block, kBlockBytes);
  segment.header.entries.push_back({nonce->second, place.sequence, place.block, place.crc});
  index_.Put(segment.index * SlotsEach() + used, CacheIndex::KeyOf(place));
  return true;
}

void ReadCache::Insert(const BlockLocation& place, const std::byte* block) {
  if (!enabled() || !open_.has_value() || index_.Find(CacheIndex::KeyOf(place)).has_value() ||
      !Put(*open_, place, block)) {
    return;
  }
  ++counters_.stored;
  if (open_->header.entries.size() == SlotsEach()) Seal();
}

void ReadCache::Seal() {
  full_.push_back(std::move(*open_));
  open_ = std::move(ready_);
  ready_.reset();
  work_.Notify();
}

// What comes before the index is there is left out.
Task<void> ReadCache::WaitForRoom() {
  while (enabled() && loaded_ && !open_.has_value()) co_await room_.Wait();
}

Task<void> ReadCache::Finish() {
  if (!enabled() || !loaded_) co_return;
  if (open_.has_value() && !open_->header.entries.empty()) Seal();
  while (enabled() && !full_.empty()) co_await room_.Wait();
}

Task<void> ReadCache::Run() {
  co_await LoadAll();
  loaded_ = true;
  while (enabled()) {
    if (!ready_.has_value() && full_.size() < kMaxFull) {
      co_await Prepare();
    } else if (!full_.empty()) {
      co_await WriteFirst();
    } else {
      co_await work_.Wait();
    }
    room_.Notify();
  }
}

Task<void> ReadCache::LoadAll() {
  Workers workers(scheduler_, kParallelLoads);
  for (uint32_t segment = 0; segment < segments_ && enabled(); ++segment) {
    co_await workers.Start(LoadOne(segment));
  }
  (void)co_await workers.Finish();
}

Task<absl::Status> ReadCache::LoadOne(uint32_t segment) {
  AlignedBuffer block(1);
  Completion<absl::Status> done;
  device_->Read(SegmentOffset(segment), block.span(), done.Callback());
  const absl::Status status = co_await done;
  if (!status.ok()) co_return absl::OkStatus();
  const absl::StatusOr<CacheSegment> header = ParseCacheSegment(BlockView(block.block(0)));
  if (!header.ok() || header->volume != volume_ || header->index != segment ||
      header->blocks != segment_blocks_) {
    co_return absl::OkStatus();
  }
  if (header->generation > newest_) {
    newest_ = header->generation;
    next_ = (segment + 1) % segments_;
  }
  uint32_t slot = segment * SlotsEach();
  for (const CacheEntry& entry : header->entries) {
    const auto id = ids_.find(entry.nonce);
    if (id != ids_.end()) {
      const CacheIndex::Key key =
          CacheIndex::KeyOf({id->second, entry.block, entry.sequence, entry.crc});
      if (!index_.Find(key).has_value()) {
        index_.Put(slot, key);
        ++counters_.restored;
      }
    }
    ++slot;
  }
  co_return absl::OkStatus();
}

// The oldest segment becomes the one to be filled after the open one.
Task<void> ReadCache::Prepare() {
  Segment segment;
  segment.index = next_;
  segment.header.volume = volume_;
  segment.header.index = next_;
  segment.header.blocks = segment_blocks_;
  segment.buffer = spare_.empty() ? AlignedBuffer(segment_blocks_) : std::exchange(spare_, {});
  co_await KeepUsed(next_, segment);
  if (!enabled()) co_return;
  next_ = (next_ + 1) % segments_;
  segment.header.generation = ++newest_;
  if (open_.has_value()) {
    ready_ = std::move(segment);
  } else {
    open_ = std::move(segment);
  }
}

// Empties the segment in the file; what was read there goes on in `next`.
Task<void> ReadCache::KeepUsed(uint32_t segment, Segment& next) {
  const uint32_t first = segment * SlotsEach();
  bool any = false;
  for (uint32_t i = 0; i < SlotsEach(); ++i) any |= index_.used(first + i);
  AlignedBuffer old(segment_blocks_);
  absl::StatusOr<CacheSegment> header = absl::NotFoundError("nothing to keep");
  if (any) {
    Completion<absl::Status> done;
    device_->Read(SegmentOffset(segment), old.span(), done.Callback());
    const absl::Status status = co_await done;
    if (!enabled()) co_return;
    if (status.ok()) header = ParseCacheSegment(BlockView(old.block(0)));
  }
  uint32_t kept = 0;
  for (uint32_t i = 0; i < SlotsEach(); ++i) {
    const CacheIndex::Key key = index_.key(first + i);
    const bool used = index_.used(first + i);
    index_.Clear(first + i);
    if (key == CacheIndex::kNone || !used || !header.ok() || i >= header->entries.size() ||
        kept >= SlotsEach() / kKeptPart) {
      continue;
    }
    const CacheEntry& entry = header->entries[i];
    BlockLocation place = CacheIndex::LocationOf(key);
    place.crc = entry.crc;
    if (entry.sequence != place.sequence || entry.block != place.block ||
        !Good(old.block(1 + i), entry.crc)) {
      ++counters_.damaged;
      continue;
    }
    // Goes to a slot that is empty by now: kept <= i.
    if (Put(next, place, old.block(1 + i))) ++kept;
  }
}

Task<void> ReadCache::WriteFirst() {
  Segment& segment = full_.front();
  const std::string header = EncodeCacheSegment(segment.header);
  memcpy(segment.buffer.block(0), header.data(), kBlockBytes);
  Completion<absl::Status> done;
  // A partly filled segment is written as far as it goes.
  device_->Write(
      SegmentOffset(segment.index),
      segment.buffer.span().subspan(0, (1 + segment.header.entries.size()) * kBlockBytes),
      done.Callback());
  const absl::Status status = co_await done;
  spare_ = std::move(segment.buffer);
  full_.pop_front();
  if (!status.ok()) Disable();
}

}  // namespace diskd::object
