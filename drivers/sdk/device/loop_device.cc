// SPDX-License-Identifier: Apache-2.0
#include "drivers/sdk/device/loop_device.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <linux/major.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/errno_status.h"
#include "base/fd.h"
#include "base/status_macros.h"
#include "drivers/sdk/device/device_node.h"

namespace diskd::sdk {
namespace {

// Between LOOP_CTL_GET_FREE and LOOP_CONFIGURE another process can take the device.
constexpr int kAttachAttempts = 64;
// udev and blkid open a device for a moment after each change.
constexpr int kDetachAttempts = 10;
constexpr absl::Duration kDetachPause = absl::Milliseconds(20);

absl::StatusOr<Fd> OpenLoop(int number, int flags) {
  const std::string path = LoopPath(number);
  Fd fd(open(path.c_str(), flags | O_CLOEXEC));
  if (!fd.valid() && errno == ENOENT) {
    RETURN_IF_ERROR(EnsureDeviceNode(path, S_IFBLK, LOOP_MAJOR, number));
    fd = Fd(open(path.c_str(), flags | O_CLOEXEC));
  }
  if (!fd.valid()) return ErrnoStatus(errno, absl::StrCat("open ", path));
  return fd;
}

bool IsAttached(int number) { return LoopBackingFile(number).ok(); }

// LOOP_CLR_FD on a device that others hold open is accepted and only marks it for detaching by
// the last of them. Takes the mark back, so that a refused detach changes nothing.
absl::Status TakeBackDetach(int number) {
  const std::string path = LoopPath(number);
  ASSIGN_OR_RETURN(const Fd fd, OpenLoop(number, O_RDONLY));
  loop_info64 info{};
  if (ioctl(fd.get(), LOOP_GET_STATUS64, &info) != 0) {
    if (errno == ENXIO) return absl::OkStatus();  // the last opener has gone meanwhile
    return ErrnoStatus(errno, absl::StrCat("get the status of ", path));
  }
  info.lo_flags &= ~LO_FLAGS_AUTOCLEAR;
  if (ioctl(fd.get(), LOOP_SET_STATUS64, &info) != 0) {
    return ErrnoStatus(errno, absl::StrCat("cancel the detach of ", path));
  }
  return absl::FailedPreconditionError(
      absl::StrCat(path, " is open in another process: close it, then detach again"));
}

absl::Status TryDetach(int number) {
  const std::string path = LoopPath(number);
  // O_EXCL is refused while the device or one of its partitions is mounted, swap or claimed.
  auto fd = OpenLoop(number, O_RDONLY | O_EXCL);
  if (!fd.ok()) {
    if (!absl::IsFailedPrecondition(fd.status())) return fd.status();
    return absl::FailedPreconditionError(
        absl::StrCat(path, " is in use (mounted, swap, or held by another device): unmount it"));
  }
  if (ioctl(fd->get(), LOOP_CLR_FD) != 0 && errno != ENXIO) {
    return ErrnoStatus(errno, absl::StrCat("detach ", path));
  }
  fd->reset();
  return IsAttached(number) ? TakeBackDetach(number) : absl::OkStatus();
}

}  // namespace

std::string LoopPath(int number) { return absl::StrCat("/dev/loop", number); }

absl::StatusOr<std::string> LoopBackingFile(int number) {
  std::ifstream in(absl::StrCat("/sys/block/loop", number, "/loop/backing_file"));
  std::string path;
  if (!std::getline(in, path)) {
    return absl::NotFoundError(absl::StrCat(LoopPath(number), " has no backing file"));
  }
  return path;
}

absl::StatusOr<int> AttachLoop(const std::string& backing_file, const LoopOptions& options) {
  const Fd control(open("/dev/loop-control", O_RDWR | O_CLOEXEC));
  if (!control.valid()) {
    return ErrnoStatus(errno, "open /dev/loop-control (is the loop driver loaded?)");
  }
  const int access = options.read_only ? O_RDONLY : O_RDWR;
  const Fd backing(open(backing_file.c_str(), access | O_CLOEXEC));
  if (!backing.valid()) return ErrnoStatus(errno, absl::StrCat("open ", backing_file));

  loop_config config{};
  config.fd = backing.get();
  config.block_size = options.logical_block_bytes;
  config.info.lo_flags = LO_FLAGS_DIRECT_IO | LO_FLAGS_PARTSCAN;
  if (options.read_only) config.info.lo_flags |= LO_FLAGS_READ_ONLY;
  const size_t shown = std::min<size_t>(backing_file.size(), LO_NAME_SIZE - 1);
  backing_file.copy(reinterpret_cast<char*>(config.info.lo_file_name), shown);

  for (int attempt = 0; attempt < kAttachAttempts; ++attempt) {
    const int number = ioctl(control.get(), LOOP_CTL_GET_FREE);
    if (number < 0) return ErrnoStatus(errno, "get a free loop device");
    ASSIGN_OR_RETURN(const Fd loop, OpenLoop(number, access));
    if (ioctl(loop.get(), LOOP_CONFIGURE, &config) == 0) return number;
    if (errno != EBUSY) {
      return ErrnoStatus(errno, absl::StrCat("attach ", backing_file, " to ", LoopPath(number)));
    }
  }
  return absl::UnavailableError(
      absl::StrCat("no loop device stayed free for ", kAttachAttempts, " attempts: try again"));
}

absl::Status DetachLoop(int number) {
  if (!IsAttached(number)) return absl::OkStatus();
  absl::Status status;
  for (int attempt = 0; attempt < kDetachAttempts; ++attempt) {
    status = TryDetach(number);
    if (!absl::IsFailedPrecondition(status)) return status;
    absl::SleepFor(kDetachPause);
  }
  return status;
}

absl::Status DetachLoopLazily(int number) {
  if (!IsAttached(number)) return absl::OkStatus();
  ASSIGN_OR_RETURN(const Fd fd, OpenLoop(number, O_RDONLY));
  if (ioctl(fd.get(), LOOP_CLR_FD) == 0 || errno == ENXIO) return absl::OkStatus();
  return ErrnoStatus(errno, absl::StrCat("detach ", LoopPath(number)));
}

absl::Status RefreshLoopSize(int number) {
  ASSIGN_OR_RETURN(const Fd fd, OpenLoop(number, O_RDONLY));
  // Older kernels take the size from the cached inode; asking for the status makes them ask the
  // back end again.
  loop_info64 info{};
  if (ioctl(fd.get(), LOOP_GET_STATUS64, &info) != 0 ||
      ioctl(fd.get(), LOOP_SET_CAPACITY, 0) != 0) {
    return ErrnoStatus(errno, absl::StrCat("refresh the size of ", LoopPath(number)));
  }
  return absl::OkStatus();
}

}  // namespace diskd::sdk
