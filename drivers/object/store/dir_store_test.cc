// SPDX-License-Identifier: Apache-2.0
//
// What is special about directories; the rest is in store_conformance_test.cc.
#include "drivers/object/store/dir_store.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "base/fd.h"
#include "drivers/object/store/blocking.h"
#include "drivers/object/store/object_file.h"
#include "drivers/object/store/testing/scratch_dir.h"

namespace diskd::object {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class DirStoreTest : public ::testing::Test {
 protected:
  std::string Path(const std::string& below = "") const {
    return absl::StrCat(scratch_.path(), "/store", below);
  }
  std::unique_ptr<Store> Open() {
    auto store = OpenDirStore({.path = Path(), .create = true});
    EXPECT_TRUE(store.ok()) << store.status();
    return *std::move(store);
  }

  ScratchDir scratch_;
};

TEST_F(DirStoreTest, Open_WithoutMarker_RefusesRatherThanStartEmpty) {
  fs::create_directory(Path());
  const auto store = OpenDirStore({.path = Path()});
  EXPECT_TRUE(absl::IsFailedPrecondition(store.status())) << store.status();
  EXPECT_THAT(std::string(store.status().message()), HasSubstr("mounted?"));
  EXPECT_TRUE(absl::IsFailedPrecondition(OpenDirStore({.path = Path("/none")}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(OpenDirStore({.path = "relative"}).status()));
}

TEST_F(DirStoreTest, GateThatIsShut_LetsOnlyReadsThrough) {
  ASSERT_TRUE(PutNow(*Open(), "a", "x").ok());
  const auto gate = std::make_shared<SendGate>();
  auto gated = OpenDirStore({.path = Path(), .gate = gate});
  ASSERT_TRUE(gated.ok()) << gated.status();
  const auto late = PutNow(**gated, "a", "y");
  EXPECT_TRUE(absl::IsUnavailable(late.status())) << late.status();
  EXPECT_TRUE(absl::IsUnavailable(DeleteNow(**gated, "a")));
  EXPECT_EQ(GetNow(**gated, "a")->body, "x");
  gate->OpenUntil(BootTime() + absl::Minutes(1));
  EXPECT_TRUE(PutNow(**gated, "a", "y").ok());
  EXPECT_TRUE(DeleteNow(**gated, "a").ok());
}

// As a bad sector is: reading the first page of a process fails with EIO.
TEST(ReadFullyTest, MediumThatCanNotBeRead_IsToldFromAStoreThatIsAway) {
  const Fd memory(open("/proc/self/mem", O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(memory.valid());
  std::string into;
  const absl::Status status = ReadFully(memory.get(), 0, 4096, &into, "object x");
  EXPECT_TRUE(absl::IsUnknown(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("object x"));
}

TEST_F(DirStoreTest, Create_InADirectoryWithOtherThings_Refuses) {
  fs::create_directory(Path());
  std::ofstream(Path("/precious")) << "data";
  EXPECT_TRUE(absl::IsFailedPrecondition(OpenDirStore({.path = Path(), .create = true}).status()));
  EXPECT_FALSE(fs::exists(Path("/objects")));
}

TEST_F(DirStoreTest, Create_AfterACrashInTheMiddle_Finishes) {
  fs::create_directories(Path("/objects"));
  const auto store = OpenDirStore({.path = Path(), .create = true});
  EXPECT_TRUE(store.ok()) << store.status();
}

TEST_F(DirStoreTest, Reopen_FindsTheObjects) {
  const auto etag = PutNow(*Open(), "a/b", "content");
  const auto store = OpenDirStore({.path = Path()});
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_EQ(GetNow(**store, "a/b")->body, "content");
  EXPECT_EQ(GetNow(**store, "a/b")->etag, *etag);
}

TEST_F(DirStoreTest, SameContentAgain_HasAnotherEtag) {
  const auto store = Open();
  const auto first = PutNow(*store, "a", "same");
  const auto second = PutNow(*store, "a", "same");
  EXPECT_NE(*first, *second);
  EXPECT_TRUE(absl::IsFailedPrecondition(
      PutNow(*store, "a", "new", PutCondition::IfMatch(*first)).status()));
}

TEST_F(DirStoreTest, Open_RemovesWhatDeadWritersLeftAndOnlyThat) {
  Open();
  std::ofstream(Path("/tmp/dead")) << "half an obj";
  std::ofstream(Path("/tmp/alive")) << "half an obj";
  const Fd writer(open(Path("/tmp/alive").c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(flock(writer.get(), LOCK_EX), 0);
  Open();
  EXPECT_FALSE(fs::exists(Path("/tmp/dead")));
  EXPECT_TRUE(fs::exists(Path("/tmp/alive")));
}

TEST_F(DirStoreTest, Put_LeavesNothingInTmp) {
  const auto store = Open();
  ASSERT_TRUE(PutNow(*store, "a", "1", PutCondition::IfAbsent()).ok());
  ASSERT_FALSE(PutNow(*store, "a", "2", PutCondition::IfAbsent()).ok());
  ASSERT_TRUE(PutNow(*store, "a", "3").ok());
  EXPECT_TRUE(fs::is_empty(Path("/tmp")));
}

TEST_F(DirStoreTest, NoSpace_IsResourceExhaustedAndLeavesTheOldObject) {
  const auto store = Open();
  ASSERT_TRUE(PutNow(*store, "a", "old").ok());
  signal(SIGXFSZ, SIG_IGN);
  rlimit before;
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small = {.rlim_cur = 1 << 20, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto put = PutNow(*store, "a", std::string(3 << 20, 'x'));
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_TRUE(absl::IsResourceExhausted(put.status())) << put.status();
  EXPECT_EQ(GetNow(*store, "a")->body, "old");
  EXPECT_TRUE(fs::is_empty(Path("/tmp")));
}

TEST_F(DirStoreTest, SymbolicLinks_AreNeverFollowed) {
  const auto store = Open();
  std::ofstream(absl::StrCat(scratch_.path(), "/outside")) << "secret";
  fs::create_symlink(absl::StrCat(scratch_.path(), "/outside"), Path("/objects/link"));
  fs::create_directory_symlink(scratch_.path(), Path("/objects/folder"));
  EXPECT_TRUE(absl::IsInvalidArgument(GetNow(*store, "link").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(GetNow(*store, "folder/outside").status()));
  EXPECT_FALSE(PutNow(*store, "folder/planted", "x").ok());
  EXPECT_FALSE(fs::exists(absl::StrCat(scratch_.path(), "/planted")));
}

TEST_F(DirStoreTest, Fifo_DoesNotBlock) {
  const auto store = Open();
  ASSERT_EQ(mkfifo(Path("/objects/pipe").c_str(), 0600), 0);
  EXPECT_TRUE(absl::IsInvalidArgument(GetNow(*store, "pipe").status()));
}

// An object that can't be seen because the store has gone is not an object that isn't there.
TEST_F(DirStoreTest, StoreRemovedUnderneath_IsNotAbsenceOfObjects) {
  const auto store = Open();
  ASSERT_TRUE(PutNow(*store, "a", "x").ok());
  fs::remove_all(Path());
  EXPECT_TRUE(absl::IsUnavailable(GetNow(*store, "a").status()));
  EXPECT_TRUE(absl::IsUnavailable(ListNow(*store, "").status()));
  EXPECT_FALSE(PutNow(*store, "b", "x").ok());
}

TEST_F(DirStoreTest, NameThatIsAFolder_IsNoObject) {
  const auto store = Open();
  ASSERT_TRUE(PutNow(*store, "a/b", "x").ok());
  EXPECT_TRUE(absl::IsNotFound(GetNow(*store, "a").status()));
  EXPECT_TRUE(absl::IsNotFound(GetNow(*store, "a/b/c").status()));
  EXPECT_TRUE(DeleteNow(*store, "a").ok());
  EXPECT_FALSE(PutNow(*store, "a", "x").ok());
  EXPECT_EQ(GetNow(*store, "a/b")->body, "x");
}

TEST_F(DirStoreTest, Delete_TakesEmptyFoldersAwayAndPutMakesThemAgain) {
  const auto store = Open();
  ASSERT_TRUE(PutNow(*store, "v/e/1", "x").ok());
  ASSERT_TRUE(PutNow(*store, "v/2", "x").ok());
  ASSERT_TRUE(DeleteNow(*store, "v/e/1").ok());
  EXPECT_FALSE(fs::exists(Path("/objects/v/e")));
  EXPECT_TRUE(fs::exists(Path("/objects/v")));
  EXPECT_TRUE(PutNow(*store, "v/e/1", "y", PutCondition::IfAbsent()).ok());
}

// Processes raise one counter; each increment is one compare-and-swap.
TEST_F(DirStoreTest, IfMatch_OfSeveralProcesses_LosesNothing) {
  constexpr int kProcesses = 4;
  constexpr int kIncrements = 15;
  ASSERT_TRUE(PutNow(*Open(), "counter", "0").ok());
  for (int i = 0; i < kProcesses; ++i) {
    if (fork() != 0) continue;
    const auto store = OpenDirStore({.path = Path()});
    if (!store.ok()) _exit(1);
    for (int done = 0; done < kIncrements;) {
      const auto now = GetNow(**store, "counter");
      if (!now.ok()) _exit(2);
      const auto put = PutNow(**store, "counter", absl::StrCat(std::stoi(now->body) + 1),
                              PutCondition::IfMatch(now->etag));
      if (put.ok()) ++done;
      if (!put.ok() && !absl::IsFailedPrecondition(put.status())) _exit(3);
    }
    _exit(0);
  }
  for (int i = 0; i < kProcesses; ++i) {
    int status = 0;
    wait(&status);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(GetNow(*Open(), "counter")->body, absl::StrCat(kProcesses * kIncrements));
}

TEST_F(DirStoreTest, OpenToOtherUsers_IsRefused) {
  fs::create_directory(Path());
  ASSERT_EQ(chmod(Path().c_str(), 0755), 0);
  Open();
  struct stat status;
  ASSERT_EQ(stat(Path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700u);
  ASSERT_EQ(chmod(Path().c_str(), 0711), 0);
  const auto store = OpenDirStore({.path = Path()});
  EXPECT_TRUE(absl::IsFailedPrecondition(store.status())) << store.status();
  EXPECT_THAT(std::string(store.status().message()), HasSubstr("chmod 700"));
}

// As driver processes do, whose users differ from node to node.
TEST_F(DirStoreTest, OpenedByRoot_ServesWhateverUserTheProcessBecomes) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  const mode_t before = umask(0);
  ASSERT_TRUE(PutNow(*Open(), "v/head", "0").ok());
  for (const uid_t user : {1900000001u, 1900000002u}) {
    const pid_t child = fork();
    if (child == 0) {
      const auto store = OpenDirStore({.path = Path()});
      if (!store.ok() || setresgid(user, user, user) != 0 || setresuid(user, user, user) != 0) {
        _exit(1);
      }
      if (open(Path("/objects/v/head").c_str(), O_RDONLY) >= 0) _exit(2);
      const auto head = GetNow(**store, "v/head");
      if (!head.ok()) _exit(3);
      if (!PutNow(**store, "v/head", "1", PutCondition::IfMatch(head->etag)).ok()) _exit(4);
      const std::string mine = absl::StrCat("v/", user, "/1");
      if (!PutNow(**store, mine, "x", PutCondition::IfAbsent()).ok()) _exit(5);
      if (!PutNow(**store, "v/shared/1", "x").ok()) _exit(6);
      if (!DeleteNow(**store, "v/shared/1").ok() || !DeleteNow(**store, mine).ok()) _exit(7);
      if (!ListNow(**store, "v/").ok()) _exit(8);
      _exit(PutNow(**store, "v/left", "x").ok() ? 0 : 9);
    }
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0) << "exit code " << WEXITSTATUS(status) << " of user " << user;
  }
  umask(before);
}

}  // namespace
}  // namespace diskd::object
