// SPDX-License-Identifier: Apache-2.0
#include "drivers/memory/memory_driver.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "absl/strings/str_cat.h"
#include "drivers/sdk/features.h"
#include "drivers/sdk/testing/conformance.h"
#include "drivers/sdk/testing/test_disk.h"

namespace diskd::memory_driver {

struct MemoryTraits {
  static const sdk::DriverDefinition& Definition() { return memory_driver::Definition(); }
  static std::map<std::string, std::string> Parameters(const std::string&) { return {}; }
  static constexpr bool kOutlivesProcess = true;
};

}  // namespace diskd::memory_driver

namespace diskd::sdk {
INSTANTIATE_TYPED_TEST_SUITE_P(Memory, DriverConformance, memory_driver::MemoryTraits);
}  // namespace diskd::sdk

namespace diskd::memory_driver {
namespace {

class MemoryDriverTest : public testing::Test {
 protected:
  void SetUp() override {
    config_.volume_id = absl::StrCat("memory-test-", getpid());
    config_.size_bytes = 1 << 20;
    config_.state_dir = dir_.path();
    config_.parameters["dir"] = shm_.path();
  }
  std::string BackingPath() const {
    return absl::StrCat(shm_.path(), "/diskd-", config_.volume_id);
  }

  sdk::TempDir dir_;
  sdk::TempDir shm_{"/dev/shm"};
  sdk::VolumeConfig config_;
};

TEST_F(MemoryDriverTest, Dir_Missing_IsNamedWithAdvice) {
  config_.parameters["dir"] = shm_.path() + "/missing";
  const absl::Status status = Definition().provision(config_);
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  EXPECT_NE(status.message().find(shm_.path() + "/missing"), absl::string_view::npos);
  EXPECT_NE(status.message().find("create"), absl::string_view::npos);
  EXPECT_TRUE(Definition().deprovision(config_).ok());
}

TEST_F(MemoryDriverTest, Locked_NeitherTrueNorFalse_IsRefused) {
  config_.parameters["locked"] = "maybe";
  const absl::Status status = Definition().provision(config_);
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_NE(status.message().find("maybe"), absl::string_view::npos);
}

TEST_F(MemoryDriverTest, Locked_AllMemory_IsTakenAndStays) {
  config_.parameters["locked"] = "true";
  ASSERT_TRUE(Definition().provision(config_).ok());
  const auto driver = Definition().open(config_);
  if (driver.status().message().find("CAP_IPC_LOCK") != absl::string_view::npos) {
    GTEST_SKIP() << driver.status();
  }
  ASSERT_TRUE(driver.ok()) << driver.status();
  const auto allocated = [this] {
    struct stat status;
    EXPECT_EQ(stat(BackingPath().c_str(), &status), 0);
    return static_cast<uint64_t>(status.st_blocks) * 512;
  };
  EXPECT_GE(allocated(), config_.size_bytes);
  // A discard would give memory back.
  EXPECT_FALSE((*driver)->geometry().discard);
  auto* disk = dynamic_cast<sdk::SyncDriver*>(driver->get());
  ASSERT_NE(disk, nullptr);
  std::vector<std::byte> block(8192, std::byte{0x5a});
  ASSERT_EQ(disk->Write(4096, absl::MakeConstSpan(block), false), 0);
  ASSERT_EQ(disk->WriteZeroes(4096, 4096), 0);
  ASSERT_EQ(disk->Read(4096, absl::MakeSpan(block)), 0);
  EXPECT_EQ(block[0], std::byte{0});
  EXPECT_EQ(block[4096], std::byte{0x5a});
  EXPECT_GE(allocated(), config_.size_bytes);
  ASSERT_TRUE(Definition().deprovision(config_).ok());
}

TEST_F(MemoryDriverTest, Provision_BeyondTheLimit_IsRefused) {
  config_.size_bytes = uint64_t{2} << 40;
  EXPECT_TRUE(absl::IsInvalidArgument(Definition().provision(config_)));
}

TEST_F(MemoryDriverTest, Dir_NotOnTmpfs_IsRefused) {
  config_.parameters["dir"] = "/proc";
  EXPECT_TRUE(absl::IsInvalidArgument(Definition().provision(config_)));
}

TEST_F(MemoryDriverTest, MemoryOpenToOthers_IsNotAdopted) {
  ASSERT_TRUE(Definition().provision(config_).ok());
  ASSERT_EQ(chmod(BackingPath().c_str(), 0666), 0);
  EXPECT_TRUE(absl::IsPermissionDenied(Definition().open(config_).status()));
  EXPECT_TRUE(absl::IsPermissionDenied(Definition().provision(config_)));
  ASSERT_EQ(chmod(BackingPath().c_str(), 0600), 0);
  EXPECT_TRUE(Definition().open(config_).ok());
  if (geteuid() != 0) return;
  ASSERT_EQ(chown(BackingPath().c_str(), 1, 1), 0);
  EXPECT_TRUE(absl::IsPermissionDenied(Definition().open(config_).status()));
}

TEST_F(MemoryDriverTest, Deprovision_RemovesTheMemory) {
  ASSERT_TRUE(Definition().provision(config_).ok());
  ASSERT_EQ(access(BackingPath().c_str(), F_OK), 0);
  ASSERT_TRUE(Definition().deprovision(config_).ok());
  EXPECT_NE(access(BackingPath().c_str(), F_OK), 0);
  const absl::Status status = Definition().open(config_).status();
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
}

TEST_F(MemoryDriverTest, Disk_IsSparseAndDiscardGivesMemoryBack) {
  ASSERT_TRUE(Definition().provision(config_).ok());
  auto driver = Definition().open(config_);
  ASSERT_TRUE(driver.ok()) << driver.status();
  sdk::TestDisk disk(**driver);
  ASSERT_TRUE(disk.Open().ok());
  struct stat status;
  std::vector<std::byte> page(4096, std::byte{1});
  ASSERT_EQ(disk.Read(0, page), 0);  // reading a hole must not fill it
  ASSERT_EQ(stat(BackingPath().c_str(), &status), 0);
  EXPECT_EQ(status.st_blocks, 0);
  ASSERT_EQ(disk.Write(8192, std::vector<std::byte>(4096, std::byte{1})), 0);
  ASSERT_EQ(stat(BackingPath().c_str(), &status), 0);
  EXPECT_EQ(status.st_blocks, 8);
  ASSERT_EQ(disk.Run(sdk::TestRequest(sdk::Op::kDiscard, 0, 1 << 20)), 0);
  ASSERT_EQ(stat(BackingPath().c_str(), &status), 0);
  EXPECT_EQ(status.st_blocks, 0);
  ASSERT_TRUE(Definition().deprovision(config_).ok());
}

constexpr int kNoNamespace = 77;

// In a child with a mount namespace of its own. Exits with 0, or the number of the step that
// failed.
[[noreturn]] void FillSmallTmpfs(sdk::VolumeConfig config, const std::string& dir) {
  if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      mount("tmpfs", dir.c_str(), "tmpfs", 0, "size=256k") != 0) {
    _exit(kNoNamespace);
  }
  config.parameters["dir"] = dir;
  if (!Definition().provision(config).ok()) _exit(1);
  auto driver = Definition().open(config);
  if (!driver.ok()) _exit(2);
  sdk::TestDisk disk(**driver);
  if (!disk.Open().ok() || disk.Write(0, std::vector<std::byte>(4096)) != 0) _exit(3);
  if (disk.Write(4096, std::vector<std::byte>(512 * 1024)) != ENOSPC) _exit(4);
  std::vector<std::byte> data(1 << 20);
  if (disk.Read(0, data) != 0) _exit(5);
  if (disk.Write(0, std::vector<std::byte>(4096, std::byte{1})) != 0) _exit(6);
  _exit(0);
}

TEST_F(MemoryDriverTest, FullTmpfs_IsNoSpaceAndNotTheEndOfTheProcess) {
  const pid_t child = fork();
  if (child == 0) FillSmallTmpfs(config_, dir_.path());
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status)) << "killed by signal " << WTERMSIG(status);
  if (WEXITSTATUS(status) == kNoNamespace) GTEST_SKIP() << "needs CAP_SYS_ADMIN";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(MemoryDriverTest, Resize_GrowsWhileServedAndShrinksAtRestOnly) {
  ASSERT_TRUE(Definition().provision(config_).ok());
  const uint64_t before = config_.size_bytes;
  const std::vector<std::byte> data(4096, std::byte{7});
  {
    auto driver = Definition().open(config_);
    ASSERT_TRUE(driver.ok()) << driver.status();
    sdk::TestDisk disk(**driver);
    ASSERT_TRUE(disk.Open().ok());
    ASSERT_EQ(disk.Write(before - 4096, data), 0);
    ASSERT_TRUE((*driver)->features()->Resize(before * 2).ok());
    ASSERT_TRUE((*driver)->features()->Resize(before * 2).ok());
    EXPECT_EQ((*driver)->geometry().size_bytes, before);
    EXPECT_TRUE(absl::IsFailedPrecondition((*driver)->features()->Resize(before / 2)));
    EXPECT_TRUE(absl::IsInvalidArgument((*driver)->features()->Resize(uint64_t{1} << 41)));
    // Of a grow that was broken off.
    config_.successor = true;
    ASSERT_TRUE(Definition().open(config_).ok());
    config_.successor = false;
    EXPECT_TRUE(absl::IsFailedPrecondition(Definition().open(config_).status()));
  }
  config_.size_bytes = before * 2;
  {
    auto driver = Definition().open(config_);
    ASSERT_TRUE(driver.ok()) << driver.status();
    sdk::TestDisk disk(**driver);
    ASSERT_TRUE(disk.Open().ok());
    std::vector<std::byte> read(4096);
    ASSERT_EQ(disk.Read(before - 4096, read), 0);
    EXPECT_EQ(read, data);
    ASSERT_EQ(disk.Read(before, read), 0);
    EXPECT_EQ(read, std::vector<std::byte>(4096));
    ASSERT_EQ(disk.Write(before * 2 - 4096, data), 0);
  }
  ASSERT_TRUE((*Definition().at_rest(config_))->Resize(before / 2).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(Definition().open(config_).status()));
}

TEST_F(MemoryDriverTest, Open_OfCutMemory_IsRefused) {
  ASSERT_TRUE(Definition().provision(config_).ok());
  ASSERT_EQ(truncate(BackingPath().c_str(), 4096), 0);
  EXPECT_TRUE(absl::IsFailedPrecondition(Definition().open(config_).status()));
}

}  // namespace
}  // namespace diskd::memory_driver
