// SPDX-License-Identifier: Apache-2.0
//
// Reading the map: a radix tree of immutable pages in the store, with a bounded cache of parsed
// pages. A root names one state of the whole volume for ever. Scheduler's thread only.
#ifndef DISKD_DRIVERS_OBJECT_ENGINE_MAP_TREE_H_
#define DISKD_DRIVERS_OBJECT_ENGINE_MAP_TREE_H_

#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "drivers/object/engine/options.h"
#include "drivers/object/engine/store_client.h"
#include "drivers/object/engine/task.h"
#include "drivers/object/format/head.h"
#include "drivers/object/format/map_page.h"

namespace diskd::object {

// The stream with an id; nullptr: the HEAD has none.
using FindStream = std::function<const Stream*(uint16_t)>;

class MapTree {
 public:
  // After `patience` a Load ends with a status that StoreClient::MayPass, but for checkpoints.
  MapTree(StoreClient* store, FindStream streams, const Options& options,
          StoreClient::Patience patience = {})
      : store_(store), streams_(std::move(streams)), options_(options), patience_(patience) {}

  // DATA_LOSS: the page is missing or damaged. A checkpoint's lane is kUpload. Pages `beside` it,
  // of the same object, are cached with it if they come.
  Task<absl::StatusOr<std::shared_ptr<const MapPage>>> Load(Lane lane, PagePointer pointer,
                                                            std::vector<PagePointer> beside = {});
  // What one GET may bring with page `slot` of `parent`: others that are near, if the cache has
  // room for them or the pages are read in order. None that `other` has at the same place.
  std::vector<PagePointer> Beside(Lane lane, const MapPage& parent, size_t slot,
                                  const MapPage* other = nullptr) const;

  struct Found {
    BlockLocation location;  // hole(): `run` blocks from there on are zeros
    uint64_t run = 1;
  };
  Task<absl::StatusOr<Found>> Find(PagePointer root, Lba lba, uint64_t limit);
  // The same from the pages that are cached; nullopt: one is not.
  std::optional<Found> FindCached(PagePointer root, Lba lba, uint64_t limit) const;

  uint64_t cached_bytes() const { return cached_bytes_; }

 private:
  using Key = std::tuple<uint16_t, uint32_t, uint32_t>;
  static Key KeyOf(const PagePointer& at) { return {at.stream, at.sequence, at.offset}; }
  struct Entry {
    std::shared_ptr<const MapPage> page;
    std::list<Key>::iterator age;
  };
  // Pages that a Load waits for. Another one of the same lane that needs them waits with it.
  class Loading {
   public:
    Loading(MapTree* tree, Lane lane, const std::vector<PagePointer>& pages);
    Loading(const Loading&) = delete;
    ~Loading();

   private:
    MapTree* const tree_;
    const Lane lane_;
    const std::shared_ptr<Signal> ended_;
    std::vector<Key> keys_;
  };
  // nullptr: it is not cached.
  std::shared_ptr<const MapPage> Cached(const Key& key);
  Task<absl::StatusOr<std::shared_ptr<const MapPage>>> Fetch(Lane lane, PagePointer pointer,
                                                             std::vector<PagePointer> beside);
  // Keeps `pages`, which are in what is stored from `begin` on. The status is the last one's;
  // ABORTED: it is not what was stored, which another GET may bring.
  absl::Status Keep(const Stream& stream, uint64_t begin, absl::string_view stored,
                    const std::vector<PagePointer>& pages);
  absl::StatusOr<MapPage> Parse(const Stream& stream, const PagePointer& at,
                                absl::string_view stored) const;
  // Looks for a block in one page after the other.
  struct Search {
    PagePointer at;
    Lba lba;
    uint64_t run;
    bool top = true;
    size_t slot = 0;  // of the page just left
    // The result, or nullopt: on with page `at`.
    std::optional<Found> Step(const MapPage& page);
  };
  void Remember(const Key& key, std::shared_ptr<const MapPage> page);
  uint64_t PageBytes(const MapPage& page) const;

  StoreClient* const store_;
  const FindStream streams_;
  const Options& options_;
  const StoreClient::Patience patience_;
  absl::flat_hash_map<Key, Entry> cache_;
  std::list<Key> ages_;  // the least recently used last
  uint64_t cached_bytes_ = 0;
  absl::flat_hash_map<std::pair<Lane, Key>, std::shared_ptr<Signal>> loading_;
};

// First block behind a page's range.
inline uint64_t PageSpan(uint8_t fanout_bits, uint8_t level) {
  const int bits = fanout_bits * (level + 1);
  return bits >= 64 ? ~uint64_t{0} : uint64_t{1} << bits;
}

// Level of the root of a volume of this size.
inline uint8_t RootLevel(uint8_t fanout_bits, uint64_t size_blocks) {
  uint8_t level = 0;
  while (PageSpan(fanout_bits, level) < size_blocks) ++level;
  return level;
}

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_ENGINE_MAP_TREE_H_
