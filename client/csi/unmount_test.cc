// SPDX-License-Identifier: Apache-2.0
#include "client/csi/unmount.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <cerrno>
#include <memory>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"

namespace diskd::csi {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

constexpr int kPlain = UMOUNT_NOFOLLOW;
constexpr int kLazy = UMOUNT_NOFOLLOW | MNT_DETACH;
// Only what hangs meets the short limit; the lazy unmount has time on the busiest machine.
const UnmountLimits kShort{absl::Milliseconds(20), absl::Minutes(1), absl::Milliseconds(1)};

// The flags of each call; shared with threads that may outlive a test's scope.
struct Recorder {
  void Add(int flags) {
    absl::MutexLock lock(&mutex);
    calls.push_back(flags);
  }
  std::vector<int> Calls() {
    absl::MutexLock lock(&mutex);
    return calls;
  }
  absl::Mutex mutex;
  std::vector<int> calls ABSL_GUARDED_BY(mutex);
  absl::Notification device_answers;
  absl::Notification returned;
};

TEST(Unmount, DeviceThatAnswers_IsUnmountedOnceAndNotLazily) {
  auto recorder = std::make_shared<Recorder>();
  EXPECT_TRUE(UnmountWithin("/t", [recorder](const std::string& target, int flags) {
                EXPECT_EQ(target, "/t");
                recorder->Add(flags);
                return 0;
              }).ok());
  EXPECT_THAT(recorder->Calls(), ElementsAre(kPlain));
}

// `lazy_error`: the answer to the lazy unmount while the plain one waits.
absl::Status UnmountHanging(const std::shared_ptr<Recorder>& recorder, int lazy_error) {
  const absl::Status status = UnmountWithin(
      "/t",
      [recorder, lazy_error](const std::string&, int flags) {
        recorder->Add(flags);
        if ((flags & MNT_DETACH) != 0) return lazy_error;
        recorder->device_answers.WaitForNotification();
        recorder->returned.Notify();
        return 0;
      },
      kShort);
  EXPECT_FALSE(recorder->returned.HasBeenNotified());
  recorder->device_answers.Notify();
  recorder->returned.WaitForNotification();
  return status;
}

TEST(Unmount, DeviceThatHangs_IsUnmountedLazilyAfterTheLimit) {
  auto recorder = std::make_shared<Recorder>();
  EXPECT_TRUE(UnmountHanging(recorder, 0).ok());
  // The thread of the first may be late.
  EXPECT_THAT(recorder->Calls(), UnorderedElementsAre(kPlain, kLazy));
}

TEST(Unmount, HangAfterItLeftTheTable_IsASuccess) {
  EXPECT_TRUE(UnmountHanging(std::make_shared<Recorder>(), EINVAL).ok());
}

TEST(Unmount, LazyOneThatFails_IsAnError) {
  EXPECT_TRUE(absl::IsPermissionDenied(UnmountHanging(std::make_shared<Recorder>(), EPERM)));
}

TEST(Unmount, BusyUntilTheLimit_IsUnmountedLazily) {
  auto recorder = std::make_shared<Recorder>();
  EXPECT_TRUE(UnmountWithin(
                  "/t",
                  [recorder](const std::string&, int flags) {
                    recorder->Add(flags);
                    return (flags & MNT_DETACH) != 0 ? 0 : EBUSY;
                  },
                  kShort)
                  .ok());
  EXPECT_THAT(recorder->Calls(), Contains(kLazy));
}

TEST(Unmount, NotAMountPoint_IsAnErrorAtOnce) {
  auto recorder = std::make_shared<Recorder>();
  EXPECT_TRUE(absl::IsInvalidArgument(UnmountWithin("/t", [recorder](const std::string&, int f) {
    recorder->Add(f);
    return EINVAL;
  })));
  EXPECT_THAT(recorder->Calls(), ElementsAre(kPlain));
}

}  // namespace
}  // namespace diskd::csi
