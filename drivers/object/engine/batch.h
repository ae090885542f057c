// SPDX-License-Identifier: Apache-2.0
//
// A piece of the log on its way into one object of the store.
#ifndef DISKD_DRIVERS_OBJECT_ENGINE_BATCH_H_
#define DISKD_DRIVERS_OBJECT_ENGINE_BATCH_H_

#include <vector>

#include "drivers/object/engine/engine.h"

namespace diskd::object {

struct Engine::Batch {
  ObjectHeader header;
  std::vector<LogBlock> sources;  // of the data blocks, in the order of the extents
  absl::Duration appended;        // its first record to the log; a Scheduler's time
  bool stored = false;
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_ENGINE_BATCH_H_
