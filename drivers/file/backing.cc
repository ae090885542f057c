// SPDX-License-Identifier: Apache-2.0
#include "drivers/file/backing.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdlib>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/errno_status.h"
#include "base/log.h"
#include "base/status_macros.h"

namespace diskd::file_driver {
namespace {

constexpr absl::Duration kLockPoll = absl::Milliseconds(20);
constexpr uint32_t kMinBlock = 512;
constexpr uint32_t kMaxBlock = 4096;
constexpr uint32_t kMaxGranularity = 1 << 20;

absl::StatusOr<uint64_t> SizeOfFd(int fd, const std::string& path) {
  struct stat status;
  if (fstat(fd, &status) != 0) return ErrnoStatus(errno, absl::StrCat("stat ", path));
  if (S_ISREG(status.st_mode)) return static_cast<uint64_t>(status.st_size);
  if (!S_ISBLK(status.st_mode)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " is neither a regular file nor a block device"));
  }
  uint64_t size = 0;
  if (ioctl(fd, BLKGETSIZE64, &size) != 0) {
    return ErrnoStatus(errno, absl::StrCat("get the size of ", path));
  }
  return size;
}

absl::StatusOr<Fd> Open(const std::string& path, int flags) {
  Fd fd(open(path.c_str(), flags | O_CLOEXEC));
  if (fd.valid()) return fd;
  if (errno == ENOENT) {
    return absl::NotFoundError(
        absl::StrCat(path, " does not exist: the volume's backing file has been removed"));
  }
  return ErrnoStatus(errno, absl::StrCat("open ", path));
}

// One attempt. FAILED_PRECONDITION: somebody has it.
absl::Status TryClaim(const std::string& path, Backing& backing) {
  if (flock(backing.fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) {
      return absl::FailedPreconditionError(absl::StrCat(path, " is locked by another process"));
    }
    return ErrnoStatus(errno, absl::StrCat("lock ", path));
  }
  if (!backing.block_device || backing.claim.valid()) return absl::OkStatus();
  ASSIGN_OR_RETURN(backing.claim, Open(path, O_RDONLY | O_EXCL));
  return absl::OkStatus();
}

// The smallest block that O_DIRECT takes; 0: O_DIRECT is no use here.
uint32_t DirectBlock(int fd, bool block_device) {
  if (block_device) {
    int bytes = 0;
    return ioctl(fd, BLKSSZGET, &bytes) == 0 ? static_cast<uint32_t>(bytes) : 0;
  }
  const std::unique_ptr<void, void (*)(void*)> buffer(aligned_alloc(kMaxBlock, kMaxBlock), free);
  for (uint32_t bytes = kMinBlock; bytes <= kMaxBlock; bytes *= 2) {
    if (pread(fd, buffer.get(), bytes, 0) >= 0) return bytes;
  }
  return 0;
}

// Behind the end of the file there is nothing to lose.
bool CanPunch(int fd, uint64_t size) {
  return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(size),
                   kMaxBlock) == 0;
}

}  // namespace

absl::StatusOr<uint64_t> SizeOf(const std::string& path) {
  const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) return ErrnoStatus(errno, absl::StrCat("open ", path));
  return SizeOfFd(fd.get(), path);
}

// Operations that a killed predecessor has left in its io_uring keep its open file, and with it
// this lock, until they are finished. So whoever gets the lock knows that none of the predecessor's
// writes can land on top of its own, and none of its reads in memory that by then belongs to
// another request.
absl::Status ClaimBacking(const std::string& path, Backing& backing, absl::Duration lock_wait) {
  const absl::Time deadline = absl::Now() + lock_wait;
  for (;;) {
    const absl::Status status = TryClaim(path, backing);
    if (!absl::IsFailedPrecondition(status)) return status;
    if (absl::Now() >= deadline) {
      return absl::FailedPreconditionError(absl::StrCat(
          status.message(), ", after ", absl::FormatDuration(lock_wait), ": unmount or stop it"));
    }
    absl::SleepFor(kLockPoll);
  }
}

absl::Status ReleaseBacking(const std::string& path, Backing& backing) {
  backing.claim.reset();
  if (flock(backing.fd.get(), LOCK_UN) == 0) return absl::OkStatus();
  return ErrnoStatus(errno, absl::StrCat("unlock ", path));
}

absl::StatusOr<Backing> OpenBacking(const std::string& path, bool read_only) {
  struct stat status;
  Backing backing;
  backing.block_device = stat(path.c_str(), &status) == 0 && S_ISBLK(status.st_mode);
  ASSIGN_OR_RETURN(backing.fd, Open(path, read_only ? O_RDONLY : O_RDWR));
  const int fd = backing.fd.get();
  ASSIGN_OR_RETURN(backing.size_bytes, SizeOfFd(fd, path));
  if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_DIRECT) == 0) {
    backing.block_bytes = DirectBlock(fd, backing.block_device);
    backing.direct = backing.block_bytes != 0;
  }
  if (!backing.direct) {
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_DIRECT);
    backing.block_bytes = kMinBlock;
    SPDLOG_WARN(
        "{}: its file system has no O_DIRECT; I/O goes through the page cache, which costs "
        "memory and can stall under memory pressure",
        path);
  }
  if (!backing.block_device && fstat(fd, &status) == 0 && status.st_blksize > 0) {
    backing.granularity_bytes = std::clamp(std::bit_floor(static_cast<uint32_t>(status.st_blksize)),
                                           kMaxBlock, kMaxGranularity);
  }
  backing.punch = backing.block_device || (!read_only && CanPunch(fd, backing.size_bytes));
  return backing;
}

}  // namespace diskd::file_driver
