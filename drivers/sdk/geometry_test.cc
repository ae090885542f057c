// SPDX-License-Identifier: Apache-2.0
#include "drivers/sdk/geometry.h"

#include <cerrno>

#include "drivers/sdk/testing/test_disk.h"
#include "gtest/gtest.h"

namespace diskd::sdk {
namespace {

Geometry Good() {
  Geometry geometry;
  geometry.size_bytes = 1 << 20;
  geometry.logical_block_bytes = 4096;
  return geometry;
}

TEST(CheckGeometry_Sane, IsAccepted) { EXPECT_TRUE(CheckGeometry(Good()).ok()); }

TEST(CheckGeometry_Impossible, IsRefused) {
  Geometry geometry = Good();
  geometry.size_bytes = 0;
  EXPECT_FALSE(CheckGeometry(geometry).ok());
  geometry.size_bytes = 4096 + 512;
  EXPECT_FALSE(CheckGeometry(geometry).ok());
  geometry = Good();
  geometry.logical_block_bytes = 1000;
  EXPECT_FALSE(CheckGeometry(geometry).ok());
  geometry.logical_block_bytes = 8192;
  EXPECT_FALSE(CheckGeometry(geometry).ok());
  geometry = Good();
  geometry.physical_block_bytes = 512;
  EXPECT_FALSE(CheckGeometry(geometry).ok());
  geometry = Good();
  geometry.discard_granularity_bytes = 512;
  EXPECT_FALSE(CheckGeometry(geometry).ok());
}

TEST(CheckRequest_Range, LastBlockIsInAndNextIsOut) {
  const Geometry geometry = Good();
  const uint64_t last = geometry.size_bytes - 4096;
  EXPECT_EQ(CheckRequest(geometry, TestRequest(Op::kRead, last, 4096)), 0);
  EXPECT_EQ(CheckRequest(geometry, TestRequest(Op::kRead, last + 4096, 4096)), EINVAL);
  EXPECT_EQ(CheckRequest(geometry, TestRequest(Op::kRead, last, 8192)), EINVAL);
  EXPECT_EQ(CheckRequest(geometry, TestRequest(Op::kWrite, ~uint64_t{4095}, 4096)), EINVAL);
  EXPECT_EQ(CheckRequest(geometry, TestRequest(Op::kRead, 0, 0)), EINVAL);
}

TEST(CheckRequest_Alignment, IsOfTheLogicalBlock) {
  EXPECT_EQ(CheckRequest(Good(), TestRequest(Op::kRead, 512, 4096)), EINVAL);
  EXPECT_EQ(CheckRequest(Good(), TestRequest(Op::kRead, 0, 512)), EINVAL);
}

TEST(CheckRequest_Operations, ThatTheDiskDoesNotOfferAreRefused) {
  EXPECT_EQ(CheckRequest(Good(), TestRequest(Op::kDiscard, 0, 4096)), EOPNOTSUPP);
  EXPECT_EQ(CheckRequest(Good(), TestRequest(Op::kWriteZeroes, 0, 4096)), EOPNOTSUPP);
  Geometry geometry = Good();
  geometry.read_only = true;
  EXPECT_EQ(CheckRequest(geometry, TestRequest(Op::kWrite, 0, 4096)), EROFS);
  EXPECT_EQ(CheckRequest(geometry, TestRequest(Op::kRead, 0, 4096)), 0);
  EXPECT_EQ(CheckRequest(geometry, TestRequest(Op::kFlush, 0, 0)), 0);
}

}  // namespace
}  // namespace diskd::sdk
