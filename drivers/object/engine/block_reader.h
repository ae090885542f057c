// SPDX-License-Identifier: Apache-2.0
//
// Reading blocks that are in the store, each checked against its checksum from the map.
// Scheduler's thread only.
#ifndef DISKD_DRIVERS_OBJECT_ENGINE_BLOCK_READER_H_
#define DISKD_DRIVERS_OBJECT_ENGINE_BLOCK_READER_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "drivers/object/engine/map_tree.h"
#include "drivers/object/engine/options.h"
#include "drivers/object/engine/store_client.h"
#include "drivers/object/engine/task.h"

namespace diskd::object {

class BlockReader {
 public:
  BlockReader(StoreClient* store, MapTree* tree, FindStream streams, const Options& options)
      : store_(store), tree_(tree), streams_(std::move(streams)), options_(options) {}

  // Blocks that follow each other in one object. DATA_LOSS: it is missing or damaged.
  Task<absl::Status> Read(Lane lane, std::vector<BlockLocation> places, std::byte* into);
  // The state of the disk that `root` names: as many of `limit` blocks as one request gives.
  Task<absl::StatusOr<uint64_t>> ReadTree(PagePointer root, Lba lba, uint64_t limit,
                                          std::byte* into);
  // All of them.
  Task<absl::Status> ReadRange(PagePointer root, Lba lba, uint64_t blocks, std::byte* into);

 private:
  StoreClient* const store_;
  MapTree* const tree_;
  const FindStream streams_;
  const Options& options_;
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_ENGINE_BLOCK_READER_H_
