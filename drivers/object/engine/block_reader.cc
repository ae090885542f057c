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

Task<absl::Status> BlockReader::Read(Lane lane, std::vector<BlockLocation> places,
                                     std::byte* into) {
  const BlockLocation& first = places[0];
  const Stream* stream = streams_(first.stream);
  if (stream == nullptr) {
    co_return absl::DataLossError(absl::StrCat("data is in unknown stream ", first.stream));
  }
  const std::string name = ObjectName(stream->volume, stream->epoch, stream->nonce, first.sequence);
  const uint64_t bytes = places.size() * kBlockBytes;
  for (int attempt = 0; attempt < kCorruptTries; ++attempt) {
    const absl::StatusOr<GetResult> got =
        co_await store_->Get(lane, name, ByteRange{first.block * uint64_t{kBlockBytes}, bytes});
    if (absl::IsNotFound(got.status())) {
      if (options_.sabotage == Sabotage::kZeroOnMissing) {
        memset(into, 0, bytes);
        co_return absl::OkStatus();
      }
      co_return absl::DataLossError(absl::StrCat("object ", name, " is missing"));
    }
    if (!got.ok()) co_return got.status();
    bool good = got->body.size() == bytes;
    for (size_t i = 0; good && i < places.size(); ++i) {
      good = options_.sabotage == Sabotage::kNoCrcCheck ||
             Crc32c(absl::string_view(got->body).substr(i * kBlockBytes, kBlockBytes)) ==
                 places[i].crc;
    }
    if (!good) continue;
    memcpy(into, got->body.data(), bytes);
    co_return absl::OkStatus();
  }
  co_return absl::DataLossError(absl::StrCat("object ", name, " is damaged"));
}

}  // namespace diskd::object
