// SPDX-License-Identifier: Apache-2.0
//
// The driver while others come and go: successors.
#include <fstream>
#include <string>
#include <vector>

#include "drivers/object/object_driver.h"
#include "drivers/object/testing/test_volume.h"
#include "drivers/sdk/features.h"
#include "gtest/gtest.h"

namespace diskd::object {
namespace {

TEST(ObjectDriver_HandOver, SuccessorHasEveryWriteAndTheGrownSize) {
  const sdk::TempDir dir;
  const sdk::TempDir memory(kTmpfs);
  sdk::VolumeConfig config = Config(dir, memory);
  ASSERT_TRUE(Definition().provision(config).ok());
  auto present = Definition().open(config);
  ASSERT_TRUE(present.ok()) << present.status();
  {
    sdk::TestDisk disk(**present);
    ASSERT_TRUE(disk.Open().ok());
    ASSERT_EQ(disk.Write(0, std::vector<std::byte>(4096, std::byte{5})), 0);
    ASSERT_TRUE((*present)->features()->Resize(config.size_bytes * 2).ok());
    ASSERT_TRUE((*present)->features()->Resize(config.size_bytes * 2).ok());
    ASSERT_EQ(disk.Write(4096, std::vector<std::byte>(4096, std::byte{7})), 0);
  }
  EXPECT_EQ((*present)->geometry().size_bytes, config.size_bytes);
  config.size_bytes *= 2;
  config.standby = true;
  config.successor = true;
  auto successor = Definition().open(config);
  ASSERT_TRUE(successor.ok()) << successor.status();
  EXPECT_EQ((*successor)->geometry().size_bytes, config.size_bytes);
  EXPECT_EQ((*successor)->features(), nullptr) << "nothing is open yet";
  ASSERT_TRUE((*present)->LetGo().ok());
  // What was written last is on the disk by then, for a successor that has no such memory.
  std::ofstream(memory.path() + "/object.log-memory", std::ios::in | std::ios::binary)
      << std::string(8 << 20, '\0');
  ASSERT_TRUE((*successor)->TakeOver().ok());
  present->reset();
  sdk::TestDisk disk(**successor);
  ASSERT_TRUE(disk.Open().ok());
  std::vector<std::byte> data(4096);
  ASSERT_EQ(disk.Read(0, data), 0);
  EXPECT_EQ(data, std::vector<std::byte>(4096, std::byte{5}));
  ASSERT_EQ(disk.Read(4096, data), 0);
  EXPECT_EQ(data, std::vector<std::byte>(4096, std::byte{7}));
  ASSERT_EQ(disk.Read(config.size_bytes - 4096, data), 0);
  EXPECT_EQ(data, std::vector<std::byte>(4096, std::byte{0}));
}

TEST(ObjectDriver_HandOver, SuccessorFails_FormerGoesOnAndNobodyTakesItsLog) {
  const sdk::TempDir dir;
  const sdk::TempDir memory(kTmpfs);
  sdk::VolumeConfig config = Config(dir, memory);
  ASSERT_TRUE(Definition().provision(config).ok());
  auto present = Definition().open(config);
  ASSERT_TRUE(present.ok()) << present.status();
  ASSERT_TRUE((*present)->TakeOver().ok()) << "it was not let go";
  ASSERT_TRUE((*present)->LetGo().ok());
  config.standby = true;
  {
    auto successor = Definition().open(config);
    ASSERT_TRUE(successor.ok()) << successor.status();
    ASSERT_TRUE((*successor)->TakeOver().ok());
  }
  ASSERT_TRUE((*present)->TakeOver().ok());
  sdk::TestDisk disk(**present);
  ASSERT_TRUE(disk.Open().ok());
  ASSERT_EQ(disk.Write(0, std::vector<std::byte>(4096, std::byte{6})), 0);
  auto late = Definition().open(config);
  ASSERT_TRUE(late.ok());
  EXPECT_FALSE((*late)->TakeOver().ok());
}

}  // namespace
}  // namespace diskd::object
