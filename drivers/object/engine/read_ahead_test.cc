// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/engine/read_ahead.h"

#include <random>

#include "gtest/gtest.h"

namespace diskd::object {
namespace {

constexpr uint64_t kWindow = 1024;
constexpr uint64_t kRoom = 2048;
constexpr Lba kEnd = 1 << 20;

TEST(ReadAhead_Sequence, IsFetchedOnceInOrder_WithAGrowingWindow) {
  ReadAhead ahead(kWindow);
  Lba fetched = 0;
  uint64_t longest = 0;
  for (Lba lba = 0; lba < 100'000; lba += 8) {
    const ReadAhead::Range range = ahead.OnRead(lba, 8, kRoom, kEnd);
    if (range.blocks == 0) continue;
    EXPECT_GE(range.lba, lba + 8);
    EXPECT_TRUE(fetched == 0 || range.lba == fetched) << range.lba;
    fetched = range.lba + range.blocks;
    EXPECT_LE(fetched, lba + 8 + kWindow);
    longest = std::max(longest, range.blocks);
  }
  EXPECT_GT(fetched, 100'000u);
  EXPECT_GE(longest, kWindow / 2);
}

TEST(ReadAhead_FirstReads, FetchNothing) {
  ReadAhead ahead(kWindow);
  for (int i = 0; i + 1 < ReadAhead::kReadsInOrder; ++i) {
    EXPECT_EQ(ahead.OnRead(i * 8, 8, kRoom, kEnd).blocks, 0u);
  }
  EXPECT_EQ(ahead.OnRead((ReadAhead::kReadsInOrder - 1) * 8, 8, kRoom, kEnd).blocks,
            ReadAhead::kFirstWindow);
}

TEST(ReadAhead_RandomReads, NeverFetch) {
  ReadAhead ahead(kWindow);
  std::mt19937_64 random(1);
  for (int i = 0; i < 100'000; ++i) {
    EXPECT_EQ(ahead.OnRead(random() % kEnd & ~Lba{1}, 1, kRoom, kEnd).blocks, 0u);
  }
}

TEST(ReadAhead_SeveralSequences_AmongRandomReads, AreAllFetched) {
  ReadAhead ahead(kWindow);
  std::mt19937_64 random(1);
  uint64_t fetched[3] = {};
  for (Lba lba = 0; lba < 8000; lba += 8) {
    for (Lba i = 0; i < 3; ++i) {
      fetched[i] += ahead.OnRead(i * 100'000 + lba, 8, kRoom, kEnd).blocks;
    }
    EXPECT_EQ(ahead.OnRead(500'000 + random() % 500'000, 8, kRoom, kEnd).blocks, 0u);
  }
  for (const uint64_t blocks : fetched) EXPECT_GE(blocks, 7900u);
}

TEST(ReadAhead_Bounds, AreKept) {
  ReadAhead ahead(kWindow);
  for (Lba lba = 0; lba < 4000; lba += 8) {
    const ReadAhead::Range range = ahead.OnRead(lba, 8, 16, 4000);
    EXPECT_LE(range.blocks, 16u);
    EXPECT_LE(range.lba + range.blocks, 4000u);
  }
  ReadAhead off(0);
  for (Lba lba = 0; lba < 4000; lba += 8) EXPECT_EQ(off.OnRead(lba, 8, kRoom, kEnd).blocks, 0u);
}

}  // namespace
}  // namespace diskd::object
