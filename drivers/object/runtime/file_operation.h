// SPDX-License-Identifier: Apache-2.0
//
// One transfer or flush of a file, to be done by an io_uring or in the calling thread.
#ifndef DISKD_DRIVERS_OBJECT_RUNTIME_FILE_OPERATION_H_
#define DISKD_DRIVERS_OBJECT_RUNTIME_FILE_OPERATION_H_

#include <liburing.h>

#include <cstddef>
#include <cstdint>
#include <functional>

namespace diskd::object {

struct FileOperation {
  enum class Kind : uint8_t { kRead, kWrite, kFlush };

  Kind kind = Kind::kFlush;
  int fd = -1;
  std::byte* memory = nullptr;  // of kWrite: not changed
  size_t bytes = 0;
  uint64_t offset = 0;
  std::function<void(int result)> done;  // >= 0 or -errno

  void Prepare(io_uring_sqe* sqe) const;
  // Blocks; returns what `done` wants.
  int Perform() const;
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_RUNTIME_FILE_OPERATION_H_
