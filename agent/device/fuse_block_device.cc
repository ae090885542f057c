// SPDX-License-Identifier: Apache-2.0
#include "agent/device/fuse_block_device.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "agent/device/bounded.h"
#include "agent/device/holder.h"
#include "agent/device/limits.h"
#include "base/errno_status.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "drivers/sdk/device/loop_device.h"

namespace diskd::agent {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kSectorBytes = 512;  // of sysfs

std::string BackingFile(const std::string& mount_point) {
  // The kernel shows resolved paths; the mount itself must not be looked at.
  std::error_code error;
  const fs::path parent = fs::canonical(fs::path(mount_point).parent_path(), error);
  const fs::path base = error ? fs::path(mount_point).parent_path() : parent;
  return (base / fs::path(mount_point).filename() / sdk::kFuseDiskName).string();
}

// The loop device on the file, -1: none. By the kernel's account, because the agent may have died
// between making the device and writing its number down. `number`: where to look first, -1:
// nowhere; an agent that starts would otherwise go through all devices for each.
int FindLoop(const std::string& mount_point, int number) {
  const std::string backing_file = BackingFile(mount_point);
  if (number >= 0) {
    const auto backing = sdk::LoopBackingFile(number);
    if (backing.ok() && *backing == backing_file) return number;
  }
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/sys/block", error)) {
    const std::string name = entry.path().filename().string();
    if (!absl::StartsWith(name, "loop") || !absl::SimpleAtoi(name.substr(4), &number)) continue;
    const auto backing = sdk::LoopBackingFile(number);
    if (backing.ok() && *backing == backing_file) return number;
  }
  return -1;
}

// Sizes that come with other answers are dropped by the kernel when a write ends meanwhile, and
// reads above the old size end as I/O errors then. A change of the size, which the driver takes
// when it is the disk's own, counts always.
absl::Status SetFileSize(const std::string& file, uint64_t size_bytes) {
  if (truncate(file.c_str(), static_cast<off_t>(size_bytes)) == 0) return absl::OkStatus();
  return ErrnoStatus(errno, absl::StrCat("set the size of ", file, " to ", size_bytes, " bytes"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Device>> FuseBlockDevice::Create(const std::string& mount_point,
                                                                const DeviceSpec& spec) {
  std::error_code error;
  fs::create_directories(fs::path(mount_point).parent_path(), error);
  if (error) return ErrnoStatus(error.value(), absl::StrCat("create parent of ", mount_point));
  if (mkdir(mount_point.c_str(), 0700) != 0 && errno != EEXIST) {
    return ErrnoStatus(errno, absl::StrCat("create ", mount_point));
  }
  ASSIGN_OR_RETURN(sdk::FuseConnection connection,
                   sdk::MountFuse(mount_point, static_cast<int>(spec.queues),
                                  spec.geometry.logical_block_bytes()));
  std::unique_ptr<FuseBlockDevice> device(new FuseBlockDevice(mount_point, connection.can_resend));
  device->logical_block_bytes_ = spec.geometry.logical_block_bytes();
  device->read_only_ = spec.read_only || spec.geometry.read_only();
  device->Hold(std::move(connection.fds));
  return device;
}

absl::StatusOr<std::unique_ptr<Device>> FuseBlockDevice::Find(const std::string& mount_point,
                                                              int number,
                                                              bool survives_driver_death) {
  ASSIGN_OR_RETURN(const bool mounted, sdk::IsFuseMounted(mount_point));
  int found = FindLoop(mount_point, number);
  if (found < 0 && !mounted && number >= 0) {
    // Once the mount is gone, the kernel shows the backing file relative to it.
    const auto backing = sdk::LoopBackingFile(number);
    if (backing.ok() && *backing == absl::StrCat("/", sdk::kFuseDiskName)) found = number;
  }
  if (!mounted && found < 0) {
    return absl::NotFoundError(
        absl::StrCat("neither a FUSE mount on ", mount_point, " nor a loop device over it exists"));
  }
  std::unique_ptr<FuseBlockDevice> device(new FuseBlockDevice(mount_point, survives_driver_death));
  device->number_ = found;
  return device;
}

std::string FuseBlockDevice::path() const { return number_ < 0 ? "" : sdk::LoopPath(number_); }

absl::StatusOr<std::vector<Fd>> FuseBlockDevice::Descriptors() {
  absl::MutexLock lock(&mutex_);
  if (descriptors_.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("nobody holds the FUSE connection of ", mount_point_));
  }
  std::vector<Fd> copies;
  for (const Fd& fd : descriptors_) {
    Fd copy(fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
    if (!copy.valid()) return ErrnoStatus(errno, "duplicate a FUSE descriptor");
    copies.push_back(std::move(copy));
  }
  return copies;
}

void FuseBlockDevice::Hold(std::vector<Fd> descriptors) {
  absl::MutexLock lock(&mutex_);
  descriptors_ = std::move(descriptors);
}

absl::Status FuseBlockDevice::Publish() {
  return RunBounded(
      kPublishLimit,
      [&]() -> absl::Status {
        ASSIGN_OR_RETURN(number_, sdk::AttachLoop(BackingFile(mount_point_),
                                                  {.logical_block_bytes = logical_block_bytes_,
                                                   .read_only = read_only_}));
        return absl::OkStatus();
      },
      [&] { Abort(); });
}

// An administrator may have detached our loop device, and another file may have its number now.
absl::Status FuseBlockDevice::CheckLoop(const std::string& mount_point, int number) {
  const auto backing = sdk::LoopBackingFile(number);
  if (backing.ok() &&
      (*backing == BackingFile(mount_point) || *backing == absl::StrCat("/", sdk::kFuseDiskName))) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      "its loop device was detached by somebody else: detach the volume, then attach it again");
}

absl::Status FuseBlockDevice::Detach() {
  const absl::Status status = sdk::DetachLoop(number_);
  if (!absl::IsFailedPrecondition(status)) return status;
  return absl::FailedPreconditionError(absl::StrCat(path(), " is ", DescribeHolder(path())));
}

absl::Status FuseBlockDevice::Resize(uint64_t size_bytes) {
  if (!OwnsLoop()) {
    return absl::FailedPreconditionError(
        absl::StrCat(path(), " is not the volume's any more: detach it, then attach it again"));
  }
  // Not RunBounded(): that a driver dies just now must not cost the users their disk. The thread
  // ends when the next driver process answers, or with the connection.
  struct Outcome {
    absl::Notification done;
    absl::Status status;
  };
  const auto outcome = std::make_shared<Outcome>();
  std::thread([outcome, size_bytes, number = number_, file = BackingFile(mount_point_)] {
    outcome->status = SetFileSize(file, size_bytes);
    if (outcome->status.ok()) outcome->status = sdk::RefreshLoopSize(number);
    outcome->done.Notify();
  }).detach();
  if (!outcome->done.WaitForNotificationWithTimeout(kPublishLimit)) {
    return absl::UnavailableError(
        absl::StrCat("the driver did not answer within ", absl::FormatDuration(kPublishLimit)));
  }
  RETURN_IF_ERROR(outcome->status);
  std::ifstream in(absl::StrCat("/sys/block/loop", number_, "/size"));
  uint64_t sectors = 0;
  in >> sectors;
  if (sectors * kSectorBytes == size_bytes) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat(path(), " has ", sectors * kSectorBytes, " bytes, not ", size_bytes));
}

absl::Status FuseBlockDevice::Unpublish(bool force) {
  if (force) Abort();
  if (number_ < 0) return absl::OkStatus();
  if (!OwnsLoop()) {
    number_ = -1;
    return absl::OkStatus();
  }
  if (!force) {
    if (!flush_) flush_.emplace([path = path()] { return FlushDisk(path); });
    RETURN_IF_ERROR(flush_->Wait(kFlushLimit));
  }
  const absl::Status status = RunBounded(
      force ? kForcedUnpublishLimit : kUnpublishLimit,
      [&] { return force ? sdk::DetachLoopLazily(number_) : Detach(); }, [&] { Abort(); });
  if (status.ok()) number_ = -1;
  return status;
}

bool FuseBlockDevice::Lost() {
  absl::MutexLock lock(&mutex_);
  if (descriptors_.empty()) return false;
  pollfd state{.fd = descriptors_.front().get(), .events = 0, .revents = 0};
  return poll(&state, 1, 0) == 1 && (state.revents & POLLERR) != 0;
}

void FuseBlockDevice::Abort() {
  const absl::Status status = sdk::AbortAndUnmountFuse(mount_point_);
  if (!status.ok()) SPDLOG_ERROR("abort {}: {}", mount_point_, std::string(status.message()));
}

absl::Status FuseBlockDevice::Destroy() {
  Hold({});
  RETURN_IF_ERROR(sdk::AbortAndUnmountFuse(mount_point_));
  if (rmdir(mount_point_.c_str()) != 0 && errno != ENOENT) {
    return ErrnoStatus(errno, absl::StrCat("remove ", mount_point_));
  }
  return absl::OkStatus();
}

}  // namespace diskd::agent
