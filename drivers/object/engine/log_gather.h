// SPDX-License-Identifier: Apache-2.0
//
// Reads scattered blocks of the log in the order in which they lie there, many with one transfer:
// what is overwritten at random lies in the log in the order of the writes.
//
// Scheduler's thread only.
#ifndef DISKD_DRIVERS_OBJECT_ENGINE_LOG_GATHER_H_
#define DISKD_DRIVERS_OBJECT_ENGINE_LOG_GATHER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "drivers/object/engine/aligned_buffer.h"
#include "drivers/object/engine/task.h"
#include "drivers/object/engine/write_log.h"

namespace diskd::object {

class LogGather {
 public:
  struct Found {
    size_t index;  // of the source
    std::byte* block;
  };

  // Both outlive the gather; the log must not give the blocks' space back before its end.
  LogGather(WriteLog* log, const std::vector<LogBlock>* sources);

  bool done() const { return next_ == order_.size(); }
  // Reads some more; not when done.
  Task<absl::Status> Next();
  // What the last Next() has read, unchecked. Valid until the next.
  const std::vector<Found>& found() const { return found_; }

 private:
  Task<absl::Status> ReadSingly();

  WriteLog* const log_;
  const std::vector<LogBlock>& sources_;
  std::vector<uint32_t> order_;  // indices, by position in the log
  size_t next_ = 0;
  AlignedBuffer buffer_;
  std::vector<Found> found_;
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_ENGINE_LOG_GATHER_H_
