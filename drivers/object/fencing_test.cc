// SPDX-License-Identifier: Apache-2.0
//
// Volumes with fencing=lease as the driver has them, with a short lease.
#include <gmock/gmock.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "drivers/object/testing/test_volume.h"
#include "drivers/sdk/features.h"

namespace diskd::object {
namespace {

using ::testing::HasSubstr;

sdk::VolumeConfig Leased(const sdk::TempDir& dir) {
  sdk::VolumeConfig config = Config(dir);
  config.parameters["fencing"] = "lease";
  config.parameters["lease_s"] = "6";  // a busy machine may not run an owner for seconds
  config.parameters["late_s"] = "1";
  return config;
}

// Writes the first block, and takes a snapshot of that.
void WriteAndSnapshot(const sdk::VolumeConfig& config, std::byte value, const char* snapshot) {
  auto driver = Definition().open(config);
  ASSERT_TRUE(driver.ok()) << driver.status();
  sdk::TestDisk disk(**driver);
  ASSERT_TRUE(disk.Open().ok());
  ASSERT_EQ(disk.Write(0, std::vector<std::byte>(4096, value)), 0);
  ASSERT_TRUE((*driver)->features()->CreateSnapshot(snapshot).ok());
}

void ExpectRefused(const sdk::VolumeConfig& config, const char* why) {
  const absl::Status status = Definition().provision(config);
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(why));
}

TEST(ObjectDriver_LeaseParameters, ThatContradictEachOther_AreRefused) {
  const sdk::TempDir dir;
  sdk::VolumeConfig config = Leased(dir);
  config.parameters["fencing"] = "hope";
  ExpectRefused(config, "fencing=hope");
  config.parameters["fencing"] = "cas";
  ExpectRefused(config, "lease_s=6");
  config = Leased(dir);
  config.parameters["late_s"] = "0";
  ExpectRefused(config, "late_s=0");
}

// It had to be given once, and volumes keep what they were created with.
TEST(ObjectDriver_LeaseParameters, OfEarlierVersions_AreTaken) {
  const sdk::TempDir dir;
  sdk::VolumeConfig config = Leased(dir);
  config.parameters["open_limit_s"] = "60";
  const auto& known = Definition().parameters;
  for (const auto& given : config.parameters) {
    EXPECT_TRUE(std::any_of(known.begin(), known.end(), [&given](const auto& parameter) {
      return parameter.name == given.first;
    })) << given.first;
  }
  EXPECT_TRUE(Definition().provision(config).ok());
  EXPECT_TRUE(Definition().deprovision(config).ok());
}

TEST(ObjectDriver_Lease, AnotherNodeFindsWhatWasWritten_AndTheFirstOneToo) {
  const sdk::TempDir dir;
  const sdk::TempDir elsewhere;
  const sdk::VolumeConfig config = Leased(dir);
  ASSERT_TRUE(Definition().provision(config).ok());
  ASSERT_TRUE(Definition().provision(config).ok()) << "a creation can be repeated";
  {
    auto driver = Definition().open(config);
    ASSERT_TRUE(driver.ok()) << driver.status();
    sdk::TestDisk disk(**driver);
    ASSERT_TRUE(disk.Open().ok());
    ASSERT_EQ(disk.Write(0, std::vector<std::byte>(4096, std::byte{7})), 0);
    EXPECT_TRUE(absl::IsFailedPrecondition((*driver)->LetGo())) << "it can't be handed over";
  }
  sdk::VolumeConfig other = config;
  other.state_dir = elsewhere.path();
  other.parameters["existing"] = "use";
  ASSERT_TRUE(Definition().provision(other).ok());
  ExpectFirstBlock(other, std::byte{7});
  ExpectFirstBlock(config, std::byte{7});
}

TEST(ObjectDriver_Lease, WhileTheOwnerGoesOn_AnotherNodeIsRefused) {
  const sdk::TempDir dir;
  const sdk::TempDir elsewhere;
  const sdk::VolumeConfig config = Leased(dir);
  ASSERT_TRUE(Definition().provision(config).ok());
  const auto owner = Definition().open(config);
  ASSERT_TRUE(owner.ok()) << owner.status();
  sdk::VolumeConfig other = config;
  other.state_dir = elsewhere.path();
  other.parameters["existing"] = "use";
  ASSERT_TRUE(Definition().provision(other).ok());
  const auto refused = Definition().open(other);
  EXPECT_TRUE(absl::IsFailedPrecondition(refused.status())) << refused.status();
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("detach it there"));
  EXPECT_TRUE((*owner)->health().ok()) << (*owner)->health();
}

TEST(ObjectDriver_Lease, SnapshotsOfADetachedVolume_AreMadeListedAndDeleted) {
  const sdk::TempDir dir;
  const sdk::VolumeConfig config = Leased(dir);
  ASSERT_TRUE(Definition().provision(config).ok());
  const auto features = Definition().at_rest(config);
  ASSERT_TRUE(features.ok());
  ASSERT_TRUE((*features)->CreateSnapshot("monday").ok());
  EXPECT_EQ((*features)->ListSnapshots()->size(), 1u);
  sdk::VolumeConfig clone = config;
  clone.volume_id = "clone";
  const absl::Status cloned = Definition().clone(clone, config, "monday");
  EXPECT_TRUE(absl::IsUnimplemented(cloned)) << cloned;
  ASSERT_TRUE((*features)->DeleteSnapshot("monday").ok());
  EXPECT_TRUE((*features)->ListSnapshots()->empty());
  const auto report = (*features)->Check();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->problems.empty());
  EXPECT_TRUE(Definition().deprovision(config).ok());
}

TEST(ObjectDriver_Lease, CopyOfACasSnapshot_HasItsData) {
  const sdk::TempDir dir;
  const sdk::TempDir target;
  const sdk::VolumeConfig source = Config(dir);
  ASSERT_TRUE(Definition().provision(source).ok());
  WriteAndSnapshot(source, std::byte{7}, "monday");
  sdk::VolumeConfig copy = Leased(target);
  copy.volume_id = "copy";
  const absl::Status copied = Definition().copy(copy, source, "monday");
  ASSERT_TRUE(copied.ok()) << copied;
  ExpectFirstBlock(copy, std::byte{7});
}

absl::Status Make(const std::string& how, const sdk::VolumeConfig& config,
                  const sdk::VolumeConfig& source) {
  if (how == "clone") return Definition().clone(config, source, "monday");
  if (how == "copy") return Definition().copy(config, source, "monday");
  return Definition().provision(config);
}

// A refused creation is undone by its own deprovision: of the volume that was there before,
// nothing.
TEST(ObjectDriver_Fencing, VolumeOfThatId_OutlivesTheRefusedOne) {
  for (const bool leased : {false, true}) {
    for (const std::string how : {"provision", "clone", "copy"}) {
      if (leased && how == "clone") continue;  // not possible
      SCOPED_TRACE(absl::StrCat(how, leased ? " lease" : " cas"));
      const sdk::TempDir dir;
      const sdk::TempDir of_source;
      const sdk::TempDir elsewhere;
      sdk::VolumeConfig first = leased ? Leased(dir) : Config(dir);
      first.parameters["volume"] = "00112233445566778899aabbccddeeff";
      ASSERT_TRUE(Definition().provision(first).ok());
      WriteAndSnapshot(first, std::byte{7}, "sunday");
      sdk::VolumeConfig source = leased ? Leased(dir) : Config(dir);
      source.volume_id = "source";
      source.state_dir = of_source.path();
      ASSERT_TRUE(Definition().provision(source).ok());
      WriteAndSnapshot(source, std::byte{1}, "monday");
      sdk::VolumeConfig second = first;
      second.volume_id = "second";
      second.state_dir = elsewhere.path();
      const absl::Status refused = Make(how, second, source);
      EXPECT_TRUE(absl::IsAlreadyExists(refused)) << refused;
      const absl::Status undone = Definition().deprovision(second);
      EXPECT_TRUE(undone.ok()) << undone;
      ExpectFirstBlock(first, std::byte{7});
    }
  }
}

// Each would delete the other one's objects.
TEST(ObjectDriver_Fencing, VolumeOfThatIdWithTheOther_IsRefused) {
  for (const bool lease_first : {false, true}) {
    const sdk::TempDir dir;
    const sdk::TempDir elsewhere;
    const sdk::VolumeConfig cas = Config(dir);
    const sdk::VolumeConfig lease = Leased(dir);
    ASSERT_TRUE(Definition().provision(lease_first ? lease : cas).ok());
    sdk::VolumeConfig other = lease_first ? cas : lease;
    other.state_dir = elsewhere.path();
    const absl::Status refused = Definition().provision(other);
    EXPECT_TRUE(absl::IsAlreadyExists(refused)) << refused;
    EXPECT_THAT(std::string(refused.message()),
                HasSubstr(lease_first ? "fencing=lease" : "fencing=cas"));
  }
}

TEST(ObjectDriver_Lease, VolumeCreatedWithCas_IsNotFound) {
  const sdk::TempDir dir;
  ASSERT_TRUE(Definition().provision(Config(dir)).ok());
  const auto driver = Definition().open(Leased(dir));
  EXPECT_TRUE(absl::IsNotFound(driver.status())) << driver.status();
  EXPECT_THAT(std::string(driver.status().message()), HasSubstr("with fencing=lease"));
}

}  // namespace
}  // namespace diskd::object
