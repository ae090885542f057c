// SPDX-License-Identifier: Apache-2.0
#include "agent/supervisor/driver_users.h"

#include "gtest/gtest.h"

namespace diskd::agent {
namespace {

constexpr char kWholeMap[] = "         0          0 4294967295\n";
constexpr char kContainerMap[] = "0 100000 65536\n";

TEST(DriverUsers_Default, IsInTheRangeAndStays) {
  const auto users = DriverUsers::Parse(kDefaultDriverUsers, kWholeMap);
  ASSERT_TRUE(users.ok()) << users.status();
  const uid_t user = users->Of("vol-0000000000000001");
  EXPECT_GE(user, 1900000000u);
  EXPECT_LT(user, 1900065536u);
  EXPECT_EQ(users->Of("vol-0000000000000001"), user);
  EXPECT_NE(users->Of("vol-0000000000000002"), user);
}

TEST(DriverUsers_Root, IsZero) {
  EXPECT_EQ(DriverUsers::Parse("root", kWholeMap)->Of("vol-1"), 0u);
  EXPECT_EQ(DriverUsers().Of("vol-1"), 0u);
}

TEST(DriverUsers_OfOne, IsThatOne) {
  EXPECT_EQ(DriverUsers::Parse("65534:1", kContainerMap)->Of("vol-1"), 65534u);
}

TEST(DriverUsers_NotInTheUserNamespace, AreRefused) {
  EXPECT_TRUE(
      absl::IsFailedPrecondition(DriverUsers::Parse(kDefaultDriverUsers, kContainerMap).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(DriverUsers::Parse("65000:1000", kContainerMap).status()));
  EXPECT_TRUE(DriverUsers::Parse("65000:536", kContainerMap).ok());
}

TEST(DriverUsers_Rubbish, IsRefused) {
  for (const char* text :
       {"", "1000", "0:5", "5:0", "a:b", "1:2:3", "4294967295:1", "4000000000:4000000000"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(DriverUsers::Parse(text, kWholeMap).status())) << text;
  }
}

}  // namespace
}  // namespace diskd::agent
