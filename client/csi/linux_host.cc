// SPDX-License-Identifier: Apache-2.0
#include "client/csi/linux_host.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "base/errno_status.h"
#include "base/fd.h"
#include "base/status_macros.h"
#include "client/csi/command.h"
#include "client/csi/signature.h"
#include "client/csi/unmount.h"

namespace diskd::csi {
namespace {

constexpr absl::Duration kMkfsTimeout = absl::Minutes(5);
constexpr absl::Duration kGrowTimeout = absl::Minutes(5);
constexpr mode_t kDirectoryMode = 0750;
constexpr mode_t kFileMode = 0640;

// mountinfo writes space, tab, newline and backslash as octal numbers.
std::string Unescape(absl::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      result.push_back(static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                                         (text[i + 3] - '0')));
      i += 3;
    } else {
      result.push_back(text[i]);
    }
  }
  return result;
}

bool HasOption(absl::string_view options, absl::string_view option) {
  for (absl::string_view one : absl::StrSplit(options, ',')) {
    if (one == option) return true;
  }
  return false;
}

// Read-only before it has a place: whenever the plugin is killed, the target has no mount, or the
// one that was asked for. The errno; ENOSYS: Linux before 5.12.
int BindReadOnlyAtOnce(const std::string& source, const std::string& target) {
  const Fd tree(open_tree(AT_FDCWD, source.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  if (!tree.valid()) return errno;
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_RDONLY;
  if (mount_setattr(tree.get(), "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) != 0 ||
      move_mount(tree.get(), "", AT_FDCWD, target.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0) {
    return errno;
  }
  return 0;
}

absl::StatusOr<Fd> OpenBlockDevice(const std::string& path) {
  Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) return ErrnoStatus(errno, absl::StrCat("open ", path));
  struct stat info;
  if (fstat(fd.get(), &info) != 0) return ErrnoStatus(errno, absl::StrCat("stat ", path));
  if (!S_ISBLK(info.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat(path, " is not a block device"));
  }
  return fd;
}

}  // namespace

std::optional<MountEntry> ParseMountInfoLine(absl::string_view line) {
  // id parent major:minor root mount-point options [tags...] - fs-type source super-options
  const std::vector<absl::string_view> parts = absl::StrSplit(line, ' ');
  size_t dash = 6;
  while (dash < parts.size() && parts[dash] != "-") ++dash;
  if (parts.size() < dash + 4) return std::nullopt;
  const std::vector<absl::string_view> numbers = absl::StrSplit(parts[2], ':');
  MountEntry entry;
  if (numbers.size() != 2 || !absl::SimpleAtoi(numbers[0], &entry.device.major) ||
      !absl::SimpleAtoi(numbers[1], &entry.device.minor)) {
    return std::nullopt;
  }
  entry.root = Unescape(parts[3]);
  entry.mount_point = Unescape(parts[4]);
  entry.fs_type = std::string(parts[dash + 1]);
  entry.read_only = HasOption(parts[5], "ro") || HasOption(parts[dash + 3], "ro");
  return entry;
}

absl::StatusOr<std::vector<MountEntry>> LinuxHost::Mounts() {
  std::ifstream file("/proc/self/mountinfo");
  std::vector<MountEntry> entries;
  for (std::string line; std::getline(file, line);) {
    std::optional<MountEntry> entry = ParseMountInfoLine(line);
    if (!entry) {
      return absl::InternalError(absl::StrCat("/proc/self/mountinfo has \"", line, "\""));
    }
    entries.push_back(*std::move(entry));
  }
  if (entries.empty()) return absl::InternalError("/proc/self/mountinfo can't be read");
  return entries;
}

absl::Status LinuxHost::Mount(const std::string& device, const std::string& target,
                              const std::string& fs_type, const MountOptions& options) {
  if (mount(device.c_str(), target.c_str(), fs_type.c_str(), options.flags, options.data.c_str()) !=
      0) {
    return ErrnoStatus(errno, absl::StrCat("mount ", device, " (", fs_type, ") on ", target));
  }
  return absl::OkStatus();
}

absl::Status LinuxHost::BindMount(const std::string& source, const std::string& target,
                                  bool read_only) {
  const std::string what = absl::StrCat("bind mount ", source, " on ", target);
  if (read_only) {
    const int error = BindReadOnlyAtOnce(source, target);
    if (error == 0) return absl::OkStatus();
    if (error != ENOSYS) return ErrnoStatus(error, absl::StrCat(what, " read-only"));
  }
  if (mount(source.c_str(), target.c_str(), nullptr, MS_BIND, nullptr) != 0) {
    return ErrnoStatus(errno, what);
  }
  if (!read_only) return absl::OkStatus();
  // A remount replaces all flags of the mount: keep those it has.
  struct statvfs info;
  unsigned long flags = MS_REMOUNT | MS_BIND | MS_RDONLY;
  if (statvfs(target.c_str(), &info) == 0) {
    if (info.f_flag & ST_NOSUID) flags |= MS_NOSUID;
    if (info.f_flag & ST_NODEV) flags |= MS_NODEV;
    if (info.f_flag & ST_NOEXEC) flags |= MS_NOEXEC;
    if (info.f_flag & ST_NOATIME) flags |= MS_NOATIME;
    if (info.f_flag & ST_NODIRATIME) flags |= MS_NODIRATIME;
    if (info.f_flag & ST_RELATIME) flags |= MS_RELATIME;
    if (mount(nullptr, target.c_str(), nullptr, flags, nullptr) == 0) return absl::OkStatus();
  }
  const absl::Status status = ErrnoStatus(errno, absl::StrCat(what, " read-only"));
  umount2(target.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
  return status;
}

absl::Status LinuxHost::Unmount(const std::string& target) {
  return UnmountWithin(target, [](const std::string& path, int flags) {
    return umount2(path.c_str(), flags) == 0 ? 0 : errno;
  });
}

absl::StatusOr<std::optional<std::string>> LinuxHost::ProbeSignature(const std::string& device) {
  ASSIGN_OR_RETURN(const Fd fd, OpenBlockDevice(device));
  return SignatureOn(fd.get(), device);
}

absl::Status LinuxHost::MakeFilesystem(const std::string& device, const std::string& fs_type,
                                       bool overwrite) {
  if (fs_type == "xfs") {
    std::vector<std::string> command = {"mkfs.xfs", "-q"};
    if (overwrite) command.push_back("-f");
    command.push_back(device);
    return RunCommand(command, kMkfsTimeout);
  }
  return RunCommand({"mkfs.ext4", "-q", "-F", "-m", "0", device}, kMkfsTimeout);
}

absl::Status LinuxHost::GrowFilesystem(const std::string& device, const std::string& mount_point,
                                       const std::string& fs_type) {
  if (fs_type == "xfs") return RunCommand({"xfs_growfs", "-d", mount_point}, kGrowTimeout);
  return RunCommand({"resize2fs", device}, kGrowTimeout);
}

absl::StatusOr<DeviceNumber> LinuxHost::BlockDeviceNumber(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return ErrnoStatus(errno, absl::StrCat("stat ", path));
  if (!S_ISBLK(info.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat(path, " is not a block device"));
  }
  return DeviceNumber{major(info.st_rdev), minor(info.st_rdev)};
}

absl::StatusOr<uint64_t> LinuxHost::BlockDeviceSize(const std::string& path) {
  ASSIGN_OR_RETURN(const Fd fd, OpenBlockDevice(path));
  uint64_t bytes = 0;
  if (ioctl(fd.get(), BLKGETSIZE64, &bytes) != 0) {
    return ErrnoStatus(errno, absl::StrCat("size of ", path));
  }
  return bytes;
}

absl::StatusOr<Usage> LinuxHost::FilesystemUsage(const std::string& path) {
  struct statvfs info;
  if (statvfs(path.c_str(), &info) != 0) return ErrnoStatus(errno, absl::StrCat("statvfs ", path));
  Usage usage;
  usage.total_bytes = info.f_blocks * info.f_frsize;
  usage.available_bytes = info.f_bavail * info.f_frsize;
  usage.used_bytes = (info.f_blocks - info.f_bfree) * info.f_frsize;
  usage.total_inodes = info.f_files;
  usage.available_inodes = info.f_favail;
  usage.used_inodes = info.f_files - info.f_ffree;
  return usage;
}

absl::StatusOr<PathKind> LinuxHost::KindOf(const std::string& path) {
  struct stat info;
  if (lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return PathKind::kMissing;
    return ErrnoStatus(errno, absl::StrCat("stat ", path));
  }
  if (S_ISDIR(info.st_mode)) return PathKind::kDirectory;
  return S_ISREG(info.st_mode) ? PathKind::kFile : PathKind::kOther;
}

absl::Status LinuxHost::MakeDirectory(const std::string& path) {
  if (mkdir(path.c_str(), kDirectoryMode) == 0 || errno == EEXIST) return absl::OkStatus();
  return ErrnoStatus(errno, absl::StrCat("make directory ", path));
}

absl::Status LinuxHost::MakeFile(const std::string& path) {
  const Fd fd(open(path.c_str(), O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_RDONLY, kFileMode));
  if (fd.valid()) return absl::OkStatus();
  return ErrnoStatus(errno, absl::StrCat("make file ", path));
}

absl::Status LinuxHost::RemoveEmpty(const std::string& path) {
  struct stat info;
  if (lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return absl::OkStatus();
    return ErrnoStatus(errno, absl::StrCat("stat ", path));
  }
  const bool directory = S_ISDIR(info.st_mode);
  const bool empty_file = S_ISREG(info.st_mode) && info.st_size == 0;
  if (!directory && !empty_file) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " is not an empty file or directory; it is left alone"));
  }
  if ((directory ? rmdir(path.c_str()) : unlink(path.c_str())) == 0 || errno == ENOENT) {
    return absl::OkStatus();
  }
  if (errno == ENOTEMPTY) {
    return absl::FailedPreconditionError(absl::StrCat(path, " is not empty; it is left alone"));
  }
  return ErrnoStatus(errno, absl::StrCat("remove ", path));
}

}  // namespace diskd::csi
