// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/engine/map_tree.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "drivers/object/format/crc32c.h"

namespace diskd::object {
namespace {

constexpr int kCorruptTries = 6;

}  // namespace

uint64_t MapTree::PageBytes(const MapPage& page) const {
  return sizeof(MapPage) + page.blocks.size() * sizeof(BlockLocation) +
         page.pages.size() * sizeof(PagePointer);
}

void MapTree::Remember(const Key& key, std::shared_ptr<const MapPage> page) {
  if (cache_.contains(key)) return;
  cached_bytes_ += PageBytes(*page);
  ages_.push_front(key);
  cache_[key] = Cached{std::move(page), ages_.begin()};
  while (cached_bytes_ > options_.page_cache_bytes && ages_.size() > 1) {
    const auto oldest = cache_.find(ages_.back());
    cached_bytes_ -= PageBytes(*oldest->second.page);
    cache_.erase(oldest);
    ages_.pop_back();
  }
}

Task<absl::StatusOr<std::shared_ptr<const MapPage>>> MapTree::Load(Lane lane, PagePointer pointer) {
  const Key key{pointer.stream, pointer.sequence, pointer.offset};
  if (auto it = cache_.find(key); it != cache_.end()) {
    ages_.splice(ages_.begin(), ages_, it->second.age);
    co_return it->second.page;
  }
  const Stream* found = streams_(pointer.stream);
  if (found == nullptr) {
    co_return absl::DataLossError(absl::StrCat("a map page is in unknown stream ", pointer.stream));
  }
  const Stream stream = *found;  // the HEAD may be replaced while we wait
  const std::string name = ObjectName(stream.volume, stream.epoch, stream.nonce, pointer.sequence);
  StoreClient::Patience patience = patience_;
  if (lane == Lane::kUpload) patience.unreached = absl::InfiniteDuration();
  absl::Status problem = absl::DataLossError("wrong checksum");
  for (int attempt = 0; attempt < kCorruptTries; ++attempt) {
    const absl::StatusOr<GetResult> got =
        co_await store_->Get(lane, name, ByteRange{pointer.offset, pointer.length}, patience);
    if (absl::IsNotFound(got.status())) {
      problem = absl::DataLossError("the object is missing");
      break;
    }
    if (!got.ok()) co_return got.status();
    if (got->body.size() != pointer.length || Crc32c(got->body) != pointer.crc) continue;
    std::string bytes = got->body;
    if (options_.key.has_value()) {
      const ObjectCipher cipher(*options_.key, stream.volume, stream.epoch, stream.nonce,
                                pointer.sequence);
      absl::StatusOr<std::string> plain = cipher.Decrypt(Piece::kPage, pointer.offset, "", bytes);
      if (!plain.ok()) {
        problem = plain.status();
        break;
      }
      bytes = *std::move(plain);
    }
    absl::StatusOr<MapPage> page = ParseMapPage(bytes);
    if (!page.ok()) {
      problem = page.status();
      break;
    }
    auto shared = std::make_shared<const MapPage>(std::move(*page));
    Remember(key, shared);
    co_return shared;
  }
  co_return absl::DataLossError(
      absl::StrCat("map page at ", pointer.offset, " of ", name, ": ", problem.message()));
}

std::optional<MapTree::Found> MapTree::Search::Step(const MapPage& page) {
  const uint64_t span = PageSpan(page.fanout_bits, page.level);
  if (top && lba >= span) return Found{{}, run};
  top = false;
  const uint64_t child = page.level == 0 ? 1 : PageSpan(page.fanout_bits, page.level - 1);
  const uint64_t slot = lba % span / child;
  if (page.level > 0) {
    at = page.pages[slot];
    run = std::min(run, child - lba % child);
    if (at.hole()) return Found{{}, run};
    return std::nullopt;
  }
  const BlockLocation& location = page.blocks[slot];
  if (!location.hole()) return Found{location, 1};
  uint64_t holes = 1;
  while (holes < run && slot + holes < page.blocks.size() && page.blocks[slot + holes].hole()) {
    ++holes;
  }
  return Found{{}, std::min(run, holes)};
}

Task<absl::StatusOr<MapTree::Found>> MapTree::Find(PagePointer root, Lba lba, uint64_t limit) {
  if (root.hole()) co_return Found{{}, limit};
  Search search{root, lba, limit};
  for (;;) {
    absl::StatusOr<std::shared_ptr<const MapPage>> page = co_await Load(Lane::kRead, search.at);
    if (!page.ok()) co_return page.status();
    const std::optional<Found> found = search.Step(**page);
    if (found.has_value()) co_return *found;
  }
}

std::optional<MapTree::Found> MapTree::FindCached(PagePointer root, Lba lba, uint64_t limit) const {
  if (root.hole()) return Found{{}, limit};
  Search search{root, lba, limit};
  for (;;) {
    const auto page = cache_.find({search.at.stream, search.at.sequence, search.at.offset});
    if (page == cache_.end()) return std::nullopt;
    const std::optional<Found> found = search.Step(*page->second.page);
    if (found.has_value()) return found;
  }
}

}  // namespace diskd::object
