// SPDX-License-Identifier: Apache-2.0
#include "drivers/file/provision.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "drivers/file/backing.h"

namespace diskd::file_driver {
namespace {

std::string Parameter(const sdk::VolumeConfig& config, const std::string& name,
                      const std::string& fallback) {
  const auto found = config.parameters.find(name);
  return found == config.parameters.end() ? fallback : found->second;
}

absl::StatusOr<bool> Choice(const sdk::VolumeConfig& config, const std::string& name,
                            const std::string& no, const std::string& yes) {
  const std::string value = Parameter(config, name, no);
  if (value == no) return false;
  if (value == yes) return true;
  return absl::InvalidArgumentError(absl::StrCat("volume ", config.volume_id, ": ", name, "=",
                                                 value, " is neither ", no, " nor ", yes));
}

std::string DirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string RecordPath(const sdk::VolumeConfig& config) {
  return absl::StrCat(config.state_dir, "/file-driver.made");
}

// What tells a file from every other: an inode number alone is given out again. 0.0 where the file
// system keeps no time of birth.
std::string IdentityOf(int dir_fd, const char* path, int flags) {
  struct statx status;
  if (statx(dir_fd, path, flags, STATX_INO | STATX_BTIME, &status) != 0) return "";
  const bool born = (status.stx_mask & STATX_BTIME) != 0;
  return absl::StrCat(status.stx_ino, " ", born ? status.stx_btime.tv_sec : 0, ".",
                      born ? status.stx_btime.tv_nsec : 0);
}

std::string IdentityOf(const std::string& path) {
  return IdentityOf(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW);
}

// Of the file this volume has made; empty: none.
std::string RecordedIdentity(const sdk::VolumeConfig& config) {
  std::ifstream in(RecordPath(config));
  std::string identity;
  std::getline(in, identity);
  return identity;
}

absl::Status SyncDirectory(const std::string& path) {
  const Fd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid() || fsync(fd.get()) != 0) {
    return ErrnoStatus(errno, absl::StrCat("sync directory ", path));
  }
  return absl::OkStatus();
}

absl::Status RecordIdentity(const sdk::VolumeConfig& config, const std::string& identity) {
  const std::string path = RecordPath(config);
  const std::string fresh = path + ".new";
  const std::string text = absl::StrCat(identity, "\n");
  const Fd fd(open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd.valid() ||
      write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
      fsync(fd.get()) != 0 || rename(fresh.c_str(), path.c_str()) != 0) {
    return ErrnoStatus(errno, absl::StrCat("write ", path));
  }
  return SyncDirectory(config.state_dir);
}

absl::Status Reserve(int fd, const Place& place, const sdk::VolumeConfig& config) {
  const off_t size = static_cast<off_t>(config.size_bytes);
  if (ftruncate(fd, size) != 0) {
    return ErrnoStatus(errno, absl::StrCat("set the size of ", place.path, " to ", size));
  }
  if (place.preallocate && fallocate(fd, 0, 0, size) != 0) {
    if (errno == EOPNOTSUPP) {
      return absl::InvalidArgumentError(
          absl::StrCat("volume ", config.volume_id, ": the file system of ", place.path,
                       " can't preallocate: leave allocate=full out"));
    }
    return ErrnoStatus(errno, absl::StrCat("volume ", config.volume_id, ": reserve ", size,
                                           " bytes for ", place.path));
  }
  if (fsync(fd) != 0) return ErrnoStatus(errno, absl::StrCat("sync ", place.path));
  return absl::OkStatus();
}

// Where the file is made, a name of the volume's own; it gets its final name when complete.
// Whatever stops this, the final name is either free or a whole disk.
std::string FreshPath(const Place& place, const sdk::VolumeConfig& config) {
  return absl::StrCat(place.path, ".new-", config.volume_id);
}

absl::Status Create(const Place& place, const sdk::VolumeConfig& config) {
  const std::string fresh = FreshPath(place, config);
  const Fd fd(open(fresh.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.valid()) return ErrnoStatus(errno, absl::StrCat("create ", fresh));
  const auto remove = absl::MakeCleanup([&] { unlink(fresh.c_str()); });
  RETURN_IF_ERROR(Reserve(fd.get(), place, config));
  const std::string identity = IdentityOf(fd.get(), "", AT_EMPTY_PATH);
  if (identity.empty()) return ErrnoStatus(errno, absl::StrCat("stat ", fresh));
  RETURN_IF_ERROR(RecordIdentity(config, identity));
  if (link(fresh.c_str(), place.path.c_str()) != 0) {
    return ErrnoStatus(errno, absl::StrCat("name the disk ", place.path));
  }
  return SyncDirectory(DirectoryOf(place.path));
}

absl::Status CheckSize(const std::string& path, const sdk::VolumeConfig& config) {
  ASSIGN_OR_RETURN(const uint64_t size, SizeOf(path));
  if (size >= config.size_bytes) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("volume ", config.volume_id, ": ", path, " has ",
                                                 size, " bytes, fewer than the volume's ",
                                                 config.size_bytes));
}

}  // namespace

absl::StatusOr<Place> PlaceOf(const sdk::VolumeConfig& config) {
  Place place;
  const std::string path = Parameter(config, "path", "");
  const std::string dir = Parameter(config, "dir", "");
  if (!path.empty() && !dir.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "volume ", config.volume_id, ": path and dir are both given: leave one of them out"));
  }
  if (!path.empty()) {
    place.path = path;
  } else if (!dir.empty()) {
    place.path = absl::StrCat(dir, "/diskd-", config.volume_id, ".img");
  } else {
    place.path = absl::StrCat(config.state_dir, "/disk.img");
  }
  if (place.path[0] != '/' || absl::EndsWith(place.path, "/")) {
    return absl::InvalidArgumentError(absl::StrCat("volume ", config.volume_id, ": \"", place.path,
                                                   "\" is not the absolute path of a file"));
  }
  ASSIGN_OR_RETURN(place.preallocate, Choice(config, "allocate", "thin", "full"));
  ASSIGN_OR_RETURN(place.use_existing, Choice(config, "existing", "refuse", "use"));
  if (place.use_existing && path.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("volume ", config.volume_id, ": existing=use needs path=FILE"));
  }
  return place;
}

absl::Status Provision(const sdk::VolumeConfig& config) {
  ASSIGN_OR_RETURN(const Place place, PlaceOf(config));
  const std::string dir = DirectoryOf(place.path);
  struct stat status;
  if (stat(dir.c_str(), &status) != 0 || !S_ISDIR(status.st_mode)) {
    return absl::NotFoundError(absl::StrCat("volume ", config.volume_id, ": directory ", dir,
                                            " does not exist: create it first"));
  }
  if (stat(place.path.c_str(), &status) != 0) {
    if (errno != ENOENT) return ErrnoStatus(errno, absl::StrCat("stat ", place.path));
    if (place.use_existing) {
      return absl::NotFoundError(absl::StrCat("volume ", config.volume_id, ": ", place.path,
                                              " does not exist, and existing=use was given"));
    }
    return Create(place, config);
  }
  const std::string made = RecordedIdentity(config);
  const bool ours = S_ISREG(status.st_mode) && !made.empty() && made == IdentityOf(place.path);
  if (!S_ISBLK(status.st_mode) && !ours && !place.use_existing) {
    return absl::AlreadyExistsError(
        absl::StrCat("volume ", config.volume_id, ": ", place.path,
                     " exists and was not made by it: choose another path, remove it, or keep its "
                     "data with existing=use"));
  }
  return CheckSize(place.path, config);
}

absl::Status SetSize(int fd, const Place& place, const sdk::VolumeConfig& config,
                     uint64_t size_bytes) {
  struct stat status;
  if (fstat(fd, &status) != 0) return ErrnoStatus(errno, absl::StrCat("stat ", place.path));
  sdk::VolumeConfig changed = config;
  changed.size_bytes = size_bytes;
  if (S_ISREG(status.st_mode)) {
    const auto present = static_cast<uint64_t>(status.st_size);
    // What is behind the volume's end is not the volume's.
    if (present > size_bytes && present != config.size_bytes) return absl::OkStatus();
    return Reserve(fd, place, changed);
  }
  // Not by name: a process that serves may not open it any more.
  const off_t end = lseek(fd, 0, SEEK_END);
  if (end < 0) return ErrnoStatus(errno, absl::StrCat("find the end of ", place.path));
  if (static_cast<uint64_t>(end) >= size_bytes) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("volume ", config.volume_id, ": the block device ", place.path, " has ", end,
                   " bytes, fewer than ", size_bytes, ": make it larger first"));
}

absl::Status Deprovision(const sdk::VolumeConfig& config) {
  ASSIGN_OR_RETURN(const Place place, PlaceOf(config));
  // Left by a crash while it was being made.
  unlink(FreshPath(place, config).c_str());
  const std::string made = RecordedIdentity(config);
  if (made.empty()) return absl::OkStatus();
  struct stat status;
  if (lstat(place.path.c_str(), &status) == 0) {
    if (S_ISREG(status.st_mode) && IdentityOf(place.path) == made) {
      if (unlink(place.path.c_str()) != 0) {
        return ErrnoStatus(errno, absl::StrCat("remove ", place.path));
      }
      RETURN_IF_ERROR(SyncDirectory(DirectoryOf(place.path)));
    } else {
      SPDLOG_WARN("volume {}: {} is not the file it made; it stays", config.volume_id, place.path);
    }
  } else if (errno != ENOENT && errno != ENOTDIR) {
    return ErrnoStatus(errno, absl::StrCat("stat ", place.path));
  }
  if (unlink(RecordPath(config).c_str()) != 0 && errno != ENOENT) {
    return ErrnoStatus(errno, absl::StrCat("remove ", RecordPath(config)));
  }
  return absl::OkStatus();
}

}  // namespace diskd::file_driver
