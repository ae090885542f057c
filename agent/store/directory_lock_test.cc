// SPDX-License-Identifier: Apache-2.0
#include "agent/store/directory_lock.h"

#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace diskd::agent {
namespace {

TEST(DirectoryLock_SecondOwner_IsRefusedAndToldWhoHasIt, UntilTheFirstLetsGo) {
  std::string dir = testing::TempDir() + "/lock.XXXXXX";
  ASSERT_NE(mkdtemp(dir.data()), nullptr);
  auto first = LockDirectory(dir);
  ASSERT_TRUE(first.ok()) << first.status();
  const absl::Status second = LockDirectory(dir).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(second));
  EXPECT_NE(second.message().find(absl::StrCat("process ", getpid())), absl::string_view::npos)
      << second;
  first->reset();
  EXPECT_TRUE(LockDirectory(dir).ok());
}

TEST(DirectoryLock_MissingDirectory, IsNamed) {
  const absl::Status status = LockDirectory("/nonexistent/state").status();
  EXPECT_NE(status.message().find("/nonexistent/state/lock"), absl::string_view::npos) << status;
}

}  // namespace
}  // namespace diskd::agent
