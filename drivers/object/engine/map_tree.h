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

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
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

  // DATA_LOSS: the page is missing or damaged. A checkpoint's lane is kUpload.
  Task<absl::StatusOr<std::shared_ptr<const MapPage>>> Load(Lane lane, PagePointer pointer);

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
  struct Cached {
    std::shared_ptr<const MapPage> page;
    std::list<Key>::iterator age;
  };
  // Looks for a block in one page after the other.
  struct Search {
    PagePointer at;
    Lba lba;
    uint64_t run;
    bool top = true;
    // The result, or nullopt: on with page `at`.
    std::optional<Found> Step(const MapPage& page);
  };
  void Remember(const Key& key, std::shared_ptr<const MapPage> page);
  uint64_t PageBytes(const MapPage& page) const;

  StoreClient* const store_;
  const FindStream streams_;
  const Options& options_;
  const StoreClient::Patience patience_;
  absl::flat_hash_map<Key, Cached> cache_;
  std::list<Key> ages_;  // the least recently used last
  uint64_t cached_bytes_ = 0;
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
