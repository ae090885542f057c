// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/object_driver.h"

#include <fcntl.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "drivers/object/testing/test_volume.h"
#include "drivers/sdk/features.h"
#include "drivers/sdk/testing/conformance.h"

namespace diskd::object {
namespace {

struct DirTraits {
  static const sdk::DriverDefinition& Definition() { return object::Definition(); }
  static std::map<std::string, std::string> Parameters(const std::string& directory) {
    return TestParameters(directory);
  }
  static constexpr bool kOutlivesProcess = true;
};

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

TEST(ObjectDriver_Successor, NeedsTheLogOfItsPredecessor) {
  const sdk::TempDir dir;
  sdk::VolumeConfig config = Config(dir);
  ASSERT_TRUE(Definition().provision(config).ok());
  ExpectFirstBlock(config, std::byte{0});
  config.successor = true;
  ExpectFirstBlock(config, std::byte{0});
  const std::string log = dir.path() + "/object.log";
  ASSERT_EQ(unlink(log.c_str()), 0);
  const absl::Status refused = Definition().open(config).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_NE(refused.message().find(log), absl::string_view::npos) << refused;
  EXPECT_FALSE(std::filesystem::exists(log));
  config.successor = false;
  ExpectFirstBlock(config, std::byte{0});
}

TEST(ObjectDriver_Successor, TakesNothingFromAnotherNode) {
  const sdk::TempDir dir;
  const sdk::TempDir other_node;
  sdk::VolumeConfig config = Config(dir);
  ASSERT_TRUE(Definition().provision(config).ok());
  ExpectFirstBlock(config, std::byte{0});
  sdk::VolumeConfig other = config;
  other.state_dir = other_node.path();
  other.parameters["existing"] = "use";
  ASSERT_TRUE(Definition().provision(other).ok());
  ExpectFirstBlock(other, std::byte{0});
  config.successor = true;
  const absl::Status refused = Definition().open(config).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  other.successor = true;
  ExpectFirstBlock(other, std::byte{0});
  config.successor = false;
  ExpectFirstBlock(config, std::byte{0});
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
  for (const auto& [name, value] :
       std::map<std::string, std::string>{{"store", ""},
                                          {"store", "ftp://x"},
                                          {"durability", "yes"},
                                          {"log_mib", "1"},
                                          {"log_dir", "relative"},
                                          {"volume", "ABC"},
                                          {"existing", "maybe"},
                                          {"compression", "lz4"},
                                          {"compression", "zstd:0"},
                                          {"compression", "zstd:20"},
                                          {"encryption", "rot13"},
                                          {"encryption_key_file", "relative"}}) {
    sdk::VolumeConfig config = Config(dir);
    config.parameters[name] = value;
    const absl::Status status = Definition().provision(config);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << name << "=" << value << ": " << status;
  }
}

std::vector<std::string> Names(const absl::StatusOr<std::vector<sdk::Snapshot>>& snapshots) {
  EXPECT_TRUE(snapshots.ok()) << snapshots.status();
  std::vector<std::string> names;
  for (const sdk::Snapshot& snapshot : *snapshots) names.push_back(snapshot.name);
  return names;
}

TEST(ObjectDriver_Snapshot, TakenWhileServing_IsWhatARollbackAtRestBringsBack) {
  const sdk::TempDir dir;
  const sdk::VolumeConfig config = Config(dir);
  ASSERT_TRUE(Definition().provision(config).ok());
  {
    auto driver = Definition().open(config);
    ASSERT_TRUE(driver.ok()) << driver.status();
    sdk::TestDisk disk(**driver);
    ASSERT_TRUE(disk.Open().ok());
    ASSERT_EQ(disk.Write(0, std::vector<std::byte>(4096, std::byte{1})), 0);
    sdk::VolumeFeatures& features = *(*driver)->features();
    const auto created = features.CreateSnapshot("one");
    ASSERT_TRUE(created.ok()) << created.status();
    EXPECT_FALSE(created->existed);
    EXPECT_EQ(created->snapshot.size_bytes, config.size_bytes);
    ASSERT_EQ(disk.Write(0, std::vector<std::byte>(4096, std::byte{2})), 0);
    const auto again = features.CreateSnapshot("one");
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_TRUE(again->existed);
    EXPECT_EQ(again->snapshot.id, created->snapshot.id);
    EXPECT_TRUE(absl::IsFailedPrecondition(features.RollBack("one").status()));
    EXPECT_TRUE(absl::IsFailedPrecondition(features.Resize(4 << 20)));
    EXPECT_EQ(Names(features.ListSnapshots()), std::vector<std::string>{"one"});
  }
  ExpectFirstBlock(config, std::byte{2});
  EXPECT_TRUE(absl::IsNotFound((*Definition().at_rest(config))->RollBack("two").status()));
  const auto rolled = (*Definition().at_rest(config))->RollBack("one");
  ASSERT_TRUE(rolled.ok()) << rolled.status();
  EXPECT_EQ(*rolled, config.size_bytes);
  ExpectFirstBlock(config, std::byte{1});
}

TEST(ObjectDriver_Snapshot, AtRest_IsMadeListedAndDeleted) {
  const sdk::TempDir dir;
  const sdk::VolumeConfig config = Config(dir);
  ASSERT_TRUE(Definition().provision(config).ok());
  const auto rest = [&config] { return *Definition().at_rest(config); };
  EXPECT_EQ(Names(rest()->ListSnapshots()), std::vector<std::string>{});
  ASSERT_TRUE(rest()->CreateSnapshot("a").ok());
  ASSERT_TRUE(rest()->CreateSnapshot("b").ok());
  EXPECT_EQ(Names(rest()->ListSnapshots()), (std::vector<std::string>{"a", "b"}));
  ASSERT_TRUE(rest()->DeleteSnapshot("a").ok());
  ASSERT_TRUE(rest()->DeleteSnapshot("a").ok());
  EXPECT_EQ(Names(rest()->ListSnapshots()), std::vector<std::string>{"b"});
  EXPECT_TRUE(absl::IsUnimplemented(rest()->Statistics().status()));
}

void WriteFirstBlock(const sdk::VolumeConfig& config, std::byte value) {
  auto driver = Definition().open(config);
  ASSERT_TRUE(driver.ok()) << driver.status();
  sdk::TestDisk disk(**driver);
  ASSERT_TRUE(disk.Open().ok());
  ASSERT_EQ(disk.Write(0, std::vector<std::byte>(4096, value)), 0);
}

size_t ObjectsIn(const sdk::TempDir& dir) {
  size_t objects = 0;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(dir.path() + "/store/objects")) {
    if (entry.is_regular_file()) ++objects;
  }
  return objects;
}

TEST(ObjectDriver_Clone, LivesOnItsOwnAndLeavesNothing) {
  const sdk::TempDir dir;
  const sdk::TempDir clone_dir;
  const sdk::VolumeConfig config = Config(dir);
  sdk::VolumeConfig clone = config;
  clone.volume_id = "object-clone";
  clone.state_dir = clone_dir.path();
  ASSERT_TRUE(Definition().provision(config).ok());
  WriteFirstBlock(config, std::byte{1});
  EXPECT_TRUE(absl::IsNotFound(Definition().clone(clone, config, "s")));
  ASSERT_TRUE((*Definition().at_rest(config))->CreateSnapshot("s").ok());
  WriteFirstBlock(config, std::byte{2});
  clone.size_bytes *= 2;
  EXPECT_TRUE(absl::IsInvalidArgument(Definition().clone(clone, config, "s")));
  clone.size_bytes = config.size_bytes;
  ASSERT_TRUE(Definition().clone(clone, config, "s").ok());
  ASSERT_TRUE(Definition().clone(clone, config, "s").ok()) << "again after a crash";
  ExpectFirstBlock(clone, std::byte{1});
  WriteFirstBlock(clone, std::byte{3});
  ExpectFirstBlock(config, std::byte{2});
  ASSERT_TRUE((*Definition().at_rest(config))->DeleteSnapshot("s").ok());
  ASSERT_TRUE(Definition().deprovision(config).ok());
  ExpectFirstBlock(clone, std::byte{3});
  ASSERT_TRUE(Definition().deprovision(clone).ok());
  EXPECT_EQ(ObjectsIn(dir), 0u);
}

TEST(ObjectDriver_Deprovision, StoreThatCantBeOpened_KeepsTheVolume) {
  const sdk::TempDir dir;
  const sdk::VolumeConfig config = Config(dir);
  const std::string store = dir.path() + "/store";
  ASSERT_TRUE(Definition().deprovision(config).ok()) << "never made";
  ASSERT_TRUE(Definition().provision(config).ok());
  ASSERT_EQ(chmod(store.c_str(), 0755), 0);
  const absl::Status refused = Definition().deprovision(config);
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  ASSERT_EQ(chmod(store.c_str(), 0700), 0);
  ExpectFirstBlock(config, std::byte{0});
  ASSERT_TRUE(Definition().deprovision(config).ok());
  EXPECT_EQ(ObjectsIn(dir), 0u);
  ASSERT_TRUE(Definition().provision(config).ok());
  std::filesystem::remove_all(store);
  EXPECT_TRUE(Definition().deprovision(config).ok()) << "a directory that is gone has no volumes";
}

TEST(ObjectDriver_Deprovision, BrokenOff_IsKnownAsRepeatedWhereTheIdMayBeUsedAgain) {
  for (const std::string id : {"", "00112233445566778899aabbccddeeff"}) {
    const sdk::TempDir dir;
    sdk::VolumeConfig config = Config(dir);
    config.parameters["volume"] = id;
    ASSERT_TRUE(Definition().provision(config).ok());
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(dir.path() + "/store/objects")) {
      if (entry.is_regular_file()) std::ofstream(entry.path()) << "damaged";
    }
    const absl::Status failed = Definition().deprovision(config);
    EXPECT_TRUE(absl::IsDataLoss(failed)) << failed;
    EXPECT_EQ(std::filesystem::exists(dir.path() + "/object.deleting"), !id.empty());
  }
}

TEST(ObjectDriver_Fenced, RequestsThatFail_AreNotLoggedOneByOne) {
  const sdk::TempDir dir;
  const sdk::TempDir other_node;
  sdk::VolumeConfig config = Config(dir);
  config.parameters["durability"] = "remote";
  ASSERT_TRUE(Definition().provision(config).ok());
  auto driver = Definition().open(config);
  ASSERT_TRUE(driver.ok()) << driver.status();
  sdk::TestDisk disk(**driver);
  ASSERT_TRUE(disk.Open().ok());
  sdk::VolumeConfig other = config;
  other.state_dir = other_node.path();
  other.parameters["existing"] = "use";
  ASSERT_TRUE(Definition().provision(other).ok());
  ExpectFirstBlock(other, std::byte{0});
  std::ostringstream log;
  const auto before = spdlog::default_logger();
  spdlog::set_default_logger(std::make_shared<spdlog::logger>(
      "test", std::make_shared<spdlog::sinks::ostream_sink_mt>(log)));
  const std::vector<std::byte> data(4096);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(disk.Write(0, data, /*fua=*/true), EIO);
  spdlog::set_default_logger(before);
  int lines = 0;
  for (size_t at = 0; (at = log.str().find("request at", at)) != std::string::npos; ++at) ++lines;
  EXPECT_GE(lines, 1);
  EXPECT_LE(lines, 10) << log.str();
}

TEST(ObjectDriver_Resize, IsSeenByTheNextOpenAndUndoneByARollback) {
  const sdk::TempDir dir;
  sdk::VolumeConfig config = Config(dir);
  const uint64_t before = config.size_bytes;
  ASSERT_TRUE(Definition().provision(config).ok());
  const auto rest = [&config] { return *Definition().at_rest(config); };
  ASSERT_TRUE(rest()->CreateSnapshot("small").ok());
  ASSERT_TRUE(rest()->Resize(before * 2).ok());
  ASSERT_TRUE(rest()->Resize(before * 2).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(rest()->Resize(before + 512)));
  {
    const auto driver = Definition().open(config);
    ASSERT_TRUE(driver.ok()) << driver.status();
    EXPECT_EQ((*driver)->geometry().size_bytes, before * 2) << "not what the caller believes";
  }
  EXPECT_EQ(*rest()->RollBack("small"), before);
  EXPECT_EQ((*Definition().open(config))->geometry().size_bytes, before);
}

TEST(ObjectDriver_Diff, TellsWhatOneSnapshotHasChanged) {
  const sdk::TempDir dir;
  const sdk::VolumeConfig config = Config(dir);
  ASSERT_TRUE(Definition().provision(config).ok());
  const auto rest = [&config] { return *Definition().at_rest(config); };
  ASSERT_TRUE(rest()->CreateSnapshot("empty").ok());
  WriteFirstBlock(config, std::byte{1});
  ASSERT_TRUE(rest()->CreateSnapshot("written").ok());
  const auto page = rest()->Diff("empty", "written", 0, 10);
  ASSERT_TRUE(page.ok()) << page.status();
  ASSERT_EQ(page->extents.size(), 1u);
  EXPECT_EQ(page->extents[0].offset, 0u);
  EXPECT_EQ(page->extents[0].length, 4096u);
  EXPECT_EQ(page->next, config.size_bytes);
  EXPECT_TRUE(rest()->Diff("written", "written", 0, 10)->extents.empty());
  EXPECT_EQ(rest()->Diff("", "written", 0, 10)->extents.size(), 1u);
  EXPECT_TRUE(absl::IsNotFound(rest()->Diff("empty", "nosuch", 0, 10).status()));
}

TEST(ObjectDriver_Check, FindsTheObjectThatIsGone) {
  const sdk::TempDir dir;
  const sdk::VolumeConfig config = Config(dir);
  ASSERT_TRUE(Definition().provision(config).ok());
  WriteFirstBlock(config, std::byte{1});
  auto report = (*Definition().at_rest(config))->Check();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->problems.empty());
  // The data is the largest object.
  std::filesystem::path largest;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(dir.path() + "/store/objects")) {
    if (!entry.is_regular_file()) continue;
    if (largest.empty() || entry.file_size() > std::filesystem::file_size(largest)) {
      largest = entry.path();
    }
  }
  std::filesystem::remove(largest);
  report = (*Definition().at_rest(config))->Check();
  ASSERT_TRUE(report.ok()) << report.status();
  ASSERT_FALSE(report->problems.empty());
  EXPECT_NE(report->problems[0].find(largest.filename()), std::string::npos) << report->problems[0];
}

double Statistic(sdk::Driver& driver, const std::string& name) {
  const auto statistics = driver.features()->Statistics();
  for (const sdk::Statistic& statistic : *statistics) {
    if (statistic.name == name) return statistic.value;
  }
  ADD_FAILURE() << "no statistic " << name;
  return -1;
}

// What was written before is read after a restart without a GET for data.
TEST(ObjectDriver_Cache, AfterARestart_IsStillThere_AndMayBeLost) {
  const sdk::TempDir dir;
  const sdk::VolumeConfig config = Config(dir);
  const std::string cache = dir.path() + "/object.cache";
  ASSERT_TRUE(Definition().provision(config).ok());
  WriteFirstBlock(config, std::byte{1});
  for (const bool lost : {false, true}) {
    if (lost) std::filesystem::remove(cache);
    auto driver = Definition().open(config);
    ASSERT_TRUE(driver.ok()) << driver.status();
    EXPECT_TRUE(std::filesystem::exists(cache));
    sdk::TestDisk disk(**driver);
    ASSERT_TRUE(disk.Open().ok());
    std::vector<std::byte> data(4096);
    ASSERT_EQ(disk.Read(0, data), 0);
    EXPECT_EQ(data, std::vector<std::byte>(4096, std::byte{1}));
    EXPECT_EQ(Statistic(**driver, "cache_damaged"), 0);
    EXPECT_EQ(Statistic(**driver, "store_corrupt") + Statistic(**driver, "store_lost"), 0);
    if (lost) {
      EXPECT_EQ(Statistic(**driver, "cache_restored"), 0);
    }
  }
  ASSERT_TRUE(Definition().deprovision(config).ok());
  EXPECT_FALSE(std::filesystem::exists(cache));
}

TEST(ObjectDriver_Cache, ThatCannotBeMade_IsDoneWithout) {
  const sdk::TempDir dir;
  const sdk::VolumeConfig config = Config(dir);
  ASSERT_TRUE(Definition().provision(config).ok());
  std::filesystem::create_directory(dir.path() + "/object.cache");
  WriteFirstBlock(config, std::byte{1});
  ExpectFirstBlock(config, std::byte{1});
}

TEST(ObjectDriver_Cache, ImpossibleSize_IsRefused) {
  const sdk::TempDir dir;
  sdk::VolumeConfig config = Config(dir);
  for (const char* size : {"15", "4097", "-1", "big"}) {
    config.parameters["cache_mib"] = size;
    EXPECT_TRUE(absl::IsInvalidArgument(Definition().provision(config))) << size;
  }
  config.parameters["cache_mib"] = "0";
  EXPECT_TRUE(Definition().provision(config).ok());
}

TEST(ObjectDriver_Statistics, TellWhatWasWrittenAndStored) {
  const sdk::TempDir dir;
  const sdk::VolumeConfig config = Config(dir);
  ASSERT_TRUE(Definition().provision(config).ok());
  auto driver = Definition().open(config);
  ASSERT_TRUE(driver.ok()) << driver.status();
  sdk::TestDisk disk(**driver);
  ASSERT_TRUE(disk.Open().ok());
  const auto value = [&](const std::string& name) {
    const auto statistics = (*driver)->features()->Statistics();
    for (const sdk::Statistic& statistic : *statistics) {
      if (statistic.name == name) return statistic.value;
    }
    ADD_FAILURE() << "no statistic " << name;
    return -1.0;
  };
  EXPECT_EQ(value("guest_written"), 0);
  ASSERT_EQ(disk.Write(0, std::vector<std::byte>(4096, std::byte{1})), 0);
  EXPECT_EQ(value("guest_written"), 4096);
  EXPECT_EQ(value("writes_not_uploaded"), 1);
  EXPECT_GT(value("dirty"), 0);
  EXPECT_GT(value("upload_lag"), 0);
  ASSERT_TRUE((*driver)->features()->CreateSnapshot("s").ok());  // uploads everything
  EXPECT_EQ(value("writes_not_uploaded"), 0);
  EXPECT_EQ(value("upload_lag"), 0);
  EXPECT_GE(value("store_written"), 4096);
  EXPECT_GE(value("write_amplification"), 1);
}

}  // namespace
}  // namespace diskd::object

namespace diskd::sdk {
INSTANTIATE_TYPED_TEST_SUITE_P(ObjectOnDir, DriverConformance, object::DirTraits);
}  // namespace diskd::sdk
