// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/engine/block_reader.h"

#include <algorithm>
#include <cstring>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "drivers/object/engine/workers.h"
#include "drivers/object/format/crc32c.h"

namespace diskd::object {
namespace {

constexpr int kCorruptTries = 6;
// Blocks fetched by one GET, with those in between.
constexpr uint64_t kMaxGetBlocks = 512;
// Blocks that are fetched in vain rather than by two GETs around them.
constexpr size_t kMaxGapBlocks = 16;
// GETs of one Fetch() at the same time.
constexpr int kParallelFetches = 8;
constexpr StoreClient::Patience kOneTry{absl::ZeroDuration(), 0, absl::ZeroDuration()};

// Blocks from the first to the last one.
uint64_t Span(const std::vector<BlockLocation>& places) {
  return places.back().block - places[0].block + uint64_t{1};
}

// Out of everything from the first to the last one.
void CopyOut(absl::string_view data, const std::vector<BlockLocation>& places, std::byte* into) {
  for (size_t i = 0; i < places.size(); ++i) {
    const uint64_t at = places[i].block - places[0].block;
    memcpy(into + i * kBlockBytes, data.data() + at * kBlockBytes, kBlockBytes);
  }
}

}  // namespace

bool BlockReader::InOneGet(const BlockLocation& first, const BlockLocation& before,
                           const BlockLocation& next) {
  return next.stream == before.stream && next.sequence == before.sequence &&
         next.block > before.block && next.block - uint64_t{before.block} <= kMaxGapBlocks &&
         next.block - uint64_t{first.block} < kMaxGetBlocks;
}

Task<absl::Status> BlockReader::ReadRange(PagePointer root, Lba lba, uint64_t blocks,
                                          std::byte* into) {
  while (blocks > 0) {
    absl::StatusOr<Run> run = co_await FindRun(root, lba, blocks);
    if (!run.ok()) co_return run.status();
    if (run->places.empty()) {
      memset(into, 0, run->blocks * kBlockBytes);
    } else {
      CO_RETURN_IF_ERROR(co_await Read(Lane::kRead, std::move(run->places), into));
    }
    lba += run->blocks;
    blocks -= run->blocks;
    into += run->blocks * kBlockBytes;
  }
  co_return absl::OkStatus();
}

Task<absl::StatusOr<BlockReader::Run>> BlockReader::FindRun(PagePointer root, Lba lba,
                                                            uint64_t limit) {
  Run run;
  while (run.blocks < std::min(limit, kMaxGetBlocks)) {
    const absl::StatusOr<MapTree::Found> found =
        co_await tree_->Find(root, lba + run.blocks, limit - run.blocks);
    if (!found.ok()) co_return found.status();
    if (run.blocks == 0 && found->location.hole()) co_return Run{found->run, {}};
    if (found->location.hole()) break;
    if (run.blocks > 0 && !InOneGet(run.places[0], run.places.back(), found->location)) break;
    run.places.push_back(found->location);
    ++run.blocks;
  }
  co_return run;
}

Task<absl::Status> BlockReader::Fetch(std::vector<BlockLocation> places) {
  if (cache_ == nullptr) co_return absl::OkStatus();
  const auto has = [this](const BlockLocation& place) { return cache_->Has(place); };
  places.erase(std::remove_if(places.begin(), places.end(), has), places.end());
  std::sort(places.begin(), places.end(), [](const BlockLocation& a, const BlockLocation& b) {
    return std::tie(a.stream, a.sequence, a.block) < std::tie(b.stream, b.sequence, b.block);
  });
  Workers workers(scheduler_, kParallelFetches);
  for (size_t begin = 0; begin < places.size();) {
    size_t end = begin + 1;
    while (end < places.size() && InOneGet(places[begin], places[end - 1], places[end])) ++end;
    co_await workers.Start(FetchRun({places.begin() + static_cast<ptrdiff_t>(begin),
                                     places.begin() + static_cast<ptrdiff_t>(end)}));
    begin = end;
  }
  co_return co_await workers.Finish();
}

Task<absl::Status> BlockReader::FetchRun(std::vector<BlockLocation> places) {
  const absl::StatusOr<Fetched> got = co_await GetAll(Lane::kRead, places);
  if (!got.ok()) co_return got.status();
  const auto* const data = reinterpret_cast<const std::byte*>(got->data.data());
  for (const BlockLocation& place : places) {
    co_await cache_->WaitForRoom();
    cache_->Insert(place, data + (place.block - places[0].block) * size_t{kBlockBytes});
  }
  co_return absl::OkStatus();
}

// `data`: everything from the first to the last one.
bool BlockReader::Good(absl::string_view data, const std::vector<BlockLocation>& places) const {
  if (data.size() != Span(places) * kBlockBytes) return false;
  if (options_.sabotage == Sabotage::kNoCrcCheck) return true;
  return std::all_of(places.begin(), places.end(), [&](const BlockLocation& place) {
    const uint64_t at = place.block - places[0].block;
    return Crc32c(data.substr(at * kBlockBytes, kBlockBytes)) == place.crc;
  });
}

Task<absl::Status> BlockReader::Read(Lane lane, std::vector<BlockLocation> places,
                                     std::byte* into) {
  if (cache_ == nullptr || !cache_->enabled()) {
    co_return co_await ReadStore(lane, std::move(places), into);
  }
  std::vector<bool> have(places.size());
  co_await cache_->Read(places, into, have);
  for (size_t begin = 0; begin < places.size();) {
    if (have[begin]) {
      ++begin;
      continue;
    }
    size_t end = begin + 1;  // behind the last one missing
    for (size_t i = end; i < places.size() && InOneGet(places[begin], places[end - 1], places[i]);
         ++i) {
      if (!have[i]) end = i + 1;
    }
    CO_RETURN_IF_ERROR(co_await ReadStore(lane,
                                          {places.begin() + static_cast<ptrdiff_t>(begin),
                                           places.begin() + static_cast<ptrdiff_t>(end)},
                                          into + begin * kBlockBytes));
    for (size_t i = begin; lane == Lane::kRead && i < end; ++i) {
      if (!have[i]) cache_->Insert(places[i], into + i * kBlockBytes);
    }
    begin = end;
  }
  co_return absl::OkStatus();
}

Task<absl::Status> BlockReader::ReadStore(Lane lane, std::vector<BlockLocation> places,
                                          std::byte* into) {
  const absl::StatusOr<Fetched> got = co_await GetAll(lane, places);
  if (absl::IsDataLoss(got.status())) store_->CountLost();
  if (got.ok()) CopyOut(got->data, places, into);
  co_return got.status();
}

Task<absl::StatusOr<BlockReader::Fetched>> BlockReader::GetAll(
    Lane lane, const std::vector<BlockLocation>& places) {
  const Stream* found = head_().FindStream(places[0].stream);
  if (found == nullptr) {
    co_return absl::DataLossError(absl::StrCat("data is in unknown stream ", places[0].stream));
  }
  const Stream stream = *found;  // the HEAD may be replaced while we wait
  const std::string name =
      ObjectName(stream.volume, stream.epoch, stream.nonce, places[0].sequence);
  StoreClient::Retry retry(store_, lane, patience_);
  absl::StatusOr<Fetched> got = absl::UnknownError("");
  for (bool again = true; again;) {
    got = co_await GetFrom(lane, name, stream, places);
    // Without the memory, which others may be waiting for.
    again = StoreClient::MayPass(got.status()) ||
            (absl::IsNotFound(got.status()) && patience_.absent > absl::ZeroDuration());
    if (again) again = co_await retry.Again(got.status());
  }
  if (!absl::IsNotFound(got.status())) co_return got;
  if (options_.sabotage == Sabotage::kZeroOnMissing) {
    co_return Fetched{{}, std::string(Span(places) * kBlockBytes, '\0')};
  }
  co_return absl::DataLossError(absl::StrCat("object ", name, " is missing"));
}

Task<absl::StatusOr<BlockReader::Fetched>> BlockReader::GetFrom(
    Lane lane, std::string name, Stream stream, const std::vector<BlockLocation>& places) {
  std::shared_ptr<const Index> index = std::make_shared<const Index>();
  if (head_().packed) {
    absl::StatusOr<std::shared_ptr<const Index>> found =
        co_await IndexOf(lane, stream, places[0].sequence);
    if (!found.ok()) co_return found.status();
    index = *std::move(found);
  }
  ByteRange range{places[0].block * uint64_t{kBlockBytes}, Span(places) * kBlockBytes};
  uint64_t first = 0;  // frame
  uint64_t last = 0;
  if (index->frame_blocks != 0) {
    const uint64_t header_blocks = index->header_bytes / kBlockBytes;
    if (places[0].block < header_blocks ||
        places[0].block - header_blocks + Span(places) > index->data_blocks) {
      co_return absl::DataLossError(absl::StrCat("object ", name, " has no such block"));
    }
    first = (places[0].block - header_blocks) / index->frame_blocks;
    last = (places[0].block - header_blocks + Span(places) - 1) / index->frame_blocks;
    range.offset = index->header_bytes + index->Begin(first);
    range.length = index->ends[last] - index->Begin(first);
  }
  const uint64_t frame_bytes = index->frame_blocks * uint64_t{kBlockBytes};
  MemoryBudget::Grant memory;
  if (memory_.has_value()) {
    memory = co_await memory_->Take(range.length + (last - first + 1) * frame_bytes);
  }
  for (int attempt = 0; attempt < kCorruptTries; ++attempt) {
    absl::StatusOr<GetResult> got = co_await store_->Get(lane, name, range, kOneTry);
    if (!got.ok()) co_return got.status();
    std::string data = std::move(got->body);
    if (index->frame_blocks != 0) {
      absl::StatusOr<std::string> unpacked =
          Unpack(*index, stream, places, data, first, last - first + 1);
      data = unpacked.ok() ? *std::move(unpacked) : "";
    }
    if (Good(data, places)) co_return Fetched{std::move(memory), std::move(data)};
    store_->CountCorrupt();
  }
  co_return absl::DataLossError(absl::StrCat("object ", name, " is damaged"));
}

// The blocks from the first to the last of `places` out of the frames they are in.
absl::StatusOr<std::string> BlockReader::Unpack(const Index& index, const Stream& stream,
                                                const std::vector<BlockLocation>& places,
                                                absl::string_view stored, uint64_t first,
                                                uint64_t frames) const {
  std::optional<ObjectCipher> cipher;
  if (index.encrypted) {
    cipher.emplace(*options_.key, stream.volume, stream.epoch, stream.nonce, places[0].sequence);
  }
  std::string data;
  data.reserve(frames * index.frame_blocks * kBlockBytes);
  for (uint64_t frame = first; frame < first + frames; ++frame) {
    const uint64_t begin = index.Begin(frame);
    const uint64_t blocks =
        std::min<uint64_t>(index.frame_blocks, index.data_blocks - frame * index.frame_blocks);
    if (index.ends[frame] - index.Begin(first) > stored.size()) {
      return absl::DataLossError("cut short");
    }
    const absl::StatusOr<std::string> unpacked =
        UnpackFrame(stored.substr(begin - index.Begin(first), index.ends[frame] - begin),
                    static_cast<uint32_t>(frame), blocks * kBlockBytes,
                    cipher.has_value() ? &*cipher : nullptr);
    if (!unpacked.ok()) return unpacked.status();
    data += *unpacked;
  }
  const uint64_t skip =
      places[0].block - index.header_bytes / kBlockBytes - first * index.frame_blocks;
  data.erase(0, skip * kBlockBytes);
  if (data.size() > Span(places) * kBlockBytes) data.resize(Span(places) * kBlockBytes);
  return data;
}

Task<absl::StatusOr<std::shared_ptr<const BlockReader::Index>>> BlockReader::IndexOf(
    Lane lane, Stream stream, uint32_t sequence) {
  const Key key{stream.id, sequence};
  if (auto it = indexes_.find(key); it != indexes_.end()) {
    ages_.splice(ages_.begin(), ages_, it->second.age);
    co_return it->second.index;
  }
  StoreClient::Patience patience = patience_;
  patience.absent = absl::ZeroDuration();  // GetAll() has it
  const absl::StatusOr<ObjectHeader> header = co_await store_->GetHeader(
      lane, stream.volume, stream.epoch, stream.nonce, sequence, patience);
  if (!header.ok()) co_return header.status();
  auto index = std::make_shared<Index>();
  index->header_bytes = ObjectHeaderBytes(*header);
  index->data_blocks = header->block_crcs.size();
  index->frame_blocks = header->frame_blocks;
  index->encrypted = header->encrypted;
  uint32_t end = 0;
  for (uint32_t frame : header->frames) index->ends.push_back(end += frame);
  Remember(key, index);
  co_return index;
}

void BlockReader::Remember(const Key& key, std::shared_ptr<const Index> index) {
  if (indexes_.contains(key)) return;
  cached_bytes_ += index->Bytes();
  ages_.push_front(key);
  indexes_[key] = Cached{std::move(index), ages_.begin()};
  while (cached_bytes_ > options_.index_cache_bytes && ages_.size() > 1) {
    const auto oldest = indexes_.find(ages_.back());
    cached_bytes_ -= oldest->second.index->Bytes();
    indexes_.erase(oldest);
    ages_.pop_back();
  }
}

Task<absl::StatusOr<uint64_t>> BlockReader::DataBlocks(Lane lane, Stream stream,
                                                       uint32_t sequence) {
  const absl::StatusOr<std::shared_ptr<const Index>> index =
      co_await IndexOf(lane, stream, sequence);
  if (!index.ok()) co_return index.status();
  co_return (*index)->data_blocks;
}

}  // namespace diskd::object
