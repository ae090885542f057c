// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>

#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "drivers/object/object_driver.h"
#include "drivers/object/packing_parameters.h"
#include "drivers/object/testing/test_volume.h"
#include "drivers/sdk/features.h"
#include "gtest/gtest.h"

namespace diskd::object {
namespace {

TEST(ObjectDriver_Encryption, KeyIsNeededForEverythingButDeletion) {
  const sdk::TempDir dir;
  sdk::VolumeConfig config = Config(dir);
  config.secrets["encryption_key"] = std::string(64, 'a');
  config.parameters["compression"] = "zstd:1";
  ASSERT_TRUE(Definition().provision(config).ok());
  ASSERT_TRUE(Definition().provision(config).ok()) << "again after a crash";
  ExpectFirstBlock(config, std::byte{0});
  sdk::VolumeConfig none = config;
  none.secrets.clear();
  sdk::VolumeConfig wrong = config;
  wrong.secrets["encryption_key"] = std::string(64, 'b');
  EXPECT_TRUE(absl::IsFailedPrecondition(Definition().open(none).status()));
  EXPECT_TRUE(absl::IsPermissionDenied(Definition().open(wrong).status()));
  for (const sdk::VolumeConfig& other : {none, wrong}) {
    const auto rest = [&other] { return *Definition().at_rest(other); };
    EXPECT_FALSE(rest()->CreateSnapshot("s").ok());
    EXPECT_FALSE(rest()->Check().ok());
    EXPECT_FALSE(rest()->Resize(16 << 20).ok());
  }
  const auto rest = [&config] { return *Definition().at_rest(config); };
  ASSERT_TRUE(rest()->CreateSnapshot("s").ok());
  EXPECT_TRUE(rest()->Check()->problems.empty());
  EXPECT_TRUE(rest()->Diff("", "s", 0, 10).ok());
  const sdk::TempDir clone_dir;
  sdk::VolumeConfig clone = none;
  clone.volume_id = "object-clone";
  clone.state_dir = clone_dir.path();
  EXPECT_TRUE(absl::IsFailedPrecondition(Definition().clone(clone, config, "s")));
  clone.secrets = config.secrets;
  ASSERT_TRUE(Definition().clone(clone, config, "s").ok());
  ExpectFirstBlock(clone, std::byte{0});
  ASSERT_TRUE(Definition().deprovision(none).ok());
  clone.secrets.clear();
  ASSERT_TRUE(Definition().deprovision(clone).ok());
}

TEST(ObjectDriver_Encryption, ExistingVolume_IsTakenWithItsKeyOnly) {
  const sdk::TempDir dir;
  const sdk::TempDir other_node;
  sdk::VolumeConfig config = Config(dir);
  config.secrets["encryption_key"] = std::string(64, 'a');
  ASSERT_TRUE(Definition().provision(config).ok());
  sdk::VolumeConfig other = config;
  other.state_dir = other_node.path();
  other.parameters["existing"] = "use";
  other.secrets.clear();
  EXPECT_TRUE(absl::IsFailedPrecondition(Definition().provision(other)));
  other.secrets["encryption_key"] = std::string(64, 'b');
  EXPECT_TRUE(absl::IsPermissionDenied(Definition().provision(other)));
  other.secrets = config.secrets;
  EXPECT_TRUE(Definition().provision(other).ok());
}

TEST(ObjectDriver_Encryption, KeyFile_HasToBeAKeyAndNobodyElses) {
  const sdk::TempDir dir;
  sdk::VolumeConfig config = Config(dir);
  const std::string path = dir.path() + "/key";
  config.parameters["encryption_key_file"] = path;
  const auto refused = [&](const char* why) {
    const absl::Status status = Definition().provision(config);
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    EXPECT_NE(status.message().find(why), absl::string_view::npos) << status;
    EXPECT_NE(status.message().find(path), absl::string_view::npos) << status;
  };
  refused("No such file");
  std::ofstream(path) << "too-short-a-secret\n";
  chmod(path.c_str(), 0644);
  refused("everybody");
  chmod(path.c_str(), 0600);
  refused("this has");
  EXPECT_EQ(Definition().provision(config).message().find("too-short"), absl::string_view::npos);
  std::ofstream(path) << std::string(64, 'A') << "\n";
  ASSERT_TRUE(Definition().provision(config).ok());
  ExpectFirstBlock(config, std::byte{0});
  config.parameters["encryption"] = "none";
  EXPECT_TRUE(absl::IsInvalidArgument(Definition().provision(config)));
}

TEST(ObjectDriver_Encryption, Key_IsRawOrHexadecimal) {
  EXPECT_TRUE(ParseKey(std::string(32, 'x')).ok());
  EXPECT_EQ(*ParseKey(" 0f" + std::string(62, '0') + "\n"), (PackingKey{15}));
  for (const std::string& bad : {std::string(), std::string(31, 'x'), std::string(64, 'g'),
                                 std::string(32, '\0'), std::string(64, '0')}) {
    EXPECT_FALSE(ParseKey(bad).ok()) << bad.size();
  }
}

TEST(ObjectDriver_Compression, SwitchedOnLater_ReadsTheOldAndPacksTheNew) {
  const sdk::TempDir dir;
  sdk::VolumeConfig config = Config(dir);
  ASSERT_TRUE(Definition().provision(config).ok());
  ExpectFirstBlock(config, std::byte{0});
  config.parameters["compression"] = "zstd";
  auto driver = Definition().open(config);
  ASSERT_TRUE(driver.ok()) << driver.status();
  sdk::TestDisk disk(**driver);
  ASSERT_TRUE(disk.Open().ok());
  ASSERT_EQ(disk.Write(0, std::vector<std::byte>(1 << 20, std::byte{1})), 0);
  ASSERT_TRUE((*driver)->features()->CreateSnapshot("s").ok());  // uploads everything
  const auto statistics = (*driver)->features()->Statistics();
  ASSERT_TRUE(statistics.ok()) << statistics.status();
  std::map<std::string, double> values;
  for (const sdk::Statistic& statistic : *statistics) values[statistic.name] = statistic.value;
  ASSERT_TRUE(values.contains("store_written") && values.contains("compression"));
  EXPECT_LT(values["store_written"], 1 << 19);
  EXPECT_GT(values["compression"], 2);
}

}  // namespace
}  // namespace diskd::object
