// SPDX-License-Identifier: Apache-2.0
#include "client/lib/backoff.h"

#include <set>

#include "gtest/gtest.h"

namespace diskd::client {
namespace {

TEST(Backoff_Next, DoublesUpToTheLongestAndStaysWithinTheUpperHalf) {
  Backoff backoff(absl::Milliseconds(100), absl::Milliseconds(350));
  for (const int full_ms : {100, 200, 350, 350, 350}) {
    const absl::Duration pause = backoff.Next();
    EXPECT_GE(pause, absl::Milliseconds(full_ms) / 2);
    EXPECT_LE(pause, absl::Milliseconds(full_ms));
  }
}

TEST(Backoff_Next, DiffersBetweenClients) {
  std::set<absl::Duration> pauses;
  for (int i = 0; i < 20; ++i) {
    pauses.insert(Backoff(absl::Seconds(1), absl::Seconds(1)).Next());
  }
  EXPECT_GT(pauses.size(), 1u);
}

}  // namespace
}  // namespace diskd::client
