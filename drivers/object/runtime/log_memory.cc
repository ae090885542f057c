// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/runtime/log_memory.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/errno_status.h"
#include "base/log.h"
#include "base/status_macros.h"

namespace diskd::object {
namespace {

// A boot id, a blank, device and inode, and the line's end. Of one size, so that a full disk takes
// another one.
constexpr size_t kMarkBytes = 36 + 1 + 16 + 1 + 16 + 1;

std::string NoMark() { return std::string(kMarkBytes - 1, '-') + "\n"; }

size_t SizeOf(int fd) {
  struct stat status;
  return fstat(fd, &status) == 0 ? static_cast<size_t>(status.st_size) : 0;
}

absl::Status Unreadable(const char* call, const std::string& path) {
  return absl::UnavailableError(absl::StrCat(
      "the memory of the write log may have writes that are nowhere else, and it can't be found "
      "out: ",
      call, " ", path, ": ", strerror(errno)));
}

// What there is not stays closed.
absl::Status OpenIfThere(const std::string& path, Fd& fd) {
  if (fd.valid()) return absl::OkStatus();
  fd = Fd(open(path.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC));
  if (fd.valid() || errno == ENOENT || errno == ENOTDIR) return absl::OkStatus();
  return Unreadable("open", path);
}

bool IsLinked(int fd) {
  struct stat status;
  return fstat(fd, &status) == 0 && status.st_nlink > 0;
}

// `more`: bytes that are to be taken of it.
absl::Status CheckFileSystem(int fd, uint64_t more) {
  struct statfs system;
  if (fstatfs(fd, &system) != 0) return ErrnoStatus(errno, "statfs");
  if (system.f_type != TMPFS_MAGIC && system.f_type != RAMFS_MAGIC) {
    return absl::UnimplementedError("not on a file system in memory (tmpfs)");
  }
  const auto block = static_cast<uint64_t>(system.f_bsize);
  // ramfs has no limit, and a tmpfs may have none.
  if (system.f_blocks > 0 &&
      system.f_bavail * block < more + system.f_blocks * block / LogMemory::kFreePart) {
    return absl::ResourceExhaustedError(absl::StrCat("the file system in memory is too full for ",
                                                     more >> 10, " KiB: make it larger"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<LogMemory>> LogMemory::Open(Place place, size_t bytes, Lost lost) {
  std::unique_ptr<LogMemory> memory(new LogMemory(std::move(place), bytes));
  RETURN_IF_ERROR(memory->Acquire(lost));
  return memory;
}

absl::Status LogMemory::Acquire(Lost lost) {
  Unmap();
  ASSIGN_OR_RETURN(const bool kept, FindKept(lost));
  absl::Status status = kept ? Grow(SizeOf(fd_.get())) : Create();
  if (status.ok()) status = Map();
  if (status.ok()) status = WriteMark(Name());
  if (status.ok()) {
    missing_ = absl::OkStatus();
    return absl::OkStatus();
  }
  Unmap();
  status = absl::UnavailableError(
      absl::StrCat("the memory of the write log ", place_.path, ": ", status.message()));
  if (kept) return status;
  // Who goes on without any does not leave behind that there was some.
  if (mark_.valid()) {
    const absl::Status cleared = WriteMark(NoMark());
    if (!cleared.ok()) SPDLOG_WARN("{}", std::string(cleared.message()));
  }
  if (fd_.valid()) {
    (void)ftruncate(fd_.get(), 0);
    unlink(place_.path.c_str());
  }
  fd_ = Fd();
  missing_ = status;
  return absl::OkStatus();
}

// What the mark does not name does not count: it was dropped, or is of another boot, or others have
// gone on without it.
absl::StatusOr<bool> LogMemory::FindKept(Lost lost) {
  RETURN_IF_ERROR(OpenIfThere(place_.mark, mark_));
  ASSIGN_OR_RETURN(const std::string mark, ReadMark());
  if (!absl::StartsWith(mark, place_.boot_id)) return false;
  RETURN_IF_ERROR(OpenIfThere(place_.path, fd_));
  if (fd_.valid() && mark == Name() && SizeOf(fd_.get()) > 0) return true;
  const absl::Status gone = absl::DataLossError(
      absl::StrCat("the memory of the write log ", place_.path,
                   " is gone, though the machine was not restarted; it may have had writes that "
                   "were answered and not flushed. The agent's run directory must outlive its "
                   "container (a hostPath)"));
  if (lost == Lost::kRefuse) return gone;
  SPDLOG_WARN("{}", std::string(gone.message()));
  return false;
}

absl::Status LogMemory::Create() {
  constexpr int kFlags = O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC;
  if (!mark_.valid()) mark_ = Fd(open(place_.mark.c_str(), kFlags, 0600));
  if (!mark_.valid()) return ErrnoStatus(errno, absl::StrCat("create ", place_.mark));
  if (place_.path.empty()) return absl::UnimplementedError("the agent has named no place for it");
  Fd fd(open(place_.path.c_str(), kFlags, 0600));
  // A former user has no right to that, but may still have the file.
  const int error = errno;
  const bool may = fd.valid() || error == EACCES || error == EPERM;
  if (!may || (!fd.valid() && !IsLinked(fd_.get()))) return ErrnoStatus(error, "create");
  if (fd.valid()) fd_ = std::move(fd);
  if (ftruncate(fd_.get(), 0) != 0) return ErrnoStatus(errno, "truncate");
  RETURN_IF_ERROR(CheckFileSystem(fd_.get(), bytes_));
  return Grow(0);
}

absl::Status LogMemory::Grow(size_t from) {
  if (from >= bytes_) return absl::OkStatus();
  const auto bytes = static_cast<off_t>(bytes_);
  int result;
  do {
    result = fallocate(fd_.get(), 0, 0, bytes);
  } while (result != 0 && errno == EINTR);
  if (result == 0) return absl::OkStatus();
  // ramfs.
  if (errno == EOPNOTSUPP && ftruncate(fd_.get(), bytes) == 0) return absl::OkStatus();
  return ErrnoStatus(errno, absl::StrCat("take ", bytes_ >> 10, " KiB"));
}

absl::Status LogMemory::Map() {
  const size_t bytes = SizeOf(fd_.get());
  void* const memory =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd_.get(), 0);
  if (memory == MAP_FAILED) return ErrnoStatus(errno, "mmap");
  memory_ = {static_cast<std::byte*>(memory), bytes};
  // It must not be swapped out to the disk that needs it.
  if (mlock(memory, bytes) != 0) SPDLOG_DEBUG("{} is not locked: no CAP_IPC_LOCK", place_.path);
  return absl::OkStatus();
}

void LogMemory::Unmap() {
  if (!memory_.empty()) munmap(memory_.data(), memory_.size());
  memory_ = {};
}

absl::Status LogMemory::Drop() {
  Unmap();
  if (!fd_.valid()) return absl::OkStatus();
  RETURN_IF_ERROR(WriteMark(NoMark()));
  if (ftruncate(fd_.get(), 0) != 0) return ErrnoStatus(errno, absl::StrCat("drop ", place_.path));
  return absl::OkStatus();
}

std::string LogMemory::Name() const {
  struct stat status;
  if (fstat(fd_.get(), &status) != 0) return "";
  return absl::StrFormat("%s %016x:%016x\n", place_.boot_id, status.st_dev, status.st_ino);
}

absl::StatusOr<std::string> LogMemory::ReadMark() const {
  if (!mark_.valid()) return "";
  std::string mark(kMarkBytes, '\0');
  const ssize_t size = pread(mark_.get(), mark.data(), mark.size(), 0);
  if (size < 0) return Unreadable("read", place_.mark);
  mark.resize(static_cast<size_t>(size));
  return mark;
}

// Once it is said that there is memory, nobody must be able to overlook it; a power cut may take
// the mark as it takes the memory, an error of the disk must not.
absl::Status LogMemory::WriteMark(const std::string& text) {
  ASSIGN_OR_RETURN(const std::string mark, ReadMark());
  if (mark == text) return absl::OkStatus();
  const ssize_t written = pwrite(mark_.get(), text.data(), text.size(), 0);
  if (written == static_cast<ssize_t>(text.size()) && fdatasync(mark_.get()) == 0) {
    return absl::OkStatus();
  }
  const int error = written >= 0 && written < static_cast<ssize_t>(text.size()) ? ENOSPC : errno;
  return ErrnoStatus(error, absl::StrCat("write ", place_.mark));
}

}  // namespace diskd::object
