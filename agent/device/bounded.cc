// SPDX-License-Identifier: Apache-2.0
#include "agent/device/bounded.h"

#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"

namespace diskd::agent {

absl::Status RunBounded(absl::Duration limit, const std::function<absl::Status()>& body,
                        const std::function<void()>& unblock) {
  absl::Status status;
  absl::Notification done;
  std::thread thread([&] {
    status = body();
    done.Notify();
  });
  const bool in_time = done.WaitForNotificationWithTimeout(limit);
  if (!in_time) unblock();
  thread.join();
  if (in_time) return status;
  return absl::DeadlineExceededError(
      absl::StrCat("the driver did not answer within ", absl::FormatDuration(limit)));
}

}  // namespace diskd::agent
