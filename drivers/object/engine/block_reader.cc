// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/engine/block_reader.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "drivers/object/format/crc32c.h"

namespace diskd::object {
namespace {

constexpr int kCorruptTries = 6;
// Blocks fetched by one GET.
constexpr uint64_t kMaxGetBlocks = 1024;
// Blocks that are here already and are fetched again rather than by two GETs around them.
constexpr size_t kMaxGapBlocks = 16;

}  // namespace

Task<absl::Status> BlockReader::ReadRange(PagePointer root, Lba lba, uint64_t blocks,
                                          std::byte* into) {
  while (blocks > 0) {
    const absl::StatusOr<uint64_t> got = co_await ReadTree(root, lba, blocks, into);
    if (!got.ok()) co_return got.status();
    lba += *got;
    blocks -= *got;
    into += *got * kBlockBytes;
  }
  co_return absl::OkStatus();
}

Task<absl::StatusOr<uint64_t>> BlockReader::ReadTree(PagePointer root, Lba lba, uint64_t limit,
                                                     std::byte* into) {
  std::vector<BlockLocation> places;
  while (places.size() < std::min(limit, kMaxGetBlocks)) {
    const absl::StatusOr<MapTree::Found> found =
        co_await tree_->Find(root, lba + places.size(), limit - places.size());
    if (!found.ok()) co_return found.status();
    if (places.empty() && found->location.hole()) {
      memset(into, 0, found->run * kBlockBytes);
      co_return found->run;
    }
    if (found->location.hole()) break;
    if (!places.empty() && !found->location.Follows(places.back())) break;
    places.push_back(found->location);
  }
  const uint64_t run = places.size();
  CO_RETURN_IF_ERROR(co_await Read(Lane::kRead, std::move(places), into));
  co_return run;
}

bool BlockReader::Good(absl::string_view data, const std::vector<BlockLocation>& places) const {
  if (data.size() != places.size() * kBlockBytes) return false;
  if (options_.sabotage == Sabotage::kNoCrcCheck) return true;
  for (size_t i = 0; i < places.size(); ++i) {
    if (Crc32c(data.substr(i * kBlockBytes, kBlockBytes)) != places[i].crc) return false;
  }
  return true;
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
    for (size_t i = end; i < places.size() && i - end < kMaxGapBlocks; ++i) {
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
  const Stream* found = head_().FindStream(places[0].stream);
  if (found == nullptr) {
    co_return absl::DataLossError(absl::StrCat("data is in unknown stream ", places[0].stream));
  }
  const Stream stream = *found;  // the HEAD may be replaced while we wait
  const std::string name =
      ObjectName(stream.volume, stream.epoch, stream.nonce, places[0].sequence);
  const absl::Status status = co_await ReadFrom(lane, name, stream, places, into);
  if (!absl::IsNotFound(status)) co_return status;
  if (options_.sabotage == Sabotage::kZeroOnMissing) {
    memset(into, 0, places.size() * kBlockBytes);
    co_return absl::OkStatus();
  }
  co_return absl::DataLossError(absl::StrCat("object ", name, " is missing"));
}

Task<absl::Status> BlockReader::ReadFrom(Lane lane, std::string name, Stream stream,
                                         std::vector<BlockLocation> places, std::byte* into) {
  std::shared_ptr<const Index> index = std::make_shared<const Index>();
  if (head_().packed) {
    absl::StatusOr<std::shared_ptr<const Index>> found =
        co_await IndexOf(lane, stream, places[0].sequence);
    if (!found.ok()) co_return found.status();
    index = *std::move(found);
  }
  ByteRange range{places[0].block * uint64_t{kBlockBytes}, places.size() * kBlockBytes};
  uint64_t first = 0;  // frame
  uint64_t last = 0;
  if (index->frame_blocks != 0) {
    const uint64_t header_blocks = index->header_bytes / kBlockBytes;
    if (places[0].block < header_blocks ||
        places[0].block - header_blocks + places.size() > index->data_blocks) {
      co_return absl::DataLossError(absl::StrCat("object ", name, " has no such block"));
    }
    first = (places[0].block - header_blocks) / index->frame_blocks;
    last = (places[0].block - header_blocks + places.size() - 1) / index->frame_blocks;
    range.offset = index->header_bytes + index->Begin(first);
    range.length = index->ends[last] - index->Begin(first);
  }
  for (int attempt = 0; attempt < kCorruptTries; ++attempt) {
    absl::StatusOr<GetResult> got = co_await store_->Get(lane, name, range);
    if (!got.ok()) co_return got.status();
    std::string data = std::move(got->body);
    if (index->frame_blocks != 0) {
      absl::StatusOr<std::string> unpacked =
          Unpack(*index, stream, places, data, first, last - first + 1);
      if (!unpacked.ok()) continue;
      data = *std::move(unpacked);
    }
    if (!Good(data, places)) continue;
    memcpy(into, data.data(), data.size());
    co_return absl::OkStatus();
  }
  co_return absl::DataLossError(absl::StrCat("object ", name, " is damaged"));
}

// The blocks of `places` out of the frames they are in.
absl::StatusOr<std::string> BlockReader::Unpack(const Index& index, const Stream& stream,
                                                const std::vector<BlockLocation>& places,
                                                absl::string_view stored, uint64_t first,
                                                uint64_t frames) const {
  std::optional<ObjectCipher> cipher;
  if (index.encrypted) {
    cipher.emplace(*options_.key, stream.volume, stream.epoch, stream.nonce, places[0].sequence);
  }
  std::string data;
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
  return data.substr(skip * kBlockBytes, places.size() * kBlockBytes);
}

Task<absl::StatusOr<std::shared_ptr<const BlockReader::Index>>> BlockReader::IndexOf(
    Lane lane, Stream stream, uint32_t sequence) {
  const Key key{stream.id, sequence};
  if (auto it = indexes_.find(key); it != indexes_.end()) {
    ages_.splice(ages_.begin(), ages_, it->second.age);
    co_return it->second.index;
  }
  const absl::StatusOr<ObjectHeader> header =
      co_await store_->GetHeader(lane, stream.volume, stream.epoch, stream.nonce, sequence);
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
