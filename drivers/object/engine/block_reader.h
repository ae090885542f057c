// SPDX-License-Identifier: Apache-2.0
//
// Reading blocks that are in the store, each checked against its checksum from the map.
// Scheduler's thread only.
#ifndef DISKD_DRIVERS_OBJECT_ENGINE_BLOCK_READER_H_
#define DISKD_DRIVERS_OBJECT_ENGINE_BLOCK_READER_H_

#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "drivers/object/engine/map_tree.h"
#include "drivers/object/engine/memory_budget.h"
#include "drivers/object/engine/options.h"
#include "drivers/object/engine/read_cache.h"
#include "drivers/object/engine/store_client.h"
#include "drivers/object/engine/task.h"

namespace diskd::object {

class BlockReader {
 public:
  // `cache`: asked first, and given what guests read from the store; nullptr: none. Without a
  // `scheduler` the memory of reads is not bounded. After `patience` they end with a status that
  // StoreClient::MayPass.
  BlockReader(StoreClient* store, MapTree* tree, std::function<const Head&()> head,
              const Options& options, Scheduler* scheduler = nullptr, ReadCache* cache = nullptr,
              StoreClient::Patience patience = {})
      : store_(store),
        tree_(tree),
        head_(std::move(head)),
        options_(options),
        scheduler_(scheduler),
        cache_(cache),
        patience_(patience) {
    if (scheduler != nullptr) memory_.emplace(scheduler, options.read_bytes);
  }

  // Whether a GET from `first` to `before` should go on to `next`: it is so close that this costs
  // no more than a GET of its own.
  static bool InOneGet(const BlockLocation& first, const BlockLocation& before,
                       const BlockLocation& next);

  // Blocks of one object, each InOneGet of the one before. DATA_LOSS: it is missing or damaged.
  Task<absl::Status> Read(Lane lane, std::vector<BlockLocation> places, std::byte* into);
  // What the cache does not have of these, in any order, goes there.
  Task<absl::Status> Fetch(std::vector<BlockLocation> places);
  struct Run {
    uint64_t blocks = 0;
    std::vector<BlockLocation> places;  // for Read(); none: zeros
  };
  // Where the state of the disk that `root` names is: as many of `limit` blocks as Read() takes.
  Task<absl::StatusOr<Run>> FindRun(PagePointer root, Lba lba, uint64_t limit);
  // Reads that state.
  Task<absl::Status> ReadRange(PagePointer root, Lba lba, uint64_t blocks, std::byte* into);
  // How many blocks of data an object has.
  Task<absl::StatusOr<uint64_t>> DataBlocks(Lane lane, Stream stream, uint32_t sequence);

 private:
  // Where the blocks of a packed object are. Kept for those lately used.
  struct Index {
    uint64_t header_bytes = 0;
    uint64_t data_blocks = 0;
    uint32_t frame_blocks = 0;  // 0: not packed
    bool encrypted = false;
    std::vector<uint32_t> ends;  // of the frames, from the header's end on
    uint64_t Begin(uint64_t frame) const { return frame == 0 ? 0 : ends[frame - 1]; }
    uint64_t Bytes() const { return sizeof(Index) + ends.size() * sizeof(uint32_t); }
  };
  using Key = std::pair<uint16_t, uint32_t>;
  struct Cached {
    std::shared_ptr<const Index> index;
    std::list<Key>::iterator age;
  };
  // What a GET has brought: everything from the first to the last of the places.
  struct Fetched {
    MemoryBudget::Grant memory;
    std::string data;
  };
  Task<absl::Status> FetchRun(std::vector<BlockLocation> places);
  Task<absl::Status> ReadStore(Lane lane, std::vector<BlockLocation> places, std::byte* into);
  Task<absl::StatusOr<Fetched>> GetAll(Lane lane, const std::vector<BlockLocation>& places);
  Task<absl::StatusOr<Fetched>> GetFrom(Lane lane, std::string name, Stream stream,
                                        const std::vector<BlockLocation>& places);
  Task<absl::StatusOr<std::shared_ptr<const Index>>> IndexOf(Lane lane, Stream stream,
                                                             uint32_t sequence);
  void Remember(const Key& key, std::shared_ptr<const Index> index);
  absl::StatusOr<std::string> Unpack(const Index& index, const Stream& stream,
                                     const std::vector<BlockLocation>& places,
                                     absl::string_view stored, uint64_t first,
                                     uint64_t frames) const;
  bool Good(absl::string_view data, const std::vector<BlockLocation>& places) const;

  StoreClient* const store_;
  MapTree* const tree_;
  const std::function<const Head&()> head_;
  const Options& options_;
  Scheduler* const scheduler_;
  ReadCache* const cache_;
  const StoreClient::Patience patience_;
  std::optional<MemoryBudget> memory_;
  absl::flat_hash_map<Key, Cached> indexes_;
  std::list<Key> ages_;  // the least recently used last
  uint64_t cached_bytes_ = 0;
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_ENGINE_BLOCK_READER_H_
