// SPDX-License-Identifier: Apache-2.0
//
// Reads: the newest of log, changes since the checkpoint, tree. Every block is checked; what is
// missing or damaged is an error, never zeros.
#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "drivers/object/engine/engine.h"
#include "drivers/object/engine/workers.h"
#include "drivers/object/format/crc32c.h"

namespace diskd::object {
namespace {

// GETs of one read at the same time.
constexpr int kParallelFetches = 8;
// Read ahead: blocks fetched by one task, and such tasks at the same time.
constexpr uint64_t kAheadPieceBlocks = 256;
constexpr size_t kMaxAheadPieces = 8;

}  // namespace

Task<void> Engine::Read(IoRequest request) {
  StartReadAhead(request.lba, request.blocks);
  while (FetchedAhead(request.lba, request.blocks)) co_await ahead_done_.Wait();
  const absl::Status status = co_await PersistentRead(request.lba, request.blocks, request.data);
  request.done(failure_.ok() ? status : failure_);
}

// What is only in the store is waited for, without anything that others need.
Task<absl::Status> Engine::PersistentRead(Lba lba, uint64_t blocks, std::byte* into) {
  StoreClient::Retry retry(&store_, Lane::kRead, {});
  for (;;) {
    absl::Status status = co_await ReadRange(lba, blocks, into);
    if (!StoreClient::MayPass(status) || !failure_.ok()) co_return status;
    co_await retry.Again(std::move(status));
  }
}

// Where the newest content of a block is, and for how many blocks that is the place to look.
Engine::Place Engine::LookUp(Lba lba, uint64_t limit) const {
  const auto logged = overlay_.Find(lba, limit);
  if (logged.entry != nullptr) {
    return {logged.entry->zero ? Place::kZeros : Place::kLog, logged.run, nullptr};
  }
  uint64_t hidden = logged.run;
  for (const BlockMap<BlockLocation>* map : {&delta_, &frozen_}) {
    const auto stored = map->Find(lba, hidden);
    if (stored.entry != nullptr && stored.entry->zero) return {Place::kZeros, stored.run, nullptr};
    if (stored.entry != nullptr) return {Place::kObject, hidden, map};
    hidden = stored.run;
  }
  return {Place::kTree, hidden, nullptr};
}

// What follows in the store from `lba` on.
Task<absl::StatusOr<BlockReader::Run>> Engine::StoredRun(Place place, Lba lba) {
  if (place.kind == Place::kTree) co_return co_await blocks_.FindRun(root_, lba, place.run);
  std::vector<BlockLocation> places = ObjectRun(*place.map, lba, place.run);
  const uint64_t blocks = places.size();
  co_return BlockReader::Run{blocks, std::move(places)};
}

Task<absl::Status> Engine::ReadRange(Lba lba, uint64_t blocks, std::byte* into) {
  const ReadBarrier::Reader reader(&object_readers_);
  std::optional<Workers> fetches;
  absl::Status status;
  while (blocks > 0 && status.ok() && (!fetches.has_value() || fetches->status().ok())) {
    const Place place = LookUp(lba, blocks);
    uint64_t run = place.run;
    if (place.kind == Place::kZeros) {
      memset(into, 0, run * kBlockBytes);
    } else if (place.kind == Place::kLog) {
      std::vector<LogBlock> places = LogRun(lba, blocks);
      run = places.size();
      const ReadBarrier::Reader log_reader(&log_readers_);
      status = co_await ReadLog(std::move(places), into);
      // No store's, that may pass.
      if (StoreClient::MayPass(status)) status = absl::InternalError(status.message());
    } else {
      absl::StatusOr<BlockReader::Run> stored = co_await StoredRun(place, lba);
      if (!stored.ok()) {
        status = stored.status();
        break;
      }
      run = stored->blocks;
      if (stored->places.empty()) {
        memset(into, 0, run * kBlockBytes);
      } else if (run == blocks && !fetches.has_value()) {
        co_return co_await blocks_.Read(Lane::kRead, std::move(stored->places), into);
      } else {
        if (!fetches.has_value()) fetches.emplace(environment_.scheduler, kParallelFetches);
        co_await fetches->Start(blocks_.Read(Lane::kRead, std::move(stored->places), into));
      }
    }
    lba += run;
    blocks -= run;
    into += run * kBlockBytes;
  }
  // Even after an error: they use the memory.
  if (fetches.has_value()) status.Update(co_await fetches->Finish());
  co_return status;
}

void Engine::StartReadAhead(Lba lba, uint64_t blocks) {
  if (!cache_.enabled() || ahead_.size() >= kMaxAheadPieces) return;
  const uint64_t room = (kMaxAheadPieces - ahead_.size()) * kAheadPieceBlocks;
  ReadAhead::Range range = read_ahead_.OnRead(lba, blocks, room, head_.head().size_blocks);
  while (range.blocks > 0) {
    const uint64_t piece = std::min(range.blocks, kAheadPieceBlocks);
    ahead_.push_back({range.lba, piece});
    stats_.blocks_read_ahead += piece;
    tasks_.Spawn(FetchAhead(std::prev(ahead_.end())));
    range.lba += piece;
    range.blocks -= piece;
  }
}

// Whether something that is needed is being fetched: asking for it again would only make it later.
bool Engine::FetchedAhead(Lba lba, uint64_t blocks) const {
  return std::any_of(ahead_.begin(), ahead_.end(), [&](const ReadAhead::Range& range) {
    const Lba begin = std::max(lba, range.lba);
    const Lba end = std::min(lba + blocks, range.lba + range.blocks);
    return begin < end && NeedsStore(begin, end - begin);
  });
}

// Whether a part of the range is neither here nor known to be zeros.
bool Engine::NeedsStore(Lba lba, uint64_t blocks) const {
  for (uint64_t run = 0; blocks > 0; lba += run, blocks -= run) {
    const Place place = LookUp(lba, blocks);
    run = place.run;
    if (place.kind == Place::kZeros || place.kind == Place::kLog) continue;
    BlockLocation location;
    if (place.kind == Place::kTree) {
      const std::optional<MapTree::Found> found = tree_.FindCached(root_, lba, run);
      if (!found.has_value()) return true;
      run = found->run;
      location = found->location;
    } else {
      run = 1;
      location = place.map->Find(lba, 1).entry->value;
    }
    if (!location.hole() && !cache_.Has(location)) return true;
  }
  return false;
}

// Into the read cache. Its errors are nobody's: whoever needs the blocks meets them.
Task<void> Engine::FetchAhead(std::list<ReadAhead::Range>::iterator range) {
  {
    const ReadBarrier::Reader reader(&object_readers_);
    std::vector<BlockLocation> places;
    Lba lba = range->lba;
    const Lba end = lba + range->blocks;
    while (lba < end) {
      const Place place = LookUp(lba, end - lba);
      if (place.kind == Place::kZeros || place.kind == Place::kLog) {
        lba += place.run;
        continue;
      }
      const absl::StatusOr<BlockReader::Run> stored = co_await StoredRun(place, lba);
      if (!stored.ok()) break;
      places.insert(places.end(), stored->places.begin(), stored->places.end());
      lba += stored->blocks;
    }
    (void)co_await blocks_.Fetch(std::move(places));
  }
  ahead_.erase(range);
  ahead_done_.Notify();
}

std::vector<LogBlock> Engine::LogRun(Lba lba, uint64_t limit) const {
  std::vector<LogBlock> places;
  for (uint64_t i = 0; i < limit; ++i) {
    const auto found = overlay_.Find(lba + i, 1);
    if (found.entry == nullptr || found.entry->zero) break;
    if (i > 0 && found.entry->value.position != places.back().position + 1) break;
    places.push_back(found.entry->value);
  }
  return places;
}

std::vector<BlockLocation> Engine::ObjectRun(const BlockMap<BlockLocation>& map, Lba lba,
                                             uint64_t limit) {
  std::vector<BlockLocation> places;
  for (uint64_t i = 0; i < limit; ++i) {
    const auto found = map.Find(lba + i, 1);
    if (found.entry == nullptr || found.entry->zero) break;
    if (i > 0 && !BlockReader::InOneGet(places[0], places.back(), found.entry->value)) break;
    places.push_back(found.entry->value);
  }
  return places;
}

Task<absl::Status> Engine::ReadLog(std::vector<LogBlock> places, std::byte* into) {
  CO_RETURN_IF_ERROR(co_await log_.Read(places[0].position, places.size(), into));
  if (options_.sabotage == Sabotage::kNoCrcCheck) co_return absl::OkStatus();
  for (size_t i = 0; i < places.size(); ++i) {
    if (Crc32c(into + i * kBlockBytes, kBlockBytes) != places[i].crc) {
      co_return absl::DataLossError(
          absl::StrCat("block ", places[i].position, " of the write log is damaged"));
    }
  }
  co_return absl::OkStatus();
}

}  // namespace diskd::object
