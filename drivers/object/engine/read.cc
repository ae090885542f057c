// SPDX-License-Identifier: Apache-2.0
//
// Reads: the newest of log, changes since the checkpoint, tree. Every block is checked; what is
// missing or damaged is an error, never zeros.
#include <cstring>

#include "absl/strings/str_cat.h"
#include "drivers/object/engine/engine.h"
#include "drivers/object/format/crc32c.h"

namespace diskd::object {

Task<void> Engine::Read(IoRequest request) {
  const absl::Status status = co_await ReadRange(request.lba, request.blocks, request.data);
  request.done(failure_.ok() ? status : failure_);
}

Task<absl::Status> Engine::ReadRange(Lba lba, uint64_t blocks, std::byte* into) {
  const ReadBarrier::Reader reader(&readers_);
  while (blocks > 0) {
    uint64_t run = 0;
    const auto logged = overlay_.Find(lba, blocks);
    const auto recent = delta_.Find(lba, logged.run);
    const auto merging = frozen_.Find(lba, recent.run);
    const BlockMap<BlockLocation>* map = recent.entry != nullptr ? &delta_ : &frozen_;
    const auto& stored = recent.entry != nullptr ? recent : merging;
    if (logged.entry != nullptr ? logged.entry->zero
                                : stored.entry != nullptr && stored.entry->zero) {
      run = logged.entry != nullptr ? logged.run : stored.run;
      memset(into, 0, run * kBlockBytes);
    } else if (logged.entry != nullptr) {
      std::vector<LogBlock> places = LogRun(lba, blocks);
      run = places.size();
      CO_RETURN_IF_ERROR(co_await ReadLog(std::move(places), into));
    } else if (stored.entry != nullptr) {
      // Of `frozen_` only what no newer change hides.
      const uint64_t limit = recent.entry != nullptr ? overlay_.Find(lba, blocks).run : recent.run;
      std::vector<BlockLocation> places = ObjectRun(*map, lba, limit);
      run = places.size();
      CO_RETURN_IF_ERROR(co_await blocks_.Read(Lane::kRead, std::move(places), into));
    } else {
      const absl::StatusOr<uint64_t> got = co_await blocks_.ReadTree(root_, lba, merging.run, into);
      if (!got.ok()) co_return got.status();
      run = *got;
    }
    lba += run;
    blocks -= run;
    into += run * kBlockBytes;
  }
  co_return absl::OkStatus();
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
    if (i > 0 && !found.entry->value.Follows(places.back())) break;
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
