// SPDX-License-Identifier: Apache-2.0
#include "base/errno_status.h"

#include <cerrno>

#include "gtest/gtest.h"

namespace diskd {
namespace {

TEST(ErrnoStatus_Message, NamesOperationReasonAndErrno) {
  EXPECT_EQ(ErrnoStatus(ENOSPC, "write /srv/a").message(),
            "write /srv/a: No space left on device (ENOSPC)");
}

TEST(ErrnoStatus_Code, FollowsTheKindOfError) {
  EXPECT_TRUE(absl::IsResourceExhausted(ErrnoStatus(ENOSPC, "x")));
  EXPECT_TRUE(absl::IsNotFound(ErrnoStatus(ENOENT, "x")));
  EXPECT_TRUE(absl::IsFailedPrecondition(ErrnoStatus(EBUSY, "x")));
  EXPECT_TRUE(absl::IsPermissionDenied(ErrnoStatus(EACCES, "x")));
  EXPECT_TRUE(absl::IsInternal(ErrnoStatus(EIO, "x")));
}

TEST(ErrnoStatus_UnknownNumber, IsInternalAndKeepsTheNumber) {
  const absl::Status status = ErrnoStatus(4095, "x");
  EXPECT_TRUE(absl::IsInternal(status));
  EXPECT_NE(status.message().find("4095"), absl::string_view::npos);
}

}  // namespace
}  // namespace diskd
