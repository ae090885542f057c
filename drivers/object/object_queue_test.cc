// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/object_queue.h"

#include "drivers/object/testing/test_volume.h"
#include "drivers/sdk/ring_queue_io.h"

namespace diskd::object {
namespace {

constexpr int kRounds = 1000;

class ObjectQueueTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(Definition().provision(config_).ok());
    auto driver = Definition().open(config_);
    ASSERT_TRUE(driver.ok()) << driver.status();
    driver_ = std::move(*driver);
    auto queue = driver_->OpenQueue(0, io_);
    ASSERT_TRUE(queue.ok()) << queue.status();
    queue_ = std::move(*queue);
  }
  sdk::TestRequest Write(uint64_t block) {
    return {sdk::Op::kWrite, block * kBlockBytes, kBlockBytes, buffer_.data()};
  }
  void Await(const sdk::TestRequest& request) {
    while (request.completions == 0) io_.SubmitAndReap(true);
    EXPECT_EQ(request.completions, 1);
    EXPECT_EQ(request.error, 0);
  }

  const sdk::TempDir dir_;
  const sdk::TempDir memory_{kTmpfs};
  const sdk::VolumeConfig config_ = Config(dir_, memory_);
  sdk::AlignedBuffer buffer_{kBlockBytes};
  sdk::RingQueueIo io_{sdk::TestDisk::kDepth};
  std::unique_ptr<sdk::Driver> driver_;
  std::unique_ptr<sdk::Queue> queue_;
};

// Not every one: the engine's thread may have the turn, and the disk may be slow.
TEST_F(ObjectQueueTest, RequestsThatComeAlone_AreAnsweredWhileTheyAreSubmitted) {
  int at_once = 0;
  for (int round = 0; round < kRounds; ++round) {
    sdk::TestRequest write = Write(0);
    sdk::TestRequest flush(sdk::Op::kFlush, 0, 0);
    for (sdk::TestRequest* request : {&write, &flush}) {
      queue_->Submit(*request);
      queue_->CommitBatch();
      at_once += request->completions;
      Await(*request);
    }
  }
  EXPECT_GT(at_once, 0);
}

TEST_F(ObjectQueueTest, WhatNeedsADisk_IsLeftToTheEnginesThread_ForThoseThatComeTogether) {
  for (int round = 0; round < kRounds; ++round) {
    sdk::TestRequest first = Write(0);
    sdk::TestRequest second = Write(1);
    first.fua = second.fua = true;
    queue_->Submit(first);
    if (round % 2 == 0) queue_->CommitBatch();
    queue_->Submit(second);
    queue_->CommitBatch();
    EXPECT_EQ(first.completions + second.completions, 0);
    Await(first);
    Await(second);
  }
}

// Not every batch: the engine's thread may have the turn.
TEST_F(ObjectQueueTest, StreamOfWrites_IsAnsweredWhileItIsSubmitted) {
  int at_once = 0;
  for (int round = 0; round < kRounds; ++round) {
    std::vector<sdk::TestRequest> requests;
    for (uint64_t i = 0; i < 2; ++i) requests.push_back(Write(i));
    for (sdk::TestRequest& request : requests) queue_->Submit(request);
    queue_->CommitBatch();
    at_once += requests[0].completions + requests[1].completions;
    for (const sdk::TestRequest& request : requests) Await(request);
  }
  EXPECT_GT(at_once, 0);
}

// One by one they would come back one by one, each with a change of threads of its own.
TEST_F(ObjectQueueTest, RequestsThatComeTogether_AreAnsweredTogether) {
  constexpr size_t kTogether = 8;
  int rounds_in_one = 0;
  for (int round = 0; round < kRounds; ++round) {
    std::vector<sdk::TestRequest> requests;
    for (size_t i = 0; i < kTogether; ++i) requests.push_back(Write(i));
    for (sdk::TestRequest& request : requests) queue_->Submit(request);
    queue_->CommitBatch();
    while (requests[0].completions == 0) io_.SubmitAndReap(true);
    rounds_in_one += requests.back().completions;
    for (const sdk::TestRequest& request : requests) Await(request);
  }
  EXPECT_EQ(rounds_in_one, kRounds);
}

}  // namespace
}  // namespace diskd::object
