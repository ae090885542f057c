// SPDX-License-Identifier: Apache-2.0
#include "drivers/null/null_driver.h"

#include "drivers/sdk/geometry.h"
#include "drivers/sdk/testing/test_disk.h"
#include "gtest/gtest.h"

namespace diskd::null_driver {
namespace {

sdk::VolumeConfig Config() {
  sdk::VolumeConfig config;
  config.volume_id = "null";
  config.size_bytes = 1 << 20;
  config.logical_block_bytes = 4096;
  return config;
}

TEST(NullDriver_Geometry, IsPossibleAndAsAsked) {
  auto driver = Definition().open(Config());
  ASSERT_TRUE(driver.ok()) << driver.status();
  EXPECT_TRUE(sdk::CheckGeometry((*driver)->geometry()).ok());
  EXPECT_EQ((*driver)->geometry().size_bytes, Config().size_bytes);
  EXPECT_EQ((*driver)->geometry().logical_block_bytes, 4096u);
}

TEST(NullDriver_Read, GivesZeroesWhateverTheMemoryHeld) {
  auto driver = Definition().open(Config());
  ASSERT_TRUE(driver.ok()) << driver.status();
  sdk::TestDisk disk(**driver);
  ASSERT_TRUE(disk.Open().ok());
  ASSERT_EQ(disk.Write(0, std::vector<std::byte>(8192, std::byte{7})), 0);
  std::vector<std::byte> data(8192, std::byte{7});
  ASSERT_EQ(disk.Read(0, data), 0);
  EXPECT_EQ(data, std::vector<std::byte>(8192));
}

}  // namespace
}  // namespace diskd::null_driver
