// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/engine/object_ages.h"

#include "gtest/gtest.h"

namespace diskd::object {
namespace {

constexpr uint32_t kSide = kFirstSideSequence;

TEST(ObjectAges_OfThreeOwners, CountsWhatAllHaveStoredSince) {
  const Uuid volume;
  Uuid origin;
  origin.bytes[0] = 1;
  Head head;
  head.streams = {{1, origin, 1, 11, 500},
                  {2, volume, 2, 12, 10},
                  {3, volume, 3, 13, 20},
                  {4, volume, 4, 14, 0}};
  const ObjectAges::Passes passes = {{kSide + 5, 40}, {kSide + 9, 60}};
  const ObjectAges ages(head, volume, 4, 100, &passes);
  EXPECT_EQ(ages.Of(4, 100), 0u);
  EXPECT_EQ(ages.Of(4, 70), 30u);
  EXPECT_EQ(ages.Of(3, 20), 100u);
  EXPECT_EQ(ages.Of(2, 1), 129u);
  // Copies: from when their pass began; of earlier owners, at the latest.
  EXPECT_EQ(ages.Of(4, kSide + 4), 100u);
  EXPECT_EQ(ages.Of(4, kSide + 5), 60u);
  EXPECT_EQ(ages.Of(4, kSide + 8), 60u);
  EXPECT_EQ(ages.Of(4, kSide + 900), 40u);
  EXPECT_EQ(ages.Of(2, kSide), 120u);
}

}  // namespace
}  // namespace diskd::object
