// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/runtime/log_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/errno_status.h"
#include "base/status_macros.h"

namespace diskd::object {
namespace {

constexpr uint64_t kZeroChunk = 4 << 20;
constexpr absl::Duration kLockPoll = absl::Milliseconds(20);

absl::Status WriteZeros(int fd, uint64_t size_bytes, const std::string& path) {
  const std::vector<char> zeros(kZeroChunk);
  for (uint64_t at = 0; at < size_bytes;) {
    const ssize_t n =
        pwrite(fd, zeros.data(), std::min(kZeroChunk, size_bytes - at), static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return ErrnoStatus(n < 0 ? errno : EIO, absl::StrCat("write ", path));
    at += static_cast<uint64_t>(n);
  }
  if (fsync(fd) != 0) return ErrnoStatus(errno, absl::StrCat("fsync ", path));
  posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  return absl::OkStatus();
}

absl::Status SyncFolderOf(const std::string& path) {
  const std::string folder = path.substr(0, path.rfind('/'));
  const Fd fd(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid() || fsync(fd.get()) != 0) {
    return ErrnoStatus(errno, absl::StrCat("sync ", folder));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status MakeLogFile(const std::string& path, uint64_t size_bytes) {
  struct stat status;
  if (stat(path.c_str(), &status) == 0) {
    if (S_ISREG(status.st_mode) && static_cast<uint64_t>(status.st_size) == size_bytes) {
      return absl::OkStatus();
    }
    return absl::AlreadyExistsError(absl::StrCat(path, " exists and is no log of ", size_bytes,
                                                 " bytes: remove it or choose another log_dir"));
  }
  const std::string making = path + ".new";
  auto remove = absl::MakeCleanup([&] { unlink(making.c_str()); });
  // What a crash has left, or somebody else has put there: never written through.
  unlink(making.c_str());
  const Fd fd(open(making.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd.valid()) return ErrnoStatus(errno, absl::StrCat("create ", making));
  RETURN_IF_ERROR(WriteZeros(fd.get(), size_bytes, making));
  if (rename(making.c_str(), path.c_str()) != 0) {
    return ErrnoStatus(errno, absl::StrCat("rename to ", path));
  }
  std::move(remove).Cancel();
  return SyncFolderOf(path);
}

absl::Status RemoveLogFile(const std::string& path) {
  if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    return ErrnoStatus(errno, absl::StrCat("remove ", path));
  }
  return absl::OkStatus();
}

absl::Status LockLogFile(int fd, const std::string& path, absl::Duration wait) {
  // Operations that a killed process has left in its io_uring keep its open file, and with it this
  // lock, until they have finished.
  const absl::Time deadline = absl::Now() + wait;
  while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) {
      return ErrnoStatus(errno, absl::StrCat("lock ", path));
    }
    if (absl::Now() >= deadline) {
      return absl::FailedPreconditionError(
          absl::StrCat(path, " is in use by another process: stop it"));
    }
    absl::SleepFor(kLockPoll);
  }
  return absl::OkStatus();
}

absl::Status UnlockLogFile(int fd) {
  if (flock(fd, LOCK_UN) != 0) return ErrnoStatus(errno, "unlock the write log");
  return absl::OkStatus();
}

namespace {

absl::StatusOr<Fd> OpenLocked(const std::string& path, int flags, absl::Duration wait) {
  Fd fd(open(path.c_str(), O_RDWR | O_DIRECT | O_CLOEXEC | flags, 0600));
  if (!fd.valid()) {
    if (errno == ENOENT) return absl::NotFoundError(absl::StrCat(path, " does not exist"));
    if (errno == EINVAL) {
      return absl::FailedPreconditionError(absl::StrCat(
          "the file system of ", path, " has no O_DIRECT: choose a log_dir on ext4 or xfs"));
    }
    return ErrnoStatus(errno, absl::StrCat("open ", path));
  }
  RETURN_IF_ERROR(LockLogFile(fd.get(), path, wait));
  return fd;
}

}  // namespace

absl::StatusOr<LogFile> OpenLogFile(const std::string& path, absl::Duration wait) {
  LogFile file;
  ASSIGN_OR_RETURN(file.fd, OpenLocked(path, 0, wait));
  struct stat status;
  if (fstat(file.fd.get(), &status) != 0) return ErrnoStatus(errno, absl::StrCat("stat ", path));
  file.size_bytes = static_cast<uint64_t>(status.st_size);
  return file;
}

absl::StatusOr<LogFile> OpenCacheFile(const std::string& path, uint64_t size_bytes,
                                      absl::Duration wait) {
  LogFile file;
  ASSIGN_OR_RETURN(file.fd, OpenLocked(path, O_CREAT, wait));
  if (ftruncate(file.fd.get(), static_cast<off_t>(size_bytes)) != 0) {
    return ErrnoStatus(errno, absl::StrCat("resize ", path));
  }
  file.size_bytes = size_bytes;
  return file;
}

}  // namespace diskd::object
