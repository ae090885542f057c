// SPDX-License-Identifier: Apache-2.0
//
// Loop and FUSE devices on this machine. Exit code 77: not possible here.
#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <vector>

#include "drivers/sdk/device/fuse_device.h"
#include "drivers/sdk/device/loop_device.h"
#include "drivers/sdk/testing/temp_dir.h"
#include "gtest/gtest.h"

namespace diskd::sdk {
namespace {

class LoopTest : public testing::Test {
 protected:
  void SetUp() override {
    const Fd file(open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    ASSERT_EQ(ftruncate(file.get(), 1 << 20), 0);
    auto number = AttachLoop(path_, {});
    ASSERT_TRUE(number.ok()) << number.status();
    number_ = *number;
  }
  void TearDown() override {
    if (number_ >= 0) {
      EXPECT_TRUE(DetachLoop(number_).ok());
    }
  }
  // Ours, not a device that somebody else has attached since.
  bool Attached() const {
    const auto backing = LoopBackingFile(number_);
    return backing.ok() && *backing == path_;
  }
  bool Autoclear() const {
    const Fd fd(open(LoopPath(number_).c_str(), O_RDONLY | O_CLOEXEC));
    loop_info64 info{};
    return ioctl(fd.get(), LOOP_GET_STATUS64, &info) == 0 &&
           (info.lo_flags & LO_FLAGS_AUTOCLEAR) != 0;
  }

  TempDir dir_;
  const std::string path_ = dir_.path() + "/backing";
  int number_ = -1;
};

TEST_F(LoopTest, Attach_UsesDirectIoWhereTheFileCan) {
  EXPECT_TRUE(Attached());
  const Fd fd(open(LoopPath(number_).c_str(), O_RDONLY | O_CLOEXEC));
  loop_info64 info{};
  ASSERT_EQ(ioctl(fd.get(), LOOP_GET_STATUS64, &info), 0);
  EXPECT_NE(info.lo_flags & LO_FLAGS_PARTSCAN, 0u);
}

TEST_F(LoopTest, Detach_Idle_Detaches) {
  EXPECT_TRUE(DetachLoop(number_).ok());
  EXPECT_FALSE(Attached());
  EXPECT_TRUE(DetachLoop(number_).ok()) << "not attached is fine";
}

TEST_F(LoopTest, Detach_WhileOpen_IsRefusedAndChangesNothing) {
  Fd holder(open(LoopPath(number_).c_str(), O_RDONLY | O_CLOEXEC));
  const absl::Status status = DetachLoop(number_);
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_TRUE(Attached());
  EXPECT_FALSE(Autoclear());
  holder.reset();
  EXPECT_TRUE(Attached()) << "the refused detach must not happen later";
}

TEST_F(LoopTest, Detach_WhileClaimed_IsRefused) {
  Fd holder(open(LoopPath(number_).c_str(), O_RDWR | O_EXCL | O_CLOEXEC));
  EXPECT_TRUE(absl::IsFailedPrecondition(DetachLoop(number_)));
  holder.reset();
  EXPECT_TRUE(Attached());
}

TEST_F(LoopTest, DetachLazily_WhileOpen_HappensAtTheLastClose) {
  Fd holder(open(LoopPath(number_).c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_TRUE(DetachLoopLazily(number_).ok());
  EXPECT_TRUE(Attached());
  holder.reset();
  EXPECT_FALSE(Attached());
}

TEST_F(LoopTest, RefreshSize_FollowsTheFile) {
  ASSERT_EQ(truncate(path_.c_str(), 2 << 20), 0);
  ASSERT_TRUE(RefreshLoopSize(number_).ok());
  const Fd fd(open(LoopPath(number_).c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_END), 2 << 20);
}

TEST(Loop_MissingBackingFile, IsNotFound) {
  EXPECT_TRUE(absl::IsNotFound(AttachLoop("/nonexistent/file", {}).status()));
}

class FuseTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(mkdir(mount_point_.c_str(), 0700), 0); }
  void TearDown() override { EXPECT_TRUE(AbortAndUnmountFuse(mount_point_).ok()); }
  bool Mounted() const {
    const auto mounted = IsFuseMounted(mount_point_);
    EXPECT_TRUE(mounted.ok()) << mounted.status();
    return mounted.ok() && *mounted;
  }

  TempDir dir_;
  const std::string mount_point_ = dir_.path() + "/a mount point";
};

TEST_F(FuseTest, Mount_ThenAbort_LeavesNothing) {
  EXPECT_FALSE(Mounted());
  auto connection = MountFuse(mount_point_, 3, 512);
  ASSERT_TRUE(connection.ok()) << connection.status();
  EXPECT_EQ(connection->fds.size(), 3u);
  EXPECT_TRUE(Mounted());
  EXPECT_TRUE(AbortAndUnmountFuse(mount_point_).ok());
  EXPECT_FALSE(Mounted());
  std::vector<char> buffer(2 * kFuseMaxIoBytes);
  EXPECT_LT(read(connection->fds[0].get(), buffer.data(), buffer.size()), 0);
  EXPECT_EQ(errno, ENODEV);
}

TEST_F(FuseTest, Mount_Twice_IsRefused) {
  auto connection = MountFuse(mount_point_, 1, 512);
  ASSERT_TRUE(connection.ok()) << connection.status();
  EXPECT_TRUE(absl::IsFailedPrecondition(MountFuse(mount_point_, 1, 512).status()));
}

TEST_F(FuseTest, Mount_OnNothing_FailsAndLeavesNothing) {
  EXPECT_FALSE(MountFuse(dir_.path() + "/missing", 1, 512).ok());
  EXPECT_TRUE(AbortAndUnmountFuse(dir_.path() + "/missing").ok());
  EXPECT_TRUE(AbortAndUnmountFuse(dir_.path() + "/missing/deeper").ok());
}

}  // namespace
}  // namespace diskd::sdk

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (geteuid() != 0 || access("/dev/fuse", R_OK | W_OK) != 0 ||
      access("/dev/loop-control", R_OK | W_OK) != 0) {
    fprintf(stderr, "skipped: needs root, /dev/fuse and loop devices\n");
    return 77;
  }
  return RUN_ALL_TESTS();
}
