// SPDX-License-Identifier: Apache-2.0
//
// The write log of an open volume: its file and its memory, which one process has at a time.
// Not thread-safe.
#ifndef DISKD_DRIVERS_OBJECT_SERVED_LOG_H_
#define DISKD_DRIVERS_OBJECT_SERVED_LOG_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/fd.h"
#include "drivers/object/object_volume.h"
#include "drivers/object/runtime/engine_thread.h"
#include "drivers/object/runtime/log_memory.h"
#include "drivers/object/runtime/uring_log.h"

namespace diskd::object {

class ServedLog {
 public:
  // Waits for a former process. What is lost is made anew, with a warning; for a `successor` it is
  // FAILED_PRECONDITION.
  static absl::StatusOr<std::unique_ptr<ServedLog>> Open(const std::string& volume_id,
                                                         const ObjectVolume& volume, bool successor,
                                                         EngineThread* thread);

  // In the engine's turns.
  LogDevice* device() { return &file_; }
  // Empty: a record ends with the process. Until LetGo() or Drop().
  absl::Span<std::byte> memory() const { return memory_->span(); }
  uint64_t reads() const { return file_.reads(); }  // any thread

  // When nothing uses it: gives it to another process, and takes it back from there.
  absl::Status LetGo();
  absl::Status TakeBack(absl::Duration limit);
  // All that was answered is in the store; nothing uses the log any more.
  void DropMemory();

 private:
  ServedLog(EngineThread* thread, std::string path, Fd lock, Fd file, uint64_t size_bytes,
            std::unique_ptr<LogMemory> memory);

  const std::string path_;
  const Fd lock_;  // the same open file, to lock and to unlock it
  UringLog file_;
  const std::unique_ptr<LogMemory> memory_;
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_SERVED_LOG_H_
