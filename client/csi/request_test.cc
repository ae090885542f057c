// SPDX-License-Identifier: Apache-2.0
#include "client/csi/request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>

#include "client/csi/linux_host.h"
#include "client/csi/mount_flags.h"
#include "client/csi/redact.h"

namespace diskd::csi {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

::csi::v1::CapacityRange Range(int64_t required, int64_t limit) {
  ::csi::v1::CapacityRange range;
  range.set_required_bytes(required);
  range.set_limit_bytes(limit);
  return range;
}

TEST(ChooseSize, Range_IsKept) {
  EXPECT_EQ(*ChooseSize(Range(0, 0), 0, 0), kDefaultSizeBytes);
  EXPECT_EQ(*ChooseSize(Range(5 << 20, 5 << 20), 0, 0), 5u << 20);
  EXPECT_EQ(*ChooseSize(Range((5 << 20) + 1, 0), 4096, 0), (5u << 20) + 4096);
  EXPECT_EQ(*ChooseSize(Range(0, (2 << 20) + 1), 512, 0), 2u << 20);
  EXPECT_EQ(*ChooseSize(Range(1, 0), 0, kMinXfsBytes), kMinXfsBytes);
}

TEST(ChooseSize, RangeThatFitsNothing_IsRefused) {
  EXPECT_TRUE(absl::IsOutOfRange(ChooseSize(Range(3 << 20, 2 << 20), 0, 0).status()));
  EXPECT_TRUE(absl::IsOutOfRange(ChooseSize(Range((2 << 20) + 1, (2 << 20) + 2), 512, 0).status()));
  EXPECT_TRUE(absl::IsOutOfRange(ChooseSize(Range(0, 4096), 0, 0).status()));
  EXPECT_TRUE(absl::IsOutOfRange(ChooseSize(Range(INT64_MAX, 0), 0, 0).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(ChooseSize(Range(-1, 0), 0, 0).status()));
}

TEST(MountFlags, OutsideTheList_IsRefusedWithoutRepeatingIt) {
  const auto refused = ParseMountFlags({"noatime", "password=hunter2"}, "ext4");
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(std::string(refused.status().message()), Not(HasSubstr("hunter2")));
  EXPECT_FALSE(ParseMountFlags({"nouuid"}, "ext4").ok());
  EXPECT_FALSE(ParseMountFlags({"commit=5,errors=panic"}, "ext4").ok());
}

TEST(MountFlags, NosuidAndNodev_HoldUnlessLifted) {
  EXPECT_EQ(ParseMountFlags({}, "ext4")->flags, MS_NOSUID | MS_NODEV);
  EXPECT_EQ(ParseMountFlags({"suid", "ro", "commit=5"}, "ext4")->flags, MS_NODEV | MS_RDONLY);
}

TEST(Redact, SecretsAndMountFlags_AreNotInTheText) {
  ::csi::v1::NodeStageVolumeRequest request;
  request.set_volume_id("vol-1");
  (*request.mutable_secrets())["user"] = "hunter2";
  request.mutable_volume_capability()->mutable_mount()->add_mount_flags("hunter3");
  const std::string text = RedactedText(request);
  EXPECT_THAT(text, HasSubstr("vol-1"));
  EXPECT_THAT(text, Not(HasSubstr("hunter")));
}

TEST(MountInfo, EscapedLine_IsRead) {
  const auto entry =
      ParseMountInfoLine("36 35 7:3 / /a\\040b ro,nosuid shared:1 - ext4 /dev/loop3 rw");
  ASSERT_TRUE(entry.has_value());
  EXPECT_EQ(entry->mount_point, "/a b");
  EXPECT_EQ(entry->device, (DeviceNumber{7, 3}));
  EXPECT_TRUE(entry->read_only);
  EXPECT_FALSE(ParseMountInfoLine("36 35 7:3 / /a ro").has_value());
}

TEST(Names, OrchestratorName_MapsToOneAgentName) {
  EXPECT_EQ(AgentVolumeName("pvc-1"), AgentVolumeName("pvc-1"));
  EXPECT_NE(AgentVolumeName("pvc-1"), AgentVolumeName("pvc-2"));
  EXPECT_EQ(AgentVolumeName("\xc3\xa4").size(), 44u);
  EXPECT_FALSE(CheckVolumeName("a\x01").ok());
  EXPECT_FALSE(CheckVolumeName(std::string(129, 'a')).ok());
  EXPECT_FALSE(CheckDriverName("9a").ok());
  EXPECT_FALSE(CheckPath("p", "/a/../b").ok());
}

}  // namespace
}  // namespace diskd::csi
