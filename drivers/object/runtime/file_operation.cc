// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/runtime/file_operation.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace diskd::object {
namespace {

constexpr unsigned kWholeRange =
    SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;

}  // namespace

void FileOperation::Prepare(io_uring_sqe* sqe) const {
  const auto length = static_cast<unsigned>(bytes);
  switch (kind) {
    case Kind::kRead:
      io_uring_prep_read(sqe, fd, memory, length, offset);
      break;
    case Kind::kWrite:
    case Kind::kCachedWrite:
      io_uring_prep_write(sqe, fd, memory, length, offset);
      break;
    case Kind::kWriteBack:
      io_uring_prep_sync_file_range(sqe, fd, length, offset, kWholeRange);
      break;
    case Kind::kForget:
      io_uring_prep_fadvise(sqe, fd, offset, length, POSIX_FADV_DONTNEED);
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
    case Kind::kCachedWrite:
      result = pwrite(fd, memory, bytes, static_cast<off_t>(offset));
      break;
    case Kind::kWriteBack:
      result =
          sync_file_range(fd, static_cast<off_t>(offset), static_cast<off_t>(bytes), kWholeRange);
      break;
    case Kind::kForget:
      return -posix_fadvise(fd, static_cast<off_t>(offset), static_cast<off_t>(bytes),
                            POSIX_FADV_DONTNEED);
    case Kind::kFlush:
      result = fdatasync(fd);
      break;
  }
  return result < 0 ? -errno : static_cast<int>(result);
}

}  // namespace diskd::object
