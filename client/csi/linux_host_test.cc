// SPDX-License-Identifier: Apache-2.0
//
// Real mounts, in a mount namespace of the test.
#include "client/csi/linux_host.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "client/csi/mount_table.h"

namespace diskd::csi {
namespace {

constexpr char kTmpfsOptions[] = "size=1m";

class BindMountTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "mounts need root";
    if (unshare(CLONE_NEWNS) != 0 || mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
      GTEST_SKIP() << "no mount namespace of its own";
    }
    ASSERT_NE(mkdtemp(work_), nullptr);
    ASSERT_EQ(mount("test", work_, "tmpfs", MS_NOSUID | MS_NODEV, kTmpfsOptions), 0);
    // As kubelet's directory is.
    ASSERT_EQ(mount("", work_, nullptr, MS_SHARED, nullptr), 0);
    for (const std::string& path : {Source(), Target()}) {
      ASSERT_EQ(mkdir(path.c_str(), 0700), 0);
    }
  }
  void TearDown() override {
    umount2(work_, MNT_DETACH);
    rmdir(work_);
  }

  std::string Source() const { return std::string(work_) + "/source"; }
  std::string Target() const { return std::string(work_) + "/target"; }
  std::optional<MountEntry> AtTarget() {
    const auto mounts = host_.Mounts();
    EXPECT_TRUE(mounts.ok()) << mounts.status();
    return mounts.ok() ? MountAt(*mounts, Target()) : std::nullopt;
  }

  char work_[32] = "/tmp/diskd-bind.XXXXXX";
  LinuxHost host_;
};

TEST_F(BindMountTest, ReadOnly_KeepsTheFlagsOfTheSource) {
  ASSERT_TRUE(host_.BindMount(Source(), Target(), /*read_only=*/true).ok());
  struct statvfs info;
  ASSERT_EQ(statvfs(Target().c_str(), &info), 0);
  constexpr unsigned long kWanted = ST_RDONLY | ST_NOSUID | ST_NODEV;
  EXPECT_EQ(info.f_flag & kWanted, kWanted);
  ASSERT_EQ(statvfs(Source().c_str(), &info), 0);
  EXPECT_EQ(info.f_flag & ST_RDONLY, 0u);
  EXPECT_TRUE(host_.Unmount(Target()).ok());
}

TEST_F(BindMountTest, ReadOnlyOnNothing_IsAnErrorAndMountsNothing) {
  EXPECT_FALSE(host_.BindMount(Source(), Target() + "/missing", /*read_only=*/true).ok());
  EXPECT_FALSE(host_.BindMount(Source() + "/missing", Target(), /*read_only=*/true).ok());
  EXPECT_FALSE(AtTarget());
}

// A writable one at the target would be something else than what the orchestrator asks for, for
// ever.
TEST_F(BindMountTest, ReadOnly_PluginDiesBeforeARemount_LeavesNoWritableMount) {
  if (mount_setattr(-1, "", 0, nullptr, 0) != 0 && errno == ENOSYS) {
    GTEST_SKIP() << "Linux before 5.12";
  }
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    const bool armed = filter != nullptr &&
                       seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS(mount), 1,
                                        SCMP_A3(SCMP_CMP_MASKED_EQ, MS_REMOUNT, MS_REMOUNT)) == 0 &&
                       seccomp_load(filter) == 0;
    _exit(armed && host_.BindMount(Source(), Target(), /*read_only=*/true).ok() ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  const std::optional<MountEntry> left = AtTarget();
  ASSERT_TRUE(left);
  EXPECT_TRUE(left->read_only);
}

}  // namespace
}  // namespace diskd::csi
