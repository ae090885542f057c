// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/runtime/file_operation.h"

#include <unistd.h>

#include <cerrno>

namespace diskd::object {

void FileOperation::Prepare(io_uring_sqe* sqe) const {
  const auto length = static_cast<unsigned>(bytes);
  switch (kind) {
    case Kind::kRead:
      io_uring_prep_read(sqe, fd, memory, length, offset);
      break;
    case Kind::kWrite:
      io_uring_prep_write(sqe, fd, memory, length, offset);
      break;
    case Kind::kFlush:
      io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
      break;
  }
}

int FileOperation::Perform() const {
  ssize_t result = 0;
  switch (kind) {
    case Kind::kRead:
      result = pread(fd, memory, bytes, static_cast<off_t>(offset));
      break;
    case Kind::kWrite:
      result = pwrite(fd, memory, bytes, static_cast<off_t>(offset));
      break;
    case Kind::kFlush:
      result = fdatasync(fd);
      break;
  }
  return result < 0 ? -errno : static_cast<int>(result);
}

}  // namespace diskd::object
