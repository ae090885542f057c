// SPDX-License-Identifier: Apache-2.0
//
// A full copy of a snapshot as a new volume, in the same store or in another one, packed and
// encrypted as that one's options say. Only what has data is read. Broken off at any point, it goes
// on where its last HEAD says. Scheduler's thread only.
#ifndef DISKD_DRIVERS_OBJECT_ENGINE_COPY_H_
#define DISKD_DRIVERS_OBJECT_ENGINE_COPY_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "drivers/object/engine/block_map.h"
#include "drivers/object/engine/block_reader.h"
#include "drivers/object/engine/head_keeper.h"
#include "drivers/object/engine/map_tree.h"
#include "drivers/object/engine/options.h"
#include "drivers/object/engine/store_client.h"
#include "drivers/object/engine/workers.h"

namespace diskd::object {

// One side of a copy.
struct CopySide {
  StoreClient* store;
  const Options* options;
  Uuid volume;
};

// Blocks done, of how many; now and then.
using CopyProgress = std::function<void(uint64_t, uint64_t)>;

class Copy {
 public:
  Copy(Scheduler* scheduler, const CopySide& from, uint64_t snapshot, const CopySide& to,
       CopyProgress progress);

  // NOT_FOUND: no such snapshot, or it was deleted meanwhile. ALREADY_EXISTS: the target is another
  // volume. FAILED_PRECONDITION: somebody else goes on with this copy.
  Task<absl::Status> Run();

 private:
  Task<absl::Status> Source();
  Task<absl::Status> Target();
  Task<absl::Status> CopyFrom(Lba lba);
  Task<absl::StatusOr<Lba>> Gather(Lba lba, std::vector<Lba>& lbas, std::string& blocks);
  Task<absl::Status> ReadInto(Lba lba, uint64_t blocks, std::string* into, size_t at);
  Task<absl::Status> Store(std::vector<Lba> lbas, std::string blocks);
  Task<absl::Status> Record(Lba done, bool last);

  Scheduler* const scheduler_;
  const CopySide from_;
  const CopySide to_;
  const uint64_t snapshot_;
  const CopyProgress progress_;
  HeadKeeper source_;
  MapTree source_tree_;
  BlockReader reader_;
  PagePointer source_root_;
  uint64_t size_blocks_ = 0;
  HeadKeeper target_;
  MapTree target_tree_;
  Stream stream_;
  uint32_t next_side_ = kFirstSideSequence;
  BlockMap<BlockLocation> changes_;  // stored, not in the target's tree
  Workers readers_;                  // last: their tasks use everything above
  Workers writers_;
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_ENGINE_COPY_H_
