// SPDX-License-Identifier: Apache-2.0
#include "agent/device/disk_flush.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "base/errno_status.h"
#include "base/fd.h"
#include "base/log.h"

namespace diskd::agent {

absl::Status FlushDisk(const std::string& path) {
  // Read-only, because the close of a writable descriptor makes udev open the disk for a look,
  // and a removal right after would find it busy.
  const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(errno, absl::StrCat("open ", path));
  if (fsync(fd.get()) != 0) return ErrnoStatus(errno, absl::StrCat("flush ", path));
  return absl::OkStatus();
}

struct DiskFlush::Running {
  absl::Status status;  // valid once done
  absl::Notification done;
};

DiskFlush::DiskFlush(std::function<absl::Status()> flush) : flush_(std::move(flush)) {}

absl::Status DiskFlush::Wait(absl::Duration limit) {
  const absl::Time deadline = absl::Now() + limit;
  const absl::Status too_slow = absl::UnavailableError(
      absl::StrCat("its last writes were not durable within ", absl::FormatDuration(limit),
                   "; the flush goes on: try again, or detach by force and lose them"));
  if (running_ != nullptr) {
    // The disk was used on since that began, and it covers nothing written meanwhile.
    if (!running_->done.WaitForNotificationWithDeadline(deadline)) return too_slow;
    if (!running_->status.ok()) {
      SPDLOG_WARN("a flush that took too long failed in the end, flushing again: {}",
                  std::string(running_->status.message()));
    }
  }
  running_ = std::make_shared<Running>();
  std::thread([running = running_, flush = flush_] {
    running->status = flush();
    running->done.Notify();
  }).detach();
  if (!running_->done.WaitForNotificationWithDeadline(deadline)) return too_slow;
  return std::exchange(running_, nullptr)->status;
}

}  // namespace diskd::agent
