// SPDX-License-Identifier: Apache-2.0
#include "drivers/memory/memory_driver.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/fd.h"
#include "base/status_macros.h"
#include "drivers/memory/page_set.h"
#include "drivers/sdk/features.h"

namespace diskd::memory_driver {
namespace {

constexpr char kDefaultDir[] = "/dev/shm";
constexpr uint32_t kDefaultBlock = 512;
// One bit per page is kept in memory: 32 MiB for this size.
constexpr uint64_t kMaxSize = uint64_t{1} << 40;

absl::Status CheckLimit(const sdk::VolumeConfig& config, uint64_t size_bytes) {
  if (size_bytes <= kMaxSize) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("volume ", config.volume_id, ": a RAM disk of ",
                                                 size_bytes, " bytes; at most ", kMaxSize,
                                                 " are possible"));
}

absl::Status TakeMemory(const sdk::VolumeConfig& config, const Fd& file, uint64_t size_bytes) {
  int result;
  do {
    result = fallocate(file.get(), 0, 0, static_cast<off_t>(size_bytes));
  } while (result != 0 && errno == EINTR);
  if (result == 0) return absl::OkStatus();
  return ErrnoStatus(errno, absl::StrCat("volume ", config.volume_id, ": take ", size_bytes,
                                         " bytes of memory (locked=true)"));
}

absl::Status SetSize(const sdk::VolumeConfig& config, const Fd& file, bool locked,
                     uint64_t size_bytes) {
  RETURN_IF_ERROR(CheckLimit(config, size_bytes));
  if (ftruncate(file.get(), static_cast<off_t>(size_bytes)) != 0) {
    return ErrnoStatus(errno, absl::StrCat("volume ", config.volume_id, ": set its size to ",
                                           size_bytes, " bytes"));
  }
  return locked ? TakeMemory(config, file, size_bytes) : absl::OkStatus();
}

// Locked: every page is there and stays, so that the disk can take swap and what memory pressure
// writes back. Nothing is ever allocated for I/O, and nothing given back.
//
// Pages that are there are copied to and from the mapping; all others go through the file, which
// can say that the tmpfs is full, and reads holes without filling them.
class MemoryDriver final : public sdk::SyncDriver, public sdk::VolumeFeatures {
 public:
  MemoryDriver(sdk::VolumeConfig config, Fd file, std::byte* memory, const sdk::Geometry& geometry,
               bool locked)
      : config_(std::move(config)),
        file_(std::move(file)),
        memory_(memory),
        geometry_(geometry),
        locked_(locked),
        pages_(geometry.size_bytes) {
    if (locked) {
      pages_.Add(0, geometry.size_bytes);
    } else {
      FindPages();
    }
  }
  ~MemoryDriver() override { munmap(memory_, geometry_.size_bytes); }

  sdk::Geometry geometry() const override { return geometry_; }
  const Fd& file() const { return file_; }

  int Read(uint64_t offset, absl::Span<std::byte> into) override {
    if (!pages_.ContainsOnePage(offset, into.size())) return ReadPages(offset, into);
    memcpy(into.data(), memory_ + offset, into.size());
    return 0;
  }

  int Write(uint64_t offset, absl::Span<const std::byte> from, bool) override {
    if (!pages_.ContainsOnePage(offset, from.size())) return WritePages(offset, from);
    memcpy(memory_ + offset, from.data(), from.size());
    return 0;
  }

  // The other process has filled and emptied pages since the open.
  absl::Status TakeOver() override {
    pages_.RemoveWhole(0, geometry_.size_bytes);
    FindPages();
    return absl::OkStatus();
  }

  sdk::VolumeFeatures* features() override { return this; }
  absl::Status Resize(uint64_t size_bytes) override {
    if (size_bytes < geometry_.size_bytes) {
      return absl::FailedPreconditionError(
          "a volume that is served can't be made smaller: detach it first");
    }
    return SetSize(config_, file_, locked_, size_bytes);
  }

  int Discard(uint64_t offset, uint64_t length) override { return Punch(offset, length); }
  int WriteZeroes(uint64_t offset, uint64_t length) override { return Punch(offset, length); }

 private:
  // Apart from Read and Write, which are short without.
  [[gnu::noinline]] int ReadPages(uint64_t offset, absl::Span<std::byte> into) {
    if (pages_.Contains(offset, into.size())) {
      memcpy(into.data(), memory_ + offset, into.size());
      return 0;
    }
    for (size_t done = 0; done < into.size();) {
      const ssize_t n = pread(file_.get(), into.data() + done, into.size() - done, offset + done);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return n < 0 ? errno : EIO;  // 0: somebody has cut the file
      done += n;
    }
    return 0;
  }

  [[gnu::noinline]] int WritePages(uint64_t offset, absl::Span<const std::byte> from) {
    if (pages_.Contains(offset, from.size())) {
      memcpy(memory_ + offset, from.data(), from.size());
      return 0;
    }
    for (size_t done = 0; done < from.size();) {
      const ssize_t n = pwrite(file_.get(), from.data() + done, from.size() - done, offset + done);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return errno;
      done += n;
    }
    MapPages(offset, from.size());
    pages_.Add(offset, from.size());
    return 0;
  }

  // Page table entries now, all at once, instead of a fault at each page's next use. Kernels before
  // 5.14 can't; then it is the faults.
  void MapPages(uint64_t offset, uint64_t length) {
    const uint64_t first = offset / kPageBytes * kPageBytes;
    madvise(memory_ + first, offset + length - first, MADV_POPULATE_WRITE);
  }

  int Punch(uint64_t offset, uint64_t length) {
    if (locked_) {
      memset(memory_ + offset, 0, length);
      return 0;
    }
    // First, so that no request that comes later copies to a page that is about to go.
    pages_.RemoveWhole(offset, length);
    int result;
    do {
      result = fallocate(file_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                         static_cast<off_t>(offset), static_cast<off_t>(length));
    } while (result != 0 && errno == EINTR);
    return result == 0 ? 0 : errno;
  }

  void FindPages() {
    const auto size = static_cast<off_t>(geometry_.size_bytes);
    off_t end = 0;
    for (;;) {
      const off_t data = lseek(file_.get(), end, SEEK_DATA);
      if (data < 0 || data >= size) return;  // more: it is being grown
      end = std::min(lseek(file_.get(), data, SEEK_HOLE), size);
      if (end <= data) return;
      pages_.Add(data, end - data);
    }
  }

  const sdk::VolumeConfig config_;
  const Fd file_;
  std::byte* const memory_;
  const sdk::Geometry geometry_;
  const bool locked_;
  PageSet pages_;
};

absl::StatusOr<bool> WantsLocked(const sdk::VolumeConfig& config) {
  const auto parameter = config.parameters.find("locked");
  if (parameter == config.parameters.end() || parameter->second == "false") return false;
  if (parameter->second == "true") return true;
  return absl::InvalidArgumentError(absl::StrCat("volume ", config.volume_id,
                                                 ": parameter locked is \"", parameter->second,
                                                 "\"; use true or false"));
}

// Takes all memory at once and for good.
absl::Status LockAll(const sdk::VolumeConfig& config, const Fd& file, void* memory) {
  RETURN_IF_ERROR(TakeMemory(config, file, config.size_bytes));
  if (mlock(memory, config.size_bytes) != 0) {
    return ErrnoStatus(errno,
                       absl::StrCat("volume ", config.volume_id, ": lock ", config.size_bytes,
                                    " bytes of memory (locked=true needs CAP_IPC_LOCK or a "
                                    "limit of locked memory above that)"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> BackingPath(const sdk::VolumeConfig& config) {
  const auto parameter = config.parameters.find("dir");
  const std::string dir = parameter == config.parameters.end() ? kDefaultDir : parameter->second;
  struct statfs status;
  if (statfs(dir.c_str(), &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) {
      return absl::NotFoundError(absl::StrCat("volume ", config.volume_id, ": directory ", dir,
                                              " (parameter dir) does not exist: create it or "
                                              "mount a tmpfs there"));
    }
    return ErrnoStatus(errno, absl::StrCat("volume ", config.volume_id, ": statfs ", dir));
  }
  if (status.f_type != TMPFS_MAGIC) {
    return absl::InvalidArgumentError(
        absl::StrCat("volume ", config.volume_id, ": directory ", dir,
                     " (parameter dir) is not on a tmpfs: use the driver `file` for disks"));
  }
  return absl::StrCat(dir, "/diskd-", config.volume_id);
}

// The directory is open to everybody: a file that another user has put under our name, or may
// write to, is not the volume's memory.
absl::Status CheckOwn(const Fd& file, const std::string& path, struct stat& status) {
  if (fstat(file.get(), &status) != 0) return ErrnoStatus(errno, absl::StrCat("stat ", path));
  if (!S_ISREG(status.st_mode) || status.st_uid != geteuid() || (status.st_mode & 077) != 0) {
    return absl::PermissionDeniedError(
        absl::StrCat(path, " exists, but belongs to another user or is open to others (mode ",
                     absl::Hex(status.st_mode), "): remove it"));
  }
  return absl::OkStatus();
}

absl::Status Provision(const sdk::VolumeConfig& config) {
  RETURN_IF_ERROR(CheckLimit(config, config.size_bytes));
  ASSIGN_OR_RETURN(const std::string path, BackingPath(config));
  RETURN_IF_ERROR(WantsLocked(config).status());
  // The volume's id is in the name, so a file that exists is this volume's, from before a crash.
  const Fd file(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file.valid()) return ErrnoStatus(errno, absl::StrCat("create ", path));
  struct stat status;
  RETURN_IF_ERROR(CheckOwn(file, path, status));
  if (ftruncate(file.get(), static_cast<off_t>(config.size_bytes)) != 0) {
    return ErrnoStatus(errno, absl::StrCat("set the size of ", path));
  }
  return absl::OkStatus();
}

absl::Status Deprovision(const sdk::VolumeConfig& config) {
  const auto path = BackingPath(config);
  // Where there is no memory (any more: after a reboot its tmpfs may not be mounted), there is
  // nothing of the volume.
  if (absl::IsNotFound(path.status()) || absl::IsInvalidArgument(path.status())) {
    return absl::OkStatus();
  }
  if (!path.ok()) return path.status();
  if (unlink(path->c_str()) != 0 && errno != ENOENT) {
    return ErrnoStatus(errno, absl::StrCat("remove ", *path));
  }
  return absl::OkStatus();
}

absl::StatusOr<Fd> OpenMemory(const sdk::VolumeConfig& config, uint64_t* size_bytes) {
  ASSIGN_OR_RETURN(const std::string path, BackingPath(config));
  Fd file(open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  if (!file.valid() && errno == ENOENT) {
    return absl::NotFoundError(
        absl::StrCat("volume ", config.volume_id, ": its memory ", path,
                     " is gone: a RAM disk does not outlive a reboot; delete the volume"));
  }
  if (!file.valid()) return ErrnoStatus(errno, absl::StrCat("open ", path));
  struct stat status;
  RETURN_IF_ERROR(CheckOwn(file, path, status));
  *size_bytes = static_cast<uint64_t>(status.st_size);
  return file;
}

absl::StatusOr<std::unique_ptr<sdk::Driver>> Open(const sdk::VolumeConfig& config) {
  uint64_t size_bytes = 0;
  ASSIGN_OR_RETURN(Fd file, OpenMemory(config, &size_bytes));
  const bool growing = config.successor && size_bytes > config.size_bytes;
  if (size_bytes != config.size_bytes && !growing) {
    return absl::FailedPreconditionError(
        absl::StrCat("volume ", config.volume_id, ": its memory has ", size_bytes, " bytes, not ",
                     config.size_bytes, ": something else has changed it"));
  }
  sdk::Geometry geometry;
  geometry.size_bytes = config.size_bytes;
  geometry.logical_block_bytes =
      config.logical_block_bytes == 0 ? kDefaultBlock : config.logical_block_bytes;
  geometry.read_only = config.read_only;
  ASSIGN_OR_RETURN(const bool locked, WantsLocked(config));
  geometry.discard = !locked;
  geometry.write_zeroes = true;
  geometry.discard_granularity_bytes = kPageBytes;
  geometry.merging = false;
  void* memory = mmap(nullptr, config.size_bytes, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_NORESERVE, file.get(), 0);
  if (memory == MAP_FAILED)
    return ErrnoStatus(errno, absl::StrCat("map the memory of volume ", config.volume_id));
  // Owns file and mapping from here on.
  auto driver = std::make_unique<MemoryDriver>(config, std::move(file),
                                               static_cast<std::byte*>(memory), geometry, locked);
  if (locked) RETURN_IF_ERROR(LockAll(config, driver->file(), memory));
  return driver;
}

// A volume that nobody serves.
class RestingMemory final : public sdk::VolumeFeatures {
 public:
  explicit RestingMemory(sdk::VolumeConfig config) : config_(std::move(config)) {}

  absl::Status Resize(uint64_t size_bytes) override {
    uint64_t present = 0;
    ASSIGN_OR_RETURN(const Fd file, OpenMemory(config_, &present));
    ASSIGN_OR_RETURN(const bool locked, WantsLocked(config_));
    return SetSize(config_, file, locked, size_bytes);
  }

 private:
  const sdk::VolumeConfig config_;
};

absl::StatusOr<std::unique_ptr<sdk::VolumeFeatures>> AtRest(const sdk::VolumeConfig& config) {
  return std::make_unique<RestingMemory>(config);
}

}  // namespace

const sdk::DriverDefinition& Definition() {
  static const sdk::DriverDefinition definition{
      .name = "memory",
      .description = "Sparse RAM disk; survives its driver, not a reboot",
      .parameters = {{"dir", "tmpfs directory that holds the memory (default /dev/shm)"},
                     {"locked",
                      "true: take and lock all memory at once, for swap on this disk (default "
                      "false)"}},
      .provision = Provision,
      .deprovision = Deprovision,
      .open = Open,
      .at_rest = AtRest,
  };
  return definition;
}

}  // namespace diskd::memory_driver
