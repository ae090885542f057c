// SPDX-License-Identifier: Apache-2.0
#include "client/csi/signature.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/fd.h"
#include "client/csi/command.h"
#include "client/csi/host.h"

namespace diskd::csi {
namespace {

constexpr off_t kImageBytes = 16 << 20;
constexpr off_t kExt4FieldAt = 1024 + 0x30;  // s_wtime of the superblock
constexpr off_t kXfsImageBytes = 300 << 20;  // mkfs.xfs refuses less
constexpr off_t kXfsLabelAt = 108;
constexpr off_t kXfsInProgressAt = 126;
constexpr absl::Duration kMkfsLimit = absl::Minutes(1);

// A sparse file, away with the test.
class SignatureTest : public ::testing::Test {
 protected:
  SignatureTest() : fd_(mkostemp(path_, O_CLOEXEC)) {}
  ~SignatureTest() override { unlink(path_); }

  void MakeImage(off_t bytes, std::vector<std::string> command) {
    ASSERT_EQ(ftruncate(fd_.get(), bytes), 0);
    command.push_back(path_);
    const absl::Status status = RunCommand(command, kMkfsLimit);
    if (absl::IsNotFound(status)) GTEST_SKIP() << status;
    ASSERT_TRUE(status.ok()) << status;
  }
  unsigned char ByteAt(off_t offset) {
    unsigned char byte = 0;
    EXPECT_EQ(pread(fd_.get(), &byte, 1, offset), 1);
    return byte;
  }
  void SetByte(off_t offset, unsigned char byte) {
    EXPECT_EQ(pwrite(fd_.get(), &byte, 1, offset), 1);
  }
  std::string Signature() {
    const absl::StatusOr<std::optional<std::string>> found = SignatureOn(fd_.get(), path_);
    return found.ok() ? found->value_or("none") : found.status().ToString();
  }

  char path_[32] = "/tmp/diskd-signature.XXXXXX";
  Fd fd_;
};

TEST_F(SignatureTest, Zeros_HaveNone) {
  ASSERT_EQ(ftruncate(fd_.get(), kImageBytes), 0);
  EXPECT_EQ(Signature(), "none");
}

TEST_F(SignatureTest, TooShortToRead_IsAnErrorAndNotBlank) {
  const auto found = SignatureOn(fd_.get(), path_);
  EXPECT_FALSE(found.ok());
}

// From util-linux 2.39 on, libblkid looks at the checksum of ext4.
TEST_F(SignatureTest, Ext4WithWrongChecksum_IsNotBlank) {
  ASSERT_NO_FATAL_FAILURE(MakeImage(kImageBytes, {"mkfs.ext4", "-q", "-F"}));
  if (IsSkipped()) return;
  EXPECT_EQ(Signature(), "ext4");
  SetByte(kExt4FieldAt, ByteAt(kExt4FieldAt) ^ 0xff);
  EXPECT_EQ(Signature(), "ext4");
}

TEST_F(SignatureTest, XfsWithWrongChecksum_IsNotBlank) {
  ASSERT_NO_FATAL_FAILURE(MakeImage(kXfsImageBytes, {"mkfs.xfs", "-q"}));
  if (IsSkipped()) return;
  EXPECT_EQ(Signature(), "xfs");
  SetByte(kXfsLabelAt, 'x');
  EXPECT_EQ(Signature(), "xfs");
}

TEST_F(SignatureTest, XfsWhoseMakingWasInterrupted_IsUnfinished) {
  ASSERT_NO_FATAL_FAILURE(MakeImage(kXfsImageBytes, {"mkfs.xfs", "-q"}));
  if (IsSkipped()) return;
  SetByte(kXfsInProgressAt, 1);
  // Nothing says that mkfs.xfs has left the mark: its checksum would be right.
  EXPECT_EQ(Signature(), "xfs");
  const std::string command =
      absl::StrCat("xfs_db -x -c 'sb 0' -c 'crc -r' ", path_, " >/dev/null 2>&1");
  ASSERT_EQ(std::system(command.c_str()), 0);
  EXPECT_EQ(ByteAt(kXfsInProgressAt), 1);
  EXPECT_EQ(Signature(), kUnfinishedXfs);
}

}  // namespace
}  // namespace diskd::csi
