// SPDX-License-Identifier: Apache-2.0
#include "agent/device/disk_flush.h"

#include <atomic>

#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"

namespace diskd::agent {
namespace {

TEST(DiskFlush_InTime, GivesTheFlushsStatusAndFlushesAgainNextTime) {
  int flushes = 0;
  DiskFlush flush([&] {
    ++flushes;
    return absl::DataLossError("x");
  });
  EXPECT_EQ(flush.Wait(absl::Hours(1)), absl::DataLossError("x"));
  EXPECT_EQ(flush.Wait(absl::Hours(1)), absl::DataLossError("x"));
  EXPECT_EQ(flushes, 2);
}

TEST(DiskFlush_TooSlow, IsUnavailableAndWhatWasWrittenSinceIsFlushedToo) {
  absl::Notification may_end, over;
  std::atomic<int> flushes{0};
  DiskFlush flush([&] {
    if (++flushes > 1) return absl::OkStatus();
    may_end.WaitForNotification();
    over.Notify();
    return absl::DataLossError("of the first");
  });
  EXPECT_TRUE(absl::IsUnavailable(flush.Wait(absl::Milliseconds(5))));
  EXPECT_TRUE(absl::IsUnavailable(flush.Wait(absl::Milliseconds(5))));
  EXPECT_EQ(flushes, 1);
  may_end.Notify();
  over.WaitForNotification();
  const absl::Status status = flush.Wait(absl::Hours(1));
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(flushes, 2);
}

}  // namespace
}  // namespace diskd::agent
