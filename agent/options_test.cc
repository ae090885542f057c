// SPDX-License-Identifier: Apache-2.0
#include "agent/options.h"

#include "gtest/gtest.h"

namespace diskd::agent {
namespace {

TEST(Options_Defaults, AreFilledInWithAbsolutePaths) {
  Options options;
  options.run_dir = "/run/x/../diskd";
  ASSERT_TRUE(options.Complete().ok());
  EXPECT_EQ(options.run_dir, "/run/diskd");
  EXPECT_EQ(options.socket, "/run/diskd/diskd.sock");
  EXPECT_FALSE(options.node_name.empty());
  ASSERT_EQ(options.driver_dirs.size(), 2u);
  EXPECT_EQ(options.driver_dirs[1], "/usr/lib/diskd/drivers");
  EXPECT_EQ(options.driver_dirs[0][0], '/');
}

TEST(Options_GivenDriverDirectories, ReplaceTheDefaults) {
  Options options;
  options.driver_dirs = {"/opt/drivers"};
  ASSERT_TRUE(options.Complete().ok());
  EXPECT_EQ(options.driver_dirs, std::vector<std::string>{"/opt/drivers"});
}

TEST(Options_RunDirectoryTooLongForSockets, IsRefused) {
  Options options;
  options.run_dir = "/" + std::string(70, 'x');
  const absl::Status status = options.Complete();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_NE(status.message().find("too long"), absl::string_view::npos) << status;
}

}  // namespace
}  // namespace diskd::agent
