// SPDX-License-Identifier: Apache-2.0
//
// A small volume in a temporary directory, for tests of the driver as a whole.
#ifndef DISKD_DRIVERS_OBJECT_TESTING_TEST_VOLUME_H_
#define DISKD_DRIVERS_OBJECT_TESTING_TEST_VOLUME_H_

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "drivers/object/object_driver.h"
#include "drivers/sdk/testing/temp_dir.h"
#include "drivers/sdk/testing/test_disk.h"
#include "gtest/gtest.h"

namespace diskd::object {

inline std::map<std::string, std::string> TestParameters(const std::string& directory) {
  return {{"store", "dir:" + directory + "/store"}, {"log_mib", "16"}, {"cache_mib", "16"}};
}

inline sdk::VolumeConfig Config(const sdk::TempDir& dir) {
  sdk::VolumeConfig config;
  config.volume_id = "object-test";
  config.size_bytes = 8 << 20;
  config.state_dir = dir.path();
  config.parameters = TestParameters(dir.path());
  return config;
}

// `memory`: on a tmpfs.
inline sdk::VolumeConfig Config(const sdk::TempDir& dir, const sdk::TempDir& memory) {
  sdk::VolumeConfig config = Config(dir);
  config.memory_dir = memory.path();
  return config;
}

inline constexpr char kTmpfs[] = "/dev/shm";

inline void ExpectFirstBlock(const sdk::VolumeConfig& config, std::byte want) {
  auto driver = Definition().open(config);
  ASSERT_TRUE(driver.ok()) << driver.status();
  sdk::TestDisk disk(**driver);
  ASSERT_TRUE(disk.Open().ok());
  std::vector<std::byte> data(4096);
  ASSERT_EQ(disk.Read(0, data), 0);
  EXPECT_EQ(data, std::vector<std::byte>(4096, want));
}

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_TESTING_TEST_VOLUME_H_
