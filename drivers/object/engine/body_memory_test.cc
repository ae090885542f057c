// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/engine/body_memory.h"

#include <string>

#include "gtest/gtest.h"

namespace diskd::object {
namespace {

constexpr uint64_t kBody = 1000;

class BodyMemoryTest : public testing::Test {
 protected:
  // A body in memory of its own.
  std::shared_ptr<const std::string> Make(uint64_t bytes) {
    memory_->Take(bytes);
    return memory_->Share(std::string(bytes, 'x'), bytes);
  }

  const std::shared_ptr<BodyMemory> memory_ = std::make_shared<BodyMemory>(2 * kBody + 100);
};

TEST_F(BodyMemoryTest, WhatTheLastUserLeaves_IsTakenByTheNextBody) {
  std::shared_ptr<const std::string> body = Make(kBody);
  std::shared_ptr<const std::string> other = body;
  const char* const data = body->data();
  body.reset();
  EXPECT_EQ(memory_->kept_bytes(), 0u);
  other.reset();
  EXPECT_GE(memory_->kept_bytes(), kBody);
  EXPECT_EQ(memory_->Take(kBody - 10).data(), data);
  EXPECT_EQ(memory_->kept_bytes(), 0u);
}

TEST_F(BodyMemoryTest, WhatDoesNotFit_IsFreed) {
  for (const uint64_t bytes : {kBody * 2, kBody / 2}) {
    Make(kBody);
    ASSERT_GT(memory_->kept_bytes(), 0u);
    EXPECT_EQ(memory_->Take(bytes).capacity(), std::string().capacity()) << bytes;
    EXPECT_EQ(memory_->kept_bytes(), 0u);
    memory_->Share("", bytes);
  }
}

TEST_F(BodyMemoryTest, NothingIsKept_BeyondTheLimit) {
  const auto first = Make(kBody);
  auto second = Make(kBody);
  auto third = Make(kBody);
  second.reset();
  EXPECT_EQ(memory_->kept_bytes(), 0u);
  third.reset();
  EXPECT_GT(memory_->kept_bytes(), 0u);
}

TEST_F(BodyMemoryTest, OfTwo_OneIsKept) {
  auto first = Make(kBody);
  auto second = Make(kBody);
  first.reset();
  second.reset();
  EXPECT_LE(memory_->kept_bytes(), kBody + 100);
}

TEST_F(BodyMemoryTest, WithoutUse_ItIsFreed_AndWhatComesLateIsNotKept) {
  Make(kBody);
  auto late = Make(kBody);
  Make(kBody);
  EXPECT_FALSE(memory_->FreeUnused());
  EXPECT_GT(memory_->kept_bytes(), 0u);
  EXPECT_TRUE(memory_->FreeUnused());
  EXPECT_EQ(memory_->kept_bytes(), 0u);
  late.reset();
  EXPECT_EQ(memory_->kept_bytes(), 0u);
}

TEST_F(BodyMemoryTest, BodiesMayOutliveTheirMaker) {
  auto memory = std::make_shared<BodyMemory>(kBody * 2);
  memory->Take(kBody);
  auto body = memory->Share(std::string(kBody, 'x'), kBody);
  memory.reset();
  EXPECT_EQ(*body, std::string(kBody, 'x'));
  body.reset();
}

}  // namespace
}  // namespace diskd::object
