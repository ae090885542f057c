// SPDX-License-Identifier: Apache-2.0
#include "agent/device/stable_link.h"

#include <stdlib.h>

#include <filesystem>

#include "gtest/gtest.h"

namespace diskd::agent {
namespace {

TEST(StableLink_Lifecycle, MakesReplacesAndRemoves) {
  std::string dir = testing::TempDir() + "/link.XXXXXX";
  ASSERT_NE(mkdtemp(dir.data()), nullptr);
  const std::string link = dir + "/by-name/data";
  ASSERT_TRUE(MakeStableLink(link, "/dev/loop1").ok());
  ASSERT_TRUE(MakeStableLink(link, "/dev/loop2").ok());
  EXPECT_EQ(std::filesystem::read_symlink(link), "/dev/loop2");
  EXPECT_TRUE(RemoveStableLink(link).ok());
  EXPECT_TRUE(RemoveStableLink(link).ok());
  EXPECT_TRUE(std::filesystem::is_empty(dir + "/by-name"));
}

TEST(StableLink_OthersToTheSameTarget, AreRemoved) {
  std::string dir = testing::TempDir() + "/link.XXXXXX";
  ASSERT_NE(mkdtemp(dir.data()), nullptr);
  ASSERT_TRUE(MakeStableLink(dir + "/stale", "/dev/loop1").ok());
  ASSERT_TRUE(MakeStableLink(dir + "/other", "/dev/loop10").ok());
  ASSERT_TRUE(MakeStableLink(dir + "/data", "/dev/loop1").ok());
  RemoveOtherLinks(dir + "/data", "/dev/loop1");
  EXPECT_FALSE(std::filesystem::is_symlink(dir + "/stale"));
  EXPECT_TRUE(std::filesystem::is_symlink(dir + "/other"));
  EXPECT_TRUE(std::filesystem::is_symlink(dir + "/data"));
}

TEST(StableLink_NotPossible_NamesTheLink, AndLeavesNothing) {
  std::string dir = testing::TempDir() + "/link.XXXXXX";
  ASSERT_NE(mkdtemp(dir.data()), nullptr);
  std::filesystem::create_directories(dir + "/data/in-the-way");
  const absl::Status status = MakeStableLink(dir + "/data", "/dev/loop1");
  EXPECT_NE(status.message().find(dir + "/data"), absl::string_view::npos) << status;
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir), {}), 1);
}

}  // namespace
}  // namespace diskd::agent
