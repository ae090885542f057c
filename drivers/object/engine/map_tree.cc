// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/engine/map_tree.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "drivers/object/format/crc32c.h"

namespace diskd::object {
namespace {

constexpr int kCorruptTries = 6;
// What comes with a page: of as many slots, as much of its object.
constexpr size_t kBesideSlots = 16;
constexpr uint64_t kBesideBytes = 64 << 10;
// And while what is under way is less than this part of the cache.
constexpr uint64_t kLoadingPart = 4;
// For a GET of somebody else that brings the page, too.
constexpr absl::Duration kJoinLimit = absl::Seconds(2);

// The part of an object that holds some of its pages.
ByteRange RangeOf(const std::vector<PagePointer>& pages) {
  uint64_t begin = pages[0].offset;
  uint64_t end = begin;
  for (const PagePointer& page : pages) {
    begin = std::min<uint64_t>(begin, page.offset);
    end = std::max<uint64_t>(end, page.offset + uint64_t{page.length});
  }
  return {begin, end - begin};
}

}  // namespace

uint64_t MapTree::PageBytes(const MapPage& page) const {
  return sizeof(MapPage) + page.blocks.size() * sizeof(BlockLocation) +
         page.pages.size() * sizeof(PagePointer);
}

void MapTree::Remember(const Key& key, std::shared_ptr<const MapPage> page) {
  if (cache_.contains(key)) return;
  cached_bytes_ += PageBytes(*page);
  ages_.push_front(key);
  cache_[key] = Entry{std::move(page), ages_.begin()};
  while (cached_bytes_ > options_.page_cache_bytes && ages_.size() > 1) {
    const auto oldest = cache_.find(ages_.back());
    cached_bytes_ -= PageBytes(*oldest->second.page);
    cache_.erase(oldest);
    ages_.pop_back();
  }
}

std::shared_ptr<const MapPage> MapTree::Cached(const Key& key) {
  const auto it = cache_.find(key);
  if (it == cache_.end()) return nullptr;
  ages_.splice(ages_.begin(), ages_, it->second.age);
  return it->second.page;
}

MapTree::Loading::Loading(MapTree* tree, Lane lane, const std::vector<PagePointer>& pages)
    : tree_(tree), lane_(lane), ended_(std::make_shared<Signal>(tree->store_->scheduler())) {
  for (const PagePointer& page : pages) {
    const Key key = KeyOf(page);
    if (tree->loading_.try_emplace({lane, key}, ended_).second) keys_.push_back(key);
  }
}

MapTree::Loading::~Loading() {
  for (const Key& key : keys_) tree_->loading_.erase({lane_, key});
  ended_->Notify();
}

std::vector<PagePointer> MapTree::Beside(Lane lane, const MapPage& parent, size_t slot,
                                         const MapPage* other) const {
  const PagePointer& wanted = parent.pages[slot];
  if (wanted.hole() || cache_.contains(KeyOf(wanted))) return {};
  const uint64_t page_bytes = PageBytes(parent);
  if (loading_.size() * page_bytes > options_.page_cache_bytes / kLoadingPart) return {};
  const bool in_order = slot > 0 && cache_.contains(KeyOf(parent.pages[slot - 1]));
  const uint64_t kept = in_order ? 0 : cached_bytes_;
  if (kept + kBesideSlots * page_bytes > options_.page_cache_bytes) return {};
  std::vector<PagePointer> all{wanted};
  const size_t begin = slot / kBesideSlots * kBesideSlots;
  for (size_t i = begin; i < std::min(begin + kBesideSlots, parent.pages.size()); ++i) {
    const PagePointer& page = parent.pages[i];
    const Key key = KeyOf(page);
    if (i == slot || page.stream != wanted.stream || page.sequence != wanted.sequence ||
        cache_.contains(key) || loading_.contains({lane, key}) ||
        (other != nullptr && other->pages[i] == page)) {
      continue;
    }
    all.push_back(page);
    if (RangeOf(all).length > kBesideBytes) all.pop_back();
  }
  all.erase(all.begin());
  return all;
}

Task<absl::StatusOr<std::shared_ptr<const MapPage>>> MapTree::Load(
    Lane lane, PagePointer pointer, std::vector<PagePointer> beside) {
  const Key key = KeyOf(pointer);
  Scheduler* const scheduler = store_->scheduler();
  const absl::Duration end = scheduler->Now() + kJoinLimit;
  std::shared_ptr<Signal> armed;  // is told at `end`
  for (;;) {
    std::shared_ptr<const MapPage> page = Cached(key);
    if (page != nullptr) co_return page;
    const auto under_way = loading_.find({lane, key});
    if (under_way == loading_.end() || scheduler->Now() >= end) break;
    const std::shared_ptr<Signal> ended = under_way->second;
    if (armed != ended) scheduler->After(end - scheduler->Now(), [ended] { ended->Notify(); });
    armed = ended;
    co_await ended->Wait();
    beside.clear();  // they came, or they may be what fails
  }
  co_return co_await Fetch(lane, pointer, std::move(beside));
}

Task<absl::StatusOr<std::shared_ptr<const MapPage>>> MapTree::Fetch(
    Lane lane, PagePointer pointer, std::vector<PagePointer> beside) {
  const Stream* found = streams_(pointer.stream);
  if (found == nullptr) {
    co_return absl::DataLossError(absl::StrCat("a map page is in unknown stream ", pointer.stream));
  }
  const Stream stream = *found;  // the HEAD may be replaced while we wait
  const std::string name = ObjectName(stream.volume, stream.epoch, stream.nonce, pointer.sequence);
  StoreClient::Patience patience = patience_;
  if (lane == Lane::kUpload) patience.unreached = absl::InfiniteDuration();
  std::vector<PagePointer> pages = std::move(beside);
  pages.push_back(pointer);
  std::optional<Loading> loading(std::in_place, this, lane, pages);
  absl::Status problem;
  for (int attempt = 0; attempt < kCorruptTries; ++attempt) {
    const ByteRange range = RangeOf(pages);
    const absl::StatusOr<GetResult> got = co_await store_->Get(lane, name, range, patience);
    if (absl::IsNotFound(got.status())) {
      problem = absl::DataLossError("the object is missing");
      break;
    }
    if (got.ok()) {
      problem = Keep(stream, range.offset, got->body, pages);
      if (problem.ok()) co_return Cached(KeyOf(pointer));
      if (absl::IsAborted(problem)) {
        store_->CountCorrupt();
      } else if (pages.size() == 1) {
        break;
      }
    } else if (!absl::IsDataLoss(got.status())) {
      co_return got.status();
    } else if (pages.size() == 1) {
      problem = got.status();
      break;
    }
    if (pages.size() == 1) continue;
    pages.assign(1, pointer);  // what can't be read may be the others
    loading.reset();
    loading.emplace(this, lane, pages);
  }
  store_->CountLost();
  co_return absl::DataLossError(
      absl::StrCat("map page at ", pointer.offset, " of ", name, ": ", problem.message()));
}

absl::Status MapTree::Keep(const Stream& stream, uint64_t begin, absl::string_view stored,
                           const std::vector<PagePointer>& pages) {
  absl::Status status;
  for (const PagePointer& at : pages) {
    absl::StatusOr<MapPage> page = absl::AbortedError("cut short");
    const uint64_t skip = at.offset - begin;
    if (skip + at.length <= stored.size()) {
      page = Parse(stream, at, stored.substr(skip, at.length));
    }
    status = page.status();
    if (page.ok()) Remember(KeyOf(at), std::make_shared<const MapPage>(*std::move(page)));
  }
  return status;
}

absl::StatusOr<MapPage> MapTree::Parse(const Stream& stream, const PagePointer& at,
                                       absl::string_view stored) const {
  if (Crc32c(stored) != at.crc) return absl::AbortedError("wrong checksum");
  if (!options_.key.has_value()) return ParseMapPage(stored);
  const ObjectCipher cipher(*options_.key, stream.volume, stream.epoch, stream.nonce, at.sequence);
  const absl::StatusOr<std::string> plain = cipher.Decrypt(Piece::kPage, at.offset, "", stored);
  if (!plain.ok()) return plain.status();
  return ParseMapPage(*plain);
}

std::optional<MapTree::Found> MapTree::Search::Step(const MapPage& page) {
  const uint64_t span = PageSpan(page.fanout_bits, page.level);
  if (top && lba >= span) return Found{{}, run};
  top = false;
  const uint64_t child = page.level == 0 ? 1 : PageSpan(page.fanout_bits, page.level - 1);
  slot = lba % span / child;
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
  std::vector<PagePointer> beside;
  for (;;) {
    absl::StatusOr<std::shared_ptr<const MapPage>> page =
        co_await Load(Lane::kRead, search.at, std::exchange(beside, {}));
    if (!page.ok()) co_return page.status();
    const std::optional<Found> found = search.Step(**page);
    if (found.has_value()) co_return *found;
    beside = Beside(Lane::kRead, **page, search.slot);
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
