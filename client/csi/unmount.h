// SPDX-License-Identifier: Apache-2.0
//
// Taking a mount away within a limit of time, whatever its device does. Thread-safe.
#ifndef DISKD_CLIENT_CSI_UNMOUNT_H_
#define DISKD_CLIENT_CSI_UNMOUNT_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace diskd::csi {

// umount2(2) with these flags: 0 or an errno. May outlive the call of UnmountWithin, in a thread of
// its own.
using UnmountFunction = std::function<int(const std::string& target, int flags)>;

struct UnmountLimits {
  absl::Duration timeout = absl::Seconds(10);
  absl::Duration lazy_timeout = absl::Seconds(10);  // after the first
  absl::Duration busy_pause = absl::Milliseconds(50);
};

// Unmounts; when that is refused as busy, or waits for the device, until the limit: lazily.
// UNAVAILABLE: too many earlier unmounts are still waiting for their devices.
absl::Status UnmountWithin(const std::string& target, const UnmountFunction& unmount,
                           const UnmountLimits& limits = {});

}  // namespace diskd::csi

#endif  // DISKD_CLIENT_CSI_UNMOUNT_H_
