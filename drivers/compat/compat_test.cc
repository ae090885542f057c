// SPDX-License-Identifier: Apache-2.0
//
// Callbacks as a driver, and the device file's name.
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <vector>

#include "drivers/compat/buse.h"
#include "drivers/compat/callback_driver.h"
#include "drivers/compat/dev_link.h"
#include "gtest/gtest.h"

namespace diskd::compat {
namespace {

// The order that programs with positional initialisers rely on.
static_assert(offsetof(buse_operations, read) == 0 * sizeof(void*));
static_assert(offsetof(buse_operations, write) == 1 * sizeof(void*));
static_assert(offsetof(buse_operations, disc) == 2 * sizeof(void*));
static_assert(offsetof(buse_operations, flush) == 3 * sizeof(void*));
static_assert(offsetof(buse_operations, trim) == 4 * sizeof(void*));
static_assert(offsetof(buse_operations, size) == 5 * sizeof(void*));
static_assert(offsetof(buse_operations, blksize) == 5 * sizeof(void*) + 8);
static_assert(offsetof(buse_operations, size_blocks) == 5 * sizeof(void*) + 16);

struct Calls {
  int result = 0;
  uint64_t offset = 0;
  uint32_t length = 0;
  int flushes = 0;
};

buse_operations Operations() {
  buse_operations operations{};
  operations.read = [](void*, u_int32_t length, u_int64_t offset, void* userdata) {
    auto* calls = static_cast<Calls*>(userdata);
    calls->offset = offset;
    calls->length = length;
    return calls->result;
  };
  operations.write = [](const void*, u_int32_t, u_int64_t, void* userdata) {
    return static_cast<Calls*>(userdata)->result;
  };
  operations.flush = [](void* userdata) {
    ++static_cast<Calls*>(userdata)->flushes;
    return 0;
  };
  operations.size = 1 << 20;
  return operations;
}

TEST(Geometry_FromSize_RoundsDownToABlock, AndTakesTheCallbacksForFeatures) {
  buse_operations operations = Operations();
  operations.size = 1000000;
  auto geometry = GeometryOf(operations);
  ASSERT_TRUE(geometry.ok()) << geometry.status();
  EXPECT_EQ(geometry->size_bytes, 999936u);
  EXPECT_EQ(geometry->logical_block_bytes, 512u);
  EXPECT_TRUE(geometry->volatile_cache);
  EXPECT_FALSE(geometry->discard);
  EXPECT_FALSE(geometry->read_only);
  operations.write = nullptr;
  EXPECT_TRUE(GeometryOf(operations)->read_only);
}

TEST(Geometry_FromBlocks, MultipliesThem) {
  buse_operations operations = Operations();
  operations.size = 0;
  operations.blksize = 4096;
  operations.size_blocks = 3;
  EXPECT_EQ(GeometryOf(operations)->size_bytes, 12288u);
  EXPECT_EQ(GeometryOf(operations)->logical_block_bytes, 4096u);
}

TEST(Geometry_Impossible, IsRefused) {
  buse_operations operations = Operations();
  operations.size = 0;
  EXPECT_TRUE(absl::IsInvalidArgument(GeometryOf(operations).status()));
  operations.size = 511;
  EXPECT_TRUE(absl::IsInvalidArgument(GeometryOf(operations).status()));
  operations.size = 1 << 20;
  operations.blksize = 3000;
  EXPECT_TRUE(absl::IsInvalidArgument(GeometryOf(operations).status()));
}

TEST(Results_OfCallbacks, BecomePositiveErrnos) {
  EXPECT_EQ(ErrnoOf(0), 0);
  EXPECT_EQ(ErrnoOf(ENOSPC), ENOSPC);
  EXPECT_EQ(ErrnoOf(-ENOSPC), ENOSPC);
  EXPECT_EQ(ErrnoOf(-1), EIO);
  EXPECT_EQ(ErrnoOf(1 << 24), EIO);
}

TEST(CallbackDriver_Read, PassesTheRangeAndNeverStaleMemory) {
  const buse_operations operations = Operations();
  Calls calls;
  CallbackDriver driver(operations, &calls, *GeometryOf(operations));
  std::vector<std::byte> buffer(4096, std::byte{0x55});
  EXPECT_EQ(driver.Read(8192, absl::MakeSpan(buffer)), 0);
  EXPECT_EQ(calls.offset, 8192u);
  EXPECT_EQ(calls.length, 4096u);
  EXPECT_EQ(buffer, std::vector<std::byte>(4096));
  calls.result = -EILSEQ;
  EXPECT_EQ(driver.Read(0, absl::MakeSpan(buffer)), EILSEQ);
  EXPECT_EQ(driver.Flush(), 0);
  EXPECT_EQ(calls.flushes, 1);
}

TEST(CallbackDriver_WithoutRead_FailsReads, AndFlushesNothing) {
  buse_operations operations = Operations();
  operations.read = nullptr;
  operations.flush = nullptr;
  Calls calls;
  CallbackDriver driver(operations, &calls, *GeometryOf(operations));
  std::vector<std::byte> buffer(512);
  EXPECT_EQ(driver.Read(0, absl::MakeSpan(buffer)), EPERM);
  EXPECT_EQ(driver.Flush(), 0);
}

class DevLinkTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(mkdtemp(directory_), nullptr); }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::string Path(const std::string& name) const { return std::string(directory_) + "/" + name; }
  char directory_[32] = "/tmp/dev-link-XXXXXX";
};

TEST_F(DevLinkTest, FreeName_GetsALinkThatIsReplacedAndRemoved) {
  const std::string path = Path("disk");
  EXPECT_EQ(*CheckDevPath(path), DevPath::kFree);
  ASSERT_TRUE(MakeDevLink(path, "/dev/no-such-1").ok());
  EXPECT_EQ(*CheckDevPath(path), DevPath::kFree);
  ASSERT_TRUE(MakeDevLink(path, "/dev/no-such-2").ok());
  EXPECT_EQ(std::filesystem::read_symlink(path), "/dev/no-such-2");
  RemoveDevLink(path, "/dev/no-such-1");  // another's
  EXPECT_TRUE(std::filesystem::is_symlink(path));
  RemoveDevLink(path, "/dev/no-such-2");
  EXPECT_FALSE(std::filesystem::is_symlink(path));
}

TEST_F(DevLinkTest, FilesAndWrongPaths_AreRefused) {
  std::ofstream(Path("file")) << "data";
  EXPECT_TRUE(absl::IsAlreadyExists(CheckDevPath(Path("file")).status()));
  ASSERT_EQ(symlink(Path("file").c_str(), Path("link").c_str()), 0);
  EXPECT_TRUE(absl::IsAlreadyExists(CheckDevPath(Path("link")).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(CheckDevPath("disk").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(CheckDevPath("/").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(CheckDevPath("/" + std::string(200, 'x')).status()));
}

TEST(Name_OfPaths, TellsThemApart) {
  EXPECT_EQ(NameOfDevPath("/dev/nbd0"), "dev.nbd0");
  EXPECT_NE(NameOfDevPath("/dev/nbd.0"), NameOfDevPath("/dev/nbd/0"));
}

}  // namespace
}  // namespace diskd::compat
