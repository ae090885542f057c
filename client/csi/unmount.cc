// SPDX-License-Identifier: Apache-2.0
#include "client/csi/unmount.h"

#include <sys/mount.h>

#include <cerrno>
#include <memory>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "base/errno_status.h"

namespace diskd::csi {
namespace {

// Unmounts that wait for a device that does not answer; each keeps a thread.
constexpr int kMaxHungUnmounts = 32;

struct UnmountCall {
  absl::Mutex mutex;
  bool done ABSL_GUARDED_BY(mutex) = false;
  int error ABSL_GUARDED_BY(mutex) = 0;
};

// How many threads are inside an UnmountFunction.
absl::Mutex hung_mutex(absl::kConstInit);
int hung_count ABSL_GUARDED_BY(hung_mutex) = 0;

// In a thread of its own, which may outlive the call: writing the file system's last blocks waits
// for the device. 0, an errno, or ETIMEDOUT.
int UnmountOnce(const std::string& target, const UnmountFunction& unmount, int flags,
                absl::Duration timeout) {
  {
    absl::MutexLock lock(&hung_mutex);
    if (hung_count >= kMaxHungUnmounts) return EAGAIN;
    ++hung_count;
  }
  auto call = std::make_shared<UnmountCall>();
  std::thread([call, target, unmount, flags] {
    const int error = unmount(target, UMOUNT_NOFOLLOW | flags);
    {
      absl::MutexLock lock(&hung_mutex);
      --hung_count;
    }
    absl::MutexLock lock(&call->mutex);
    call->done = true;
    call->error = error;
  }).detach();
  absl::MutexLock lock(&call->mutex);
  if (!call->mutex.AwaitWithTimeout(absl::Condition(&call->done), timeout)) return ETIMEDOUT;
  return call->error;
}

}  // namespace

absl::Status UnmountWithin(const std::string& target, const UnmountFunction& unmount,
                           const UnmountLimits& limits) {
  const absl::Time deadline = absl::Now() + limits.timeout;
  int error;
  do {
    error = UnmountOnce(target, unmount, 0, deadline - absl::Now());
    if (error == EBUSY) absl::SleepFor(limits.busy_pause);
  } while (error == EBUSY && absl::Now() < deadline);
  // What went on too long has left the mount table already, and EINVAL says so.
  if (error == EBUSY || error == ETIMEDOUT) {
    error = UnmountOnce(target, unmount, MNT_DETACH, limits.lazy_timeout);
    if (error == EINVAL) error = 0;
  }
  if (error == 0) return absl::OkStatus();
  return ErrnoStatus(error, absl::StrCat("unmount ", target));
}

}  // namespace diskd::csi
