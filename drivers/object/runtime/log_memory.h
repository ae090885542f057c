// SPDX-License-Identifier: Apache-2.0
//
// Memory that outlives its process, though not a reboot: a file on a file system in memory, mapped.
// What a process has stored in it is there for the next one, however the first one ended. A mark on
// a disk names the memory that counts: it may go earlier than that, with a container.
// Not thread-safe.
#ifndef DISKD_DRIVERS_OBJECT_RUNTIME_LOG_MEMORY_H_
#define DISKD_DRIVERS_OBJECT_RUNTIME_LOG_MEMORY_H_

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/fd.h"

namespace diskd::object {

class LogMemory {
 public:
  struct Place {
    std::string path;  // of the memory; its folder need not be there
    std::string mark;
    std::string boot_id;  // of the running kernel
  };
  // Memory that counts and is gone.
  enum class Lost { kRefuse, kForget };

  // Of the file system that it is taken from, so much stays free.
  static constexpr uint64_t kFreePart = 4;

  // Of `bytes` at least, and of all that is kept there; what is new is zeros. All of it is taken
  // now, so that none can be missing later. Where nothing is kept and nothing can be had there is
  // none: span() is empty, and missing() says why. UNAVAILABLE: something is kept there and can't
  // be had now. DATA_LOSS: it is gone.
  static absl::StatusOr<std::unique_ptr<LogMemory>> Open(Place place, size_t bytes, Lost lost);
  ~LogMemory() { Unmap(); }
  LogMemory(const LogMemory&) = delete;
  LogMemory& operator=(const LogMemory&) = delete;

  absl::Span<std::byte> span() const { return memory_; }  // page-aligned
  const absl::Status& missing() const { return missing_; }
  // As Open(), after others may have used it; needs no rights that Open() has needed. Ends the
  // span.
  absl::Status OpenAgain() { return Acquire(Lost::kRefuse); }
  // Nobody needs any of it any more. Ends the span.
  absl::Status Drop();

 private:
  LogMemory(Place place, size_t bytes) : place_(std::move(place)), bytes_(bytes) {}
  absl::Status Acquire(Lost lost);
  absl::StatusOr<bool> FindKept(Lost lost);
  absl::Status Create();
  absl::Status Grow(size_t from);
  absl::Status Map();
  std::string Name() const;
  absl::StatusOr<std::string> ReadMark() const;
  absl::Status WriteMark(const std::string& text);
  void Unmap();

  const Place place_;
  const size_t bytes_;
  Fd fd_;
  Fd mark_;
  absl::Span<std::byte> memory_;
  absl::Status missing_;
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_RUNTIME_LOG_MEMORY_H_
