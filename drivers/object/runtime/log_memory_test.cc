// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/runtime/log_memory.h"

#include <linux/magic.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/cleanup/cleanup.h"
#include "drivers/sdk/testing/temp_dir.h"
#include "gtest/gtest.h"

namespace diskd::object {
namespace {

constexpr size_t kBytes = 64 << 10;
constexpr std::byte kMark{42};

class LogMemoryTest : public testing::Test {
 protected:
  using Lost = LogMemory::Lost;

  std::unique_ptr<LogMemory> Open(size_t bytes = kBytes, Lost lost = Lost::kRefuse) {
    auto memory = LogMemory::Open(place_, bytes, lost);
    EXPECT_TRUE(memory.ok()) << memory.status();
    return *std::move(memory);
  }
  absl::Status TryToOpen(size_t bytes = kBytes) {
    return LogMemory::Open(place_, bytes, Lost::kRefuse).status();
  }

  const sdk::TempDir dir_{"/dev/shm"};
  const std::string path_ = dir_.path() + "/memory";
  LogMemory::Place place_{path_, dir_.path() + "/mark", std::string(36, 'b')};
};

TEST_F(LogMemoryTest, New_IsAlignedZeros) {
  const auto memory = Open();
  ASSERT_EQ(memory->span().size(), kBytes);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(memory->span().data()) % 4096, 0u);
  for (const std::byte byte : memory->span()) ASSERT_EQ(byte, std::byte{0});
}

TEST_F(LogMemoryTest, WhatAKilledProcessHasStored_IsThere) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    Open()->span()[5000] = kMark;
    kill(getpid(), SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(Open()->span()[5000], kMark);
}

TEST_F(LogMemoryTest, AnotherSize_KeepsAllThatIsThere) {
  Open()->span()[kBytes - 1] = kMark;
  EXPECT_EQ(Open(kBytes / 2)->span()[kBytes - 1], kMark);
  const auto larger = Open(kBytes * 2);
  ASSERT_EQ(larger->span().size(), kBytes * 2);
  EXPECT_EQ(larger->span()[kBytes - 1], kMark);
  EXPECT_EQ(larger->span()[kBytes], std::byte{0});
}

TEST_F(LogMemoryTest, Dropped_TakesNoMemory_AndIsZerosAgain) {
  const auto memory = Open();
  memory->span()[0] = kMark;
  ASSERT_TRUE(memory->Drop().ok());
  EXPECT_EQ(std::filesystem::file_size(path_), 0u);
  EXPECT_EQ(Open()->span()[0], std::byte{0});
}

TEST_F(LogMemoryTest, Mark_NamesTheMemory_OrNone) {
  const auto mark = [this] {
    std::ifstream in(place_.mark);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  const auto memory = Open();
  struct stat status;
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  char want[72];
  snprintf(want, sizeof want, "%s %016lx:%016lx\n", place_.boot_id.c_str(), status.st_dev,
           status.st_ino);
  EXPECT_EQ(mark(), want);
  ASSERT_TRUE(memory->Drop().ok());
  EXPECT_EQ(mark(), std::string(70, '-') + "\n");
}

TEST_F(LogMemoryTest, OfAnotherBoot_DoesNotCount) {
  Open()->span()[0] = kMark;
  place_.boot_id = std::string(36, 'c');
  EXPECT_EQ(Open()->span()[0], std::byte{0});
}

TEST_F(LogMemoryTest, OpenAgain_AfterAnotherHasDroppedIt) {
  const auto memory = Open();
  ASSERT_TRUE(Open()->Drop().ok());
  ASSERT_TRUE(memory->OpenAgain().ok());
  memory->span()[kBytes - 1] = kMark;
  EXPECT_EQ(Open()->span()[kBytes - 1], kMark);
}

// As drivers that have given up what they could open it with.
TEST_F(LogMemoryTest, OpenAgain_WithoutRights_AfterAnotherHasDroppedIt) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  const auto memory = Open();
  ASSERT_TRUE(Open()->Drop().ok());
  const pid_t child = fork();
  if (child == 0) {
    constexpr uid_t kNobody = 65534;
    const bool has = setuid(kNobody) == 0 && memory->OpenAgain().ok() && !memory->span().empty();
    _exit(has ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(TryToOpen().ok());
}

TEST_F(LogMemoryTest, OpenAgain_AfterAnotherHasMadeItLarger_HasAllOfIt) {
  const auto memory = Open();
  Open(kBytes * 2)->span()[kBytes] = kMark;
  ASSERT_TRUE(memory->OpenAgain().ok());
  ASSERT_EQ(memory->span().size(), kBytes * 2);
  EXPECT_EQ(memory->span()[kBytes], kMark);
}

TEST_F(LogMemoryTest, Gone_IsRefused_OrForgotten) {
  Open();
  std::filesystem::remove(path_);
  EXPECT_TRUE(absl::IsDataLoss(TryToOpen()));
  EXPECT_TRUE(absl::IsDataLoss(TryToOpen())) << "still";
  Open(kBytes, Lost::kForget);
  EXPECT_TRUE(TryToOpen().ok()) << "there is another one now";
}

TEST_F(LogMemoryTest, Emptied_IsGone) {
  Open();
  std::filesystem::resize_file(path_, 0);
  EXPECT_TRUE(absl::IsDataLoss(TryToOpen()));
}

TEST_F(LogMemoryTest, AnotherFileInItsPlace_IsNotIt) {
  Open();
  const std::string other = path_ + ".other";
  std::ofstream(other) << std::string(kBytes, 'x');
  std::filesystem::rename(other, path_);
  EXPECT_TRUE(absl::IsDataLoss(TryToOpen()));
  EXPECT_EQ(Open(kBytes, Lost::kForget)->span()[0], std::byte{0});
}

TEST_F(LogMemoryTest, GoneOnceDropped_IsNotMissed) {
  ASSERT_TRUE(Open()->Drop().ok());
  std::filesystem::remove(path_);
  EXPECT_TRUE(TryToOpen().ok());
}

TEST_F(LogMemoryTest, UsedAgainByTheFormerUser_IsMissedAgain) {
  const auto memory = Open();
  ASSERT_TRUE(Open()->Drop().ok());
  ASSERT_TRUE(memory->OpenAgain().ok());
  std::filesystem::remove(path_);
  EXPECT_TRUE(absl::IsDataLoss(TryToOpen()));
}

TEST_F(LogMemoryTest, KeptAndNotToBeHad_IsUnavailable) {
  Open();
  const std::string aside = path_ + ".aside";
  std::filesystem::rename(path_, aside);
  std::filesystem::create_symlink(aside, path_);  // which is not followed
  EXPECT_TRUE(absl::IsUnavailable(TryToOpen()));
  std::filesystem::rename(aside, path_);
  EXPECT_TRUE(TryToOpen().ok());
}

TEST_F(LogMemoryTest, NoRoomToMakeItLarger_IsUnavailable_AndTakesNothing) {
  Open()->span()[0] = kMark;
  constexpr size_t kMoreThanAnyMachineHas = size_t{1} << 46;
  EXPECT_TRUE(absl::IsUnavailable(TryToOpen(kMoreThanAnyMachineHas)));
  EXPECT_EQ(Open()->span()[0], kMark);
}

TEST_F(LogMemoryTest, MarkNotToBeRead_IsUnavailable) {
  Open();
  const std::string aside = place_.mark + ".aside";
  std::filesystem::rename(place_.mark, aside);
  std::filesystem::create_symlink(aside, place_.mark);  // which is not followed
  EXPECT_TRUE(absl::IsUnavailable(TryToOpen()));
  std::filesystem::rename(aside, place_.mark);
  EXPECT_TRUE(TryToOpen().ok());
}

// There was memory, and somebody goes on after it was lost: where there is none any more.
class NoLogMemoryTest : public LogMemoryTest {
 protected:
  void SetUp() override {
    Open();
    std::filesystem::remove(path_);
  }
  void ExpectNoneAt(const std::string& path) {
    place_.path = path;
    const auto memory = Open(kBytes, Lost::kForget);
    EXPECT_TRUE(memory->span().empty());
    EXPECT_FALSE(memory->missing().ok());
    EXPECT_FALSE(std::filesystem::exists(path));
    EXPECT_TRUE(memory->OpenAgain().ok());
    EXPECT_TRUE(Open()->span().empty()) << "and it is not missed";
  }
};

TEST_F(NoLogMemoryTest, FolderOnADisk) {
  const sdk::TempDir dir;
  struct statfs system;
  ASSERT_EQ(statfs(dir.path().c_str(), &system), 0);
  if (system.f_type == TMPFS_MAGIC) GTEST_SKIP() << dir.path() << " is on a tmpfs: set TMPDIR";
  ExpectNoneAt(dir.path() + "/memory");
}

TEST_F(NoLogMemoryTest, NoFolder) { ExpectNoneAt(dir_.path() + "/none/memory"); }

TEST_F(NoLogMemoryTest, NoPlace) { ExpectNoneAt(""); }

TEST_F(NoLogMemoryTest, TooLittleWouldStayFree) {
  const std::string folder = dir_.path() + "/small";
  std::filesystem::create_directory(folder);
  if (mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=76k") != 0) GTEST_SKIP() << "needs root";
  const auto unmount = absl::MakeCleanup([&] { umount(folder.c_str()); });
  ExpectNoneAt(folder + "/memory");
}

TEST_F(NoLogMemoryTest, MarkCantBeMade) {
  place_.mark = dir_.path() + "/none/mark";
  ExpectNoneAt(path_);
}

// The former user had none, the next one has. Its answers are in there.
TEST_F(NoLogMemoryTest, OpenAgain_WhenAnotherHasSome_HasIt) {
  place_.path = "";
  const auto former = Open(kBytes, Lost::kForget);
  place_.path = path_;
  Open()->span()[0] = kMark;
  EXPECT_FALSE(former->OpenAgain().ok());
}

// It has not even had a mark.
TEST_F(NoLogMemoryTest, OpenAgain_WhenAnotherHasMadeTheMark_HasIt) {
  const std::string folder = dir_.path() + "/later";
  place_.mark = folder + "/mark";
  const auto former = Open();
  ASSERT_TRUE(former->span().empty());
  std::filesystem::create_directory(folder);
  Open()->span()[0] = kMark;
  ASSERT_TRUE(former->OpenAgain().ok());
  EXPECT_EQ(former->span()[0], kMark);
}

}  // namespace
}  // namespace diskd::object
