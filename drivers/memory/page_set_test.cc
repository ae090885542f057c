// SPDX-License-Identifier: Apache-2.0
#include "drivers/memory/page_set.h"

#include "gtest/gtest.h"

namespace diskd::memory_driver {
namespace {

constexpr uint64_t kSize = 300 * kPageBytes;

TEST(PageSet_New, IsEmpty) {
  const PageSet pages(kSize);
  EXPECT_FALSE(pages.Contains(0, 1));
  EXPECT_FALSE(pages.Contains(kSize - 1, 1));
}

TEST(PageSet_Add, TakesEveryPageTheRangeTouches) {
  PageSet pages(kSize);
  pages.Add(63 * kPageBytes + 512, 2 * kPageBytes);  // across a word: pages 63, 64, 65
  EXPECT_TRUE(pages.Contains(63 * kPageBytes, 3 * kPageBytes));
  EXPECT_FALSE(pages.Contains(62 * kPageBytes, kPageBytes));
  EXPECT_FALSE(pages.Contains(66 * kPageBytes, 1));
  EXPECT_FALSE(pages.Contains(63 * kPageBytes, 3 * kPageBytes + 1));
}

TEST(PageSet_ContainsOnePage, KnowsRangesWithinAPageOnly) {
  PageSet pages(kSize);
  pages.Add(64 * kPageBytes, 2 * kPageBytes);
  EXPECT_TRUE(pages.ContainsOnePage(64 * kPageBytes, kPageBytes));
  EXPECT_TRUE(pages.ContainsOnePage(65 * kPageBytes + 512, 512));
  EXPECT_FALSE(pages.ContainsOnePage(63 * kPageBytes, kPageBytes));
  EXPECT_FALSE(pages.ContainsOnePage(66 * kPageBytes, 512));
  EXPECT_FALSE(pages.ContainsOnePage(64 * kPageBytes, 2 * kPageBytes));
}

TEST(PageSet_RemoveWhole, KeepsPagesThatAreOnlyPartlyInTheRange) {
  PageSet pages(kSize);
  pages.Add(0, kSize);
  pages.RemoveWhole(10 * kPageBytes + 512, 130 * kPageBytes);  // whole: 11 to 139
  EXPECT_TRUE(pages.Contains(10 * kPageBytes, kPageBytes));
  EXPECT_FALSE(pages.Contains(11 * kPageBytes, 1));
  EXPECT_FALSE(pages.Contains(139 * kPageBytes, 1));
  EXPECT_TRUE(pages.Contains(140 * kPageBytes, 160 * kPageBytes));
}

TEST(PageSet_RemoveWhole, OfLessThanAPageRemovesNothing) {
  PageSet pages(kSize);
  pages.Add(0, kSize);
  pages.RemoveWhole(kPageBytes + 512, kPageBytes - 512 - 512);
  EXPECT_TRUE(pages.Contains(0, kSize));
}

}  // namespace
}  // namespace diskd::memory_driver
