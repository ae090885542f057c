// SPDX-License-Identifier: Apache-2.0
#include "agent/device/holder.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace diskd::agent {
namespace {

constexpr char kMountInfo[] =
    "22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n"
    "31 22 7:3 / /mnt/a rw - ext4 /dev/loop3 rw\n"
    "32 22 259:0 / /mnt/b rw shared:3 - xfs /dev/loop3p1 rw\n"
    "33 22 7:31 / /mnt/other rw - ext4 /dev/loop31 rw\n";

TEST(MountPointsOf_DiskAndPartition, FindsBothAndNoOther) {
  EXPECT_THAT(MountPointsOf(kMountInfo, {"7:3", "259:0"}),
              testing::ElementsAre("/mnt/a", "/mnt/b"));
}

TEST(MountPointsOf_UnknownDevice_IsEmpty, EvenWithoutANumber) {
  EXPECT_THAT(MountPointsOf(kMountInfo, {""}), testing::IsEmpty());
  EXPECT_THAT(MountPointsOf("", {"7:3"}), testing::IsEmpty());
}

}  // namespace
}  // namespace diskd::agent
