// SPDX-License-Identifier: Apache-2.0
#include "drivers/file/file_driver.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "base/fd.h"
#include "drivers/file/backing.h"
#include "drivers/sdk/features.h"
#include "drivers/sdk/ring_queue_io.h"
#include "drivers/sdk/testing/conformance.h"

namespace diskd::file_driver {

struct DirectTraits {
  static const sdk::DriverDefinition& Definition() { return file_driver::Definition(); }
  static std::map<std::string, std::string> Parameters(const std::string&) { return {}; }
  static constexpr bool kOutlivesProcess = true;
};

// tmpfs: the page cache, and on older kernels no O_DIRECT and no zero range.
struct TmpfsTraits : DirectTraits {
  static std::map<std::string, std::string> Parameters(const std::string&) {
    return {{"dir", "/dev/shm"}};
  }
};

struct PreallocatedTraits : DirectTraits {
  static std::map<std::string, std::string> Parameters(const std::string& directory) {
    return {{"dir", directory}, {"allocate", "full"}};
  }
};

}  // namespace diskd::file_driver

namespace diskd::sdk {
INSTANTIATE_TYPED_TEST_SUITE_P(File, DriverConformance, file_driver::DirectTraits);
INSTANTIATE_TYPED_TEST_SUITE_P(FileOnTmpfs, DriverConformance, file_driver::TmpfsTraits);
INSTANTIATE_TYPED_TEST_SUITE_P(FilePreallocated, DriverConformance,
                               file_driver::PreallocatedTraits);
}  // namespace diskd::sdk

namespace diskd::file_driver {
namespace {

bool Mentions(const absl::Status& status, const std::string& text) {
  return status.message().find(text) != absl::string_view::npos;
}

class FileDriverTest : public testing::Test {
 protected:
  void SetUp() override {
    config_.volume_id = "file-test";
    config_.size_bytes = 1 << 20;
    config_.state_dir = dir_.path() + "/state";
    ASSERT_EQ(mkdir(config_.state_dir.c_str(), 0700), 0);
    path_ = dir_.path() + "/disk.raw";
    config_.parameters["path"] = path_;
  }
  void WriteFile(const std::string& path, size_t bytes) {
    std::ofstream(path) << std::string(bytes, 'x');
  }
  std::string FirstBytes() const {
    std::ifstream in(path_);
    char bytes[4] = {};
    in.read(bytes, sizeof(bytes));
    return std::string(bytes, sizeof(bytes));
  }
  bool Exists() const { return access(path_.c_str(), F_OK) == 0; }

  sdk::TempDir dir_;
  std::string path_;
  sdk::VolumeConfig config_;
};

TEST_F(FileDriverTest, Provision_Thin_TakesNoSpace) {
  ASSERT_TRUE(Definition().provision(config_).ok());
  struct stat status;
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_size, 1 << 20);
  EXPECT_LT(status.st_blocks, 64);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(FileDriverTest, Provision_Full_TakesAllSpace) {
  config_.parameters["allocate"] = "full";
  ASSERT_TRUE(Definition().provision(config_).ok());
  struct stat status;
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_GE(status.st_blocks * 512, 1 << 20);
}

TEST_F(FileDriverTest, Provision_FullWithoutRoom_IsResourceExhaustedAndLeavesNothing) {
  const sdk::TempDir shm("/dev/shm");
  config_.parameters["path"] = shm.path() + "/disk.raw";
  config_.parameters["allocate"] = "full";
  config_.size_bytes = uint64_t{1} << 44;
  const absl::Status status = Definition().provision(config_);
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_TRUE(std::filesystem::is_empty(shm.path()));
}

TEST_F(FileDriverTest, Provision_MissingDirectory_IsNamedWithAdvice) {
  config_.parameters["path"] = dir_.path() + "/missing/disk.raw";
  const absl::Status status = Definition().provision(config_);
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  EXPECT_TRUE(Mentions(status, dir_.path() + "/missing"));
  EXPECT_TRUE(Mentions(status, "create"));
}

TEST_F(FileDriverTest, Provision_ForeignFile_IsRefusedAndNeverTouched) {
  WriteFile(path_, 1 << 20);
  const absl::Status status = Definition().provision(config_);
  EXPECT_TRUE(absl::IsAlreadyExists(status)) << status;
  EXPECT_TRUE(Definition().deprovision(config_).ok());
  EXPECT_EQ(FirstBytes(), "xxxx");
}

TEST_F(FileDriverTest, Provision_AgainAfterACrashWhileMaking_Succeeds) {
  WriteFile(path_ + ".new-file-test", 100);
  ASSERT_TRUE(Definition().provision(config_).ok());
  EXPECT_FALSE(std::filesystem::exists(path_ + ".new-file-test"));
  EXPECT_TRUE(Definition().provision(config_).ok());
}

TEST_F(FileDriverTest, Provision_ExistingUse_KeepsDataAndFile) {
  WriteFile(path_, 1 << 20);
  config_.parameters["existing"] = "use";
  ASSERT_TRUE(Definition().provision(config_).ok());
  auto driver = Definition().open(config_);
  ASSERT_TRUE(driver.ok()) << driver.status();
  driver->reset();
  ASSERT_TRUE(Definition().deprovision(config_).ok());
  EXPECT_EQ(FirstBytes(), "xxxx");
}

TEST_F(FileDriverTest, Provision_ExistingTooSmall_IsRefused) {
  WriteFile(path_, 4096);
  config_.parameters["existing"] = "use";
  const absl::Status status = Definition().provision(config_);
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_TRUE(Mentions(status, "4096"));
}

TEST_F(FileDriverTest, Parameters_Contradicting_AreRefused) {
  config_.parameters["dir"] = dir_.path();
  EXPECT_TRUE(absl::IsInvalidArgument(Definition().provision(config_)));
  config_.parameters = {{"path", "relative"}};
  EXPECT_TRUE(absl::IsInvalidArgument(Definition().provision(config_)));
  config_.parameters = {{"path", path_}, {"allocate", "some"}};
  EXPECT_TRUE(absl::IsInvalidArgument(Definition().provision(config_)));
  config_.parameters = {{"existing", "use"}};
  EXPECT_TRUE(absl::IsInvalidArgument(Definition().provision(config_)));
}

TEST_F(FileDriverTest, Deprovision_RemovesOnlyItsOwnFile) {
  ASSERT_TRUE(Definition().provision(config_).ok());
  // Somebody puts another file in its place; both exist at once, so the inodes differ.
  WriteFile(path_ + ".other", 1 << 20);
  ASSERT_EQ(rename((path_ + ".other").c_str(), path_.c_str()), 0);
  ASSERT_TRUE(Definition().deprovision(config_).ok());
  EXPECT_TRUE(Exists());
}

TEST_F(FileDriverTest, Deprovision_AfterACrashWhileMaking_LeavesNothing) {
  WriteFile(path_ + ".new-file-test", 100);
  ASSERT_TRUE(Definition().deprovision(config_).ok());
  EXPECT_FALSE(std::filesystem::exists(path_ + ".new-file-test"));
}

TEST_F(FileDriverTest, Deprovision_OfItsOwnFile_RemovesIt) {
  ASSERT_TRUE(Definition().provision(config_).ok());
  ASSERT_TRUE(Definition().deprovision(config_).ok());
  EXPECT_FALSE(Exists());
}

TEST_F(FileDriverTest, Open_OfAMissingFile_IsNotFound) {
  EXPECT_TRUE(absl::IsNotFound(Definition().open(config_).status()));
}

TEST_F(FileDriverTest, Open_OfACutFile_IsRefused) {
  ASSERT_TRUE(Definition().provision(config_).ok());
  ASSERT_EQ(truncate(path_.c_str(), 4096), 0);
  EXPECT_TRUE(absl::IsFailedPrecondition(Definition().open(config_).status()));
}

TEST_F(FileDriverTest, Claim_WhileAnotherHasIt_IsRefusedAfterTheWait) {
  ASSERT_TRUE(Definition().provision(config_).ok());
  auto first = OpenBacking(path_, false);
  auto second = OpenBacking(path_, false);
  ASSERT_TRUE(first.ok() && second.ok()) << first.status() << second.status();
  ASSERT_TRUE(ClaimBacking(path_, *first).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(ClaimBacking(path_, *second, absl::Milliseconds(50))));
  ASSERT_TRUE(ReleaseBacking(path_, *first).ok());
  EXPECT_TRUE(ClaimBacking(path_, *second, absl::ZeroDuration()).ok());
}

// A reader's late direct I/O would land in memory that its successor has given another request.
TEST_F(FileDriverTest, Claim_ForReadingWhileAnotherReads_IsRefused) {
  ASSERT_TRUE(Definition().provision(config_).ok());
  auto first = OpenBacking(path_, true);
  auto second = OpenBacking(path_, true);
  ASSERT_TRUE(first.ok() && second.ok()) << first.status() << second.status();
  ASSERT_TRUE(ClaimBacking(path_, *first).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(ClaimBacking(path_, *second, absl::ZeroDuration())));
}

TEST_F(FileDriverTest, Resize_GrowsWhileServedAndShrinksAtRestOnly) {
  ASSERT_TRUE(Definition().provision(config_).ok());
  const uint64_t before = config_.size_bytes;
  {
    auto driver = Definition().open(config_);
    ASSERT_TRUE(driver.ok()) << driver.status();
    ASSERT_TRUE((*driver)->features()->Resize(before * 2).ok());
    ASSERT_TRUE((*driver)->features()->Resize(before * 2).ok());
    EXPECT_EQ((*driver)->geometry().size_bytes, before);
    EXPECT_TRUE(absl::IsFailedPrecondition((*driver)->features()->Resize(before / 2)));
    EXPECT_TRUE(absl::IsInvalidArgument((*driver)->features()->Resize(before * 2 + 1)));
  }
  config_.size_bytes = before * 2;
  ASSERT_TRUE(Definition().open(config_).ok());
  ASSERT_TRUE((*Definition().at_rest(config_))->Resize(before / 2).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(Definition().open(config_).status()));
}

TEST_F(FileDriverTest, Resize_LeavesAloneWhatIsBehindTheVolume) {
  WriteFile(path_, 3 << 20);
  config_.parameters["existing"] = "use";
  config_.size_bytes = 1 << 20;
  ASSERT_TRUE(Definition().provision(config_).ok());
  auto driver = Definition().open(config_);
  ASSERT_TRUE(driver.ok()) << driver.status();
  ASSERT_TRUE((*driver)->features()->Resize(2 << 20).ok());
  EXPECT_EQ(*SizeOf(path_), 3u << 20);
  ASSERT_TRUE((*driver)->features()->Resize(4 << 20).ok());
  EXPECT_EQ(*SizeOf(path_), 4u << 20);
}

TEST_F(FileDriverTest, Resize_AttachedReadOnly_IsRefused) {
  ASSERT_TRUE(Definition().provision(config_).ok());
  config_.read_only = true;
  auto driver = Definition().open(config_);
  ASSERT_TRUE(driver.ok()) << driver.status();
  EXPECT_TRUE(absl::IsFailedPrecondition((*driver)->features()->Resize(config_.size_bytes * 2)));
}

TEST_F(FileDriverTest, Standby_OpensBesideTheServerAndTakesTheLockWhenItLetsGo) {
  ASSERT_TRUE(Definition().provision(config_).ok());
  auto present = Definition().open(config_);
  ASSERT_TRUE(present.ok()) << present.status();
  sdk::VolumeConfig standby = config_;
  standby.standby = true;
  auto successor = Definition().open(standby);
  ASSERT_TRUE(successor.ok()) << successor.status();
  ASSERT_TRUE((*present)->LetGo().ok());
  ASSERT_TRUE((*successor)->TakeOver().ok());
  auto third = OpenBacking(path_, false);
  ASSERT_TRUE(third.ok()) << third.status();
  EXPECT_TRUE(absl::IsFailedPrecondition(ClaimBacking(path_, *third, absl::ZeroDuration())));
  // The successor fails after all.
  successor->reset();
  EXPECT_TRUE((*present)->TakeOver().ok());
}

// The kernel may give a removed file's inode number to the next one.
TEST_F(FileDriverTest, Deprovision_OfAFileWithAnotherBirth_KeepsIt) {
  ASSERT_TRUE(Definition().provision(config_).ok());
  const std::string record = config_.state_dir + "/file-driver.made";
  std::string inode;
  std::ifstream(record) >> inode;
  std::ofstream(record, std::ios::trunc) << inode << " 1.1\n";
  EXPECT_TRUE(Definition().deprovision(config_).ok());
  EXPECT_EQ(access(path_.c_str(), F_OK), 0);
}

TEST_F(FileDriverTest, RequestsThatComeAlone_AreAnsweredInPlace_OthersAreNotWaitedFor) {
  ASSERT_TRUE(Definition().provision(config_).ok());
  auto driver = Definition().open(config_);
  ASSERT_TRUE(driver.ok()) << driver.status();
  sdk::RingQueueIo io(sdk::TestDisk::kDepth);
  auto queue = (*driver)->OpenQueue(0, io);
  ASSERT_TRUE(queue.ok()) << queue.status();
  const auto await = [&](const sdk::TestRequest& request) {
    while (request.completions == 0) io.SubmitAndReap(true);
    EXPECT_EQ(request.error, 0);
  };
  sdk::AlignedBuffer buffer(4096);
  for (int i = 0; i < 8; ++i) {
    sdk::TestRequest read(sdk::Op::kRead, 0, 4096, buffer.data());
    (*queue)->Submit(read);
    await(read);
  }
  for (const bool fua : {false, true}) {
    sdk::TestRequest write(sdk::Op::kWrite, 4096, 4096, buffer.data());
    sdk::TestRequest read(sdk::Op::kRead, 4096, 4096, buffer.data());
    sdk::TestRequest flush(sdk::Op::kFlush, 0, 0);
    write.fua = fua;
    memset(buffer.data(), fua ? 1 : 2, 4096);
    for (sdk::TestRequest* request : {&write, &read, &flush}) {
      (*queue)->Submit(*request);
      EXPECT_EQ(request->completions, 1);
      EXPECT_EQ(request->error, 0);
      if (request == &write) memset(buffer.data(), 0, 4096);
    }
    EXPECT_EQ(buffer.data()[4095], std::byte(fua ? 1 : 2));
  }
  sdk::TestRequest discard(sdk::Op::kDiscard, 0, 4096);  // takes what time it takes
  sdk::TestRequest beside(sdk::Op::kFlush, 0, 0);
  (*queue)->Submit(discard);
  (*queue)->Submit(beside);
  EXPECT_EQ(discard.completions + beside.completions, 0);
  await(discard);
  await(beside);
}

TEST_F(FileDriverTest, Read_BehindTheEndOfACutFile_IsAnErrorNotZeroes) {
  ASSERT_TRUE(Definition().provision(config_).ok());
  auto driver = Definition().open(config_);
  ASSERT_TRUE(driver.ok()) << driver.status();
  sdk::TestDisk disk(**driver);
  ASSERT_TRUE(disk.Open().ok());
  ASSERT_EQ(truncate(path_.c_str(), 4096), 0);
  std::vector<std::byte> data(8192);
  EXPECT_EQ(disk.Read(0, data), EIO);
}

}  // namespace
}  // namespace diskd::file_driver
