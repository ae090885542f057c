// SPDX-License-Identifier: Apache-2.0
#include "agent/process/oom_score.h"

#include <unistd.h>

#include <fstream>

#include "absl/strings/str_cat.h"
#include "agent/process/process.h"
#include "gtest/gtest.h"

namespace diskd::agent {
namespace {

int ScoreOf(pid_t pid) {
  int score = -1;
  std::ifstream(absl::StrCat("/proc/", pid, "/oom_score_adj")) >> score;
  return score;
}

TEST(OomScore_OfAChild, IsWhatTheKernelKnows) {
  auto child = Process::Spawn({.argv = {"/bin/sleep", "100"}});
  ASSERT_TRUE(child.ok()) << child.status();
  ASSERT_NE(ScoreOf(child->pid()), 700);
  EXPECT_TRUE(SetOomScore(child->pid(), 700).ok());
  EXPECT_EQ(ScoreOf(child->pid()), 700);
  EXPECT_TRUE(child->Kill(absl::Seconds(20)));
}

TEST(OomScore_ImpossibleValue, Fails) {
  EXPECT_EQ(SetOomScore(getpid(), 1001).code(), absl::StatusCode::kInvalidArgument);
}

TEST(OomScore_NoSuchProcess, NotFound) {
  constexpr pid_t kAboveTheLargest = (1 << 22) + 1;
  EXPECT_EQ(SetOomScore(kAboveTheLargest, 700).code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace diskd::agent
