// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/object_driver.h"

#include <fcntl.h>
#include <unistd.h>

#include "drivers/sdk/testing/conformance.h"

namespace diskd::object {
namespace {

struct DirTraits {
  static const sdk::DriverDefinition& Definition() { return object::Definition(); }
  static std::map<std::string, std::string> Parameters(const std::string& directory) {
    return {{"store", "dir:" + directory + "/store"}, {"log_mib", "16"}};
  }
  static constexpr bool kOutlivesProcess = true;
};

sdk::VolumeConfig Config(const sdk::TempDir& dir) {
  sdk::VolumeConfig config;
  config.volume_id = "object-test";
  config.size_bytes = 8 << 20;
  config.state_dir = dir.path();
  config.parameters = DirTraits::Parameters(dir.path());
  return config;
}

void ExpectFirstBlock(const sdk::VolumeConfig& config, std::byte want) {
  auto driver = Definition().open(config);
  ASSERT_TRUE(driver.ok()) << driver.status();
  sdk::TestDisk disk(**driver);
  ASSERT_TRUE(disk.Open().ok());
  std::vector<std::byte> data(4096);
  ASSERT_EQ(disk.Read(0, data), 0);
  EXPECT_EQ(data, std::vector<std::byte>(4096, want));
}

TEST(ObjectDriver_Close, LogLost_EverythingIsInTheStore) {
  const sdk::TempDir dir;
  const sdk::VolumeConfig config = Config(dir);
  ASSERT_TRUE(Definition().provision(config).ok());
  {
    auto driver = Definition().open(config);
    ASSERT_TRUE(driver.ok()) << driver.status();
    sdk::TestDisk disk(**driver);
    ASSERT_TRUE(disk.Open().ok());
    ASSERT_EQ(disk.Write(0, std::vector<std::byte>(4096, std::byte{7})), 0);
  }
  ASSERT_EQ(unlink((dir.path() + "/object.log").c_str()), 0);
  ExpectFirstBlock(config, std::byte{7});
}

TEST(ObjectDriver_Provision, VolumeOfThatIdInTheStore_IsRefusedOrUsed) {
  const sdk::TempDir dir;
  sdk::VolumeConfig config = Config(dir);
  ASSERT_TRUE(Definition().provision(config).ok());
  ASSERT_TRUE(Definition().provision(config).ok()) << "again after a crash";
  ExpectFirstBlock(config, std::byte{0});
  ASSERT_TRUE(Definition().provision(config).ok()) << "again after use";
  const sdk::TempDir other_node;
  config.state_dir = other_node.path();
  EXPECT_TRUE(absl::IsAlreadyExists(Definition().provision(config)));
  config.parameters["existing"] = "use";
  EXPECT_TRUE(Definition().provision(config).ok());
  ASSERT_TRUE(Definition().deprovision(config).ok());
  ASSERT_TRUE(Definition().provision(config).ok()) << "it stays in the store";
  config.size_bytes *= 2;
  EXPECT_TRUE(absl::IsInvalidArgument(Definition().provision(config)));
}

TEST(ObjectDriver_Parameters, Impossible_AreRefusedWithTheirName) {
  const sdk::TempDir dir;
  for (const auto& [name, value] : std::map<std::string, std::string>{{"store", ""},
                                                                      {"store", "ftp://x"},
                                                                      {"durability", "yes"},
                                                                      {"log_mib", "1"},
                                                                      {"log_dir", "relative"},
                                                                      {"volume", "ABC"},
                                                                      {"existing", "maybe"}}) {
    sdk::VolumeConfig config = Config(dir);
    config.parameters[name] = value;
    const absl::Status status = Definition().provision(config);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << name << "=" << value << ": " << status;
  }
}

}  // namespace
}  // namespace diskd::object

namespace diskd::sdk {
INSTANTIATE_TYPED_TEST_SUITE_P(ObjectOnDir, DriverConformance, object::DirTraits);
}  // namespace diskd::sdk
