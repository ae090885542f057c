// SPDX-License-Identifier: Apache-2.0
#include "drivers/sdk/device/fuse_device.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/errno_status.h"
#include "base/status_macros.h"
#include "drivers/sdk/device/fuse_abi.h"
#include "drivers/sdk/device/fuse_handshake.h"

namespace diskd::sdk {
namespace {

constexpr char kFusePath[] = "/dev/fuse";
constexpr char kMountSource[] = "diskd";
constexpr int kInitTimeoutMs = 10'000;

// mountinfo writes blanks and the like as \ooo.
std::string Unescape(absl::string_view field) {
  std::string out;
  for (size_t i = 0; i < field.size(); ++i) {
    int value = 0;
    if (field[i] == '\\' && i + 3 < field.size()) {
      for (int k = 1; k <= 3; ++k) value = value * 8 + (field[i + k] - '0');
      out.push_back(static_cast<char>(value));
      i += 3;
    } else {
      out.push_back(field[i]);
    }
  }
  return out;
}

// Resolves everything but the last component: that one could wait for a dead driver.
absl::StatusOr<std::string> Canonical(const std::string& mount_point) {
  std::string path = mount_point;
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos || path == "/") {
    return absl::InvalidArgumentError(
        absl::StrCat("mount point \"", mount_point, "\" is not an absolute path below /"));
  }
  char resolved[PATH_MAX];
  const std::string parent = slash == 0 ? "/" : path.substr(0, slash);
  if (realpath(parent.c_str(), resolved) == nullptr) {
    return ErrnoStatus(errno, absl::StrCat("resolve ", parent));
  }
  const std::string prefix = strcmp(resolved, "/") == 0 ? "" : resolved;
  return prefix + path.substr(slash);
}

absl::StatusOr<Fd> OpenFuse(int flags) {
  Fd fd(open(kFusePath, O_RDWR | O_CLOEXEC | flags));
  if (fd.valid()) return fd;
  const int error = errno;
  if (error == ENOENT || error == ENODEV || error == ENXIO) {
    return absl::FailedPreconditionError(absl::StrCat(
        kFusePath, " is missing: load it with `modprobe fuse`, or give the container the device"));
  }
  if (error == EPERM || error == EACCES) {
    return absl::FailedPreconditionError(absl::StrCat(
        kFusePath, " may not be opened: run as root and allow device 10:229 in the container"));
  }
  return ErrnoStatus(error, absl::StrCat("open ", kFusePath));
}

// True: unanswered requests can be sent again.
absl::StatusOr<bool> AnswerInit(int fd, uint32_t max_io_bytes) {
  pollfd poll_fd{.fd = fd, .events = POLLIN, .revents = 0};
  const int ready = poll(&poll_fd, 1, kInitTimeoutMs);
  if (ready <= 0) return absl::DeadlineExceededError("the kernel sent no FUSE INIT request");
  alignas(fuse_in_header) char buffer[FUSE_MIN_READ_BUFFER];
  const ssize_t received = read(fd, buffer, sizeof(buffer));
  if (received < 0) return ErrnoStatus(errno, "read the FUSE INIT request");
  fuse_in_header header;
  // flags2 came with protocol 7.36; a shorter INIT has zeroes there.
  fuse_init_in init{};
  memcpy(&header, buffer, sizeof(header));
  if (received < static_cast<ssize_t>(sizeof(header)) || header.opcode != FUSE_INIT) {
    return absl::InternalError(
        absl::StrCat("the first FUSE request is ", header.opcode, ", not INIT (", FUSE_INIT, ")"));
  }
  memcpy(&init, buffer + sizeof(header),
         std::min(sizeof(init), static_cast<size_t>(received) - sizeof(header)));
  fuse_init_out out = FuseInitAnswer(init, max_io_bytes);
  if (init.major != FUSE_KERNEL_VERSION || (out.flags & FUSE_MAX_PAGES) == 0) {
    return absl::FailedPreconditionError(absl::StrCat("the kernel speaks FUSE ", init.major, ".",
                                                      init.minor, "; 7.28 (Linux 4.20) is needed"));
  }
  fuse_out_header reply{.len = sizeof(reply) + sizeof(out), .error = 0, .unique = header.unique};
  iovec parts[] = {{&reply, sizeof(reply)}, {&out, sizeof(out)}};
  if (writev(fd, parts, 2) < 0) return ErrnoStatus(errno, "answer the FUSE INIT request");
  return (static_cast<uint64_t>(out.flags2) << 32 & kFuseHasResend) != 0;
}

absl::StatusOr<Fd> Clone(int original) {
  ASSIGN_OR_RETURN(Fd fd, OpenFuse(0));
  uint32_t source = original;
  if (ioctl(fd.get(), FUSE_DEV_IOC_CLONE, &source) != 0) {
    return ErrnoStatus(errno, "clone the FUSE descriptor");
  }
  return fd;
}

}  // namespace

absl::StatusOr<FuseConnection> MountFuse(const std::string& mount_point, int descriptors,
                                         uint32_t logical_block_bytes) {
  ASSIGN_OR_RETURN(const bool mounted, IsFuseMounted(mount_point));
  if (mounted) {
    return absl::FailedPreconditionError(absl::StrCat(mount_point, " has a FUSE mount already"));
  }
  FuseConnection connection;
  ASSIGN_OR_RETURN(Fd fd, OpenFuse(0));
  const uint32_t max_io_bytes = FuseMaxIoBytes(logical_block_bytes, sysconf(_SC_PAGESIZE));
  const std::string options = FuseMountOptions(fd.get(), max_io_bytes);
  if (mount(kMountSource, mount_point.c_str(), "fuse", MS_NOSUID | MS_NODEV | MS_NOATIME,
            options.c_str()) != 0) {
    const int error = errno;
    if (error == EPERM || error == ENODEV) {
      return absl::FailedPreconditionError(
          absl::StrCat("FUSE can't be mounted on ", mount_point,
                       error == EPERM ? ": CAP_SYS_ADMIN is missing" : ": the kernel has no FUSE"));
    }
    return ErrnoStatus(error, absl::StrCat("mount FUSE on ", mount_point));
  }
  auto undo = absl::MakeCleanup([&] { umount2(mount_point.c_str(), MNT_FORCE | MNT_DETACH); });
  ASSIGN_OR_RETURN(connection.can_resend, AnswerInit(fd.get(), max_io_bytes));
  connection.fds.push_back(std::move(fd));
  while (static_cast<int>(connection.fds.size()) < descriptors) {
    ASSIGN_OR_RETURN(Fd clone, Clone(connection.fds[0].get()));
    connection.fds.push_back(std::move(clone));
  }
  std::move(undo).Cancel();
  return connection;
}

absl::Status AbortAndUnmountFuse(const std::string& mount_point) {
  ASSIGN_OR_RETURN(const bool mounted, IsFuseMounted(mount_point));
  if (!mounted) return absl::OkStatus();
  // MNT_FORCE makes FUSE abort the connection before anything is looked at.
  if (umount2(mount_point.c_str(), MNT_FORCE | MNT_DETACH) != 0 && errno != EINVAL) {
    return ErrnoStatus(errno, absl::StrCat("unmount ", mount_point));
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> IsFuseMounted(const std::string& mount_point) {
  const auto path = Canonical(mount_point);
  if (absl::IsNotFound(path.status())) return false;
  if (!path.ok()) return path.status();
  std::ifstream mounts("/proc/self/mountinfo");
  if (!mounts) return absl::InternalError("/proc/self/mountinfo can't be read: mount /proc");
  // 36 35 98:0 /root /mount/point options... - type source options
  for (std::string line; std::getline(mounts, line);) {
    const std::vector<absl::string_view> halves = absl::StrSplit(line, absl::MaxSplits(" - ", 1));
    const std::vector<absl::string_view> fields = absl::StrSplit(halves[0], ' ');
    if (halves.size() != 2 || fields.size() < 5) continue;
    const absl::string_view type = halves[1].substr(0, halves[1].find(' '));
    if (type == "fuse" && Unescape(fields[4]) == *path) return true;
  }
  return false;
}

}  // namespace diskd::sdk
