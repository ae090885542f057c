// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/store/object_file.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/status_macros.h"
#include "drivers/object/env/send_gate.h"

namespace diskd::object {
namespace {

constexpr size_t kBlockBytes = 4096;
constexpr size_t kChunkBytes = 1 << 20;
constexpr uint64_t kNanoseconds = 1000000000;
constexpr absl::Duration kLockPollMin = absl::Microseconds(100);
constexpr absl::Duration kLockPollMax = absl::Milliseconds(10);

// Writes [data, data + size) at `offset`, all of it.
int WriteAll(int fd, const char* data, size_t size, uint64_t offset) {
  while (size > 0) {
    const ssize_t written = pwrite(fd, data, size, static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    data += written;
    size -= written;
    offset += written;
  }
  return 0;
}

// A driver writes while the kernel may be waiting for it to free memory: page cache that must be
// written back first would close the circle, so O_DIRECT through a buffer.
int WriteDirect(int fd, absl::string_view body) {
  const int flags = fcntl(fd, F_GETFL);
  bool direct = flags >= 0 && fcntl(fd, F_SETFL, flags | O_DIRECT) == 0;
  const std::unique_ptr<char, decltype(&std::free)> buffer(
      static_cast<char*>(std::aligned_alloc(kBlockBytes, kChunkBytes)), &std::free);
  if (buffer == nullptr) return ENOMEM;
  for (size_t done = 0; done < body.size();) {
    const size_t part = std::min(kChunkBytes, body.size() - done);
    const size_t padded = (part + kBlockBytes - 1) / kBlockBytes * kBlockBytes;
    std::memcpy(buffer.get(), body.data() + done, part);
    std::memset(buffer.get() + part, 0, padded - part);
    const int error = WriteAll(fd, buffer.get(), direct ? padded : part, done);
    if (error == EINVAL && direct) {  // not with these sizes, or not at all
      direct = false;
      if (fcntl(fd, F_SETFL, flags) != 0) return errno;
      continue;
    }
    if (error != 0) return error;
    done += part;
  }
  return ftruncate(fd, static_cast<off_t>(body.size())) == 0 ? 0 : errno;
}

}  // namespace

uint64_t RandomNumber() {
  uint64_t number = 0;
  while (getrandom(&number, sizeof(number), 0) != sizeof(number)) {
  }
  return number;
}

absl::Status FileStatus(int error, absl::string_view what) {
  const absl::Status plain = ErrnoStatus(error, what);
  switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return absl::ResourceExhaustedError(plain.message());
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::PermissionDeniedError(plain.message());
    case EISDIR:
    case ENOTDIR:
    case ELOOP:
    case EXDEV:
    case ENAMETOOLONG:
      return absl::InvalidArgumentError(plain.message());
    default:
      return absl::UnavailableError(plain.message());
  }
}

Fd OpenBelow(int directory, const std::string& path, int flags, mode_t mode) {
  open_how how = {};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
  how.mode = (flags & O_CREAT) != 0 ? mode : 0;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
  Fd fd;
  do {
    fd = Fd(static_cast<int>(syscall(SYS_openat2, directory, path.c_str(), &how, sizeof(how))));
  } while (!fd.valid() && (errno == EINTR || errno == EAGAIN));
  return fd;
}

std::string BaseName(const std::string& path) { return path.substr(path.rfind('/') + 1); }

absl::StatusOr<Fd> OpenParent(int directory, const std::string& path, bool create) {
  Fd parent = OpenBelow(directory, ".", O_RDONLY | O_DIRECTORY);
  if (!parent.valid()) return FileStatus(errno, "open the store's directory");
  size_t begin = 0;
  for (size_t slash; (slash = path.find('/', begin)) != std::string::npos; begin = slash + 1) {
    const std::string component = path.substr(begin, slash - begin);
    Fd next = OpenBelow(parent.get(), component, O_RDONLY | O_DIRECTORY);
    if (!next.valid() && errno == ENOENT && create) {
      if (mkdirat(parent.get(), component.c_str(), kFolderMode) != 0 && errno != EEXIST) {
        return FileStatus(errno, absl::StrCat("mkdir ", path.substr(0, slash)));
      }
      // Also if another one made it: it may not have synced it yet.
      if (fsync(parent.get()) != 0) return FileStatus(errno, "fsync directory");
      next = OpenBelow(parent.get(), component, O_RDONLY | O_DIRECTORY);
    }
    if (!next.valid() && errno == ENOENT && !create) {
      return absl::NotFoundError(absl::StrCat("no directory ", path.substr(0, slash)));
    }
    if (!next.valid()) return FileStatus(errno, absl::StrCat("open ", path.substr(0, slash)));
    parent = std::move(next);
  }
  return parent;
}

Etag EtagOfFile(const struct stat& status) {
  return absl::StrCat(absl::Hex(status.st_mtim.tv_sec), "-", absl::Hex(status.st_mtim.tv_nsec), "-",
                      absl::Hex(status.st_size), "-", absl::Hex(status.st_ino));
}

absl::Status WriteNewFile(int fd, absl::string_view body, absl::string_view what) {
  if (const int error = WriteDirect(fd, body); error != 0) return FileStatus(error, what);
  timespec times[2];
  times[0] = {.tv_sec = 0, .tv_nsec = UTIME_OMIT};
  times[1] = {.tv_sec = absl::ToUnixSeconds(absl::Now()),
              .tv_nsec = static_cast<long>(RandomNumber() % kNanoseconds)};
  struct stat status;
  if (futimens(fd, times) != 0 || fsync(fd) != 0 || fstat(fd, &status) != 0) {
    return FileStatus(errno, what);
  }
  if (status.st_mtim.tv_nsec != times[1].tv_nsec) {
    return absl::UnimplementedError(
        absl::StrCat(what,
                     ": this file system does not keep times in nanoseconds (needed to tell "
                     "versions apart); use ext4, xfs, btrfs or NFS 4"));
  }
  return absl::OkStatus();
}

absl::Status ReadFully(int fd, uint64_t offset, uint64_t size, std::string* out,
                       absl::string_view what) {
  out->resize(size);
  for (uint64_t done = 0; done < size;) {
    const ssize_t got =
        pread(fd, out->data() + done, size - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EIO) return absl::UnknownError(ErrnoStatus(EIO, what).message());
    if (got < 0) return FileStatus(errno, what);
    if (got == 0) return absl::DataLossError(absl::StrCat(what, ": file cut off under us"));
    done += got;
  }
  return absl::OkStatus();
}

absl::StatusOr<FileLock::Guard> FileLock::Acquire(absl::Duration timeout)
    ABSL_NO_THREAD_SAFETY_ANALYSIS {
  const absl::Duration deadline = BootTime() + timeout;
  absl::Duration pause = kLockPollMin;
  for (bool ours = false;;) {
    ours = ours || mutex_.TryLock();
    if (ours) {
      if (flock(file_.get(), LOCK_EX | LOCK_NB) == 0) return Guard(this);
      if (errno != EWOULDBLOCK && errno != EINTR) {
        const int error = errno;
        mutex_.Unlock();
        return FileStatus(error, "flock");
      }
    }
    if (BootTime() > deadline) {
      if (ours) mutex_.Unlock();
      return absl::AbortedError(absl::StrCat("another process has held the store's lock for ",
                                             absl::FormatDuration(timeout)));
    }
    absl::SleepFor(pause);
    pause = std::min(pause * 2, kLockPollMax);
  }
}

void FileLock::Release() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  flock(file_.get(), LOCK_UN);
  mutex_.Unlock();
}

}  // namespace diskd::object
