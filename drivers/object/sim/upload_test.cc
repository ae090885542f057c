// SPDX-License-Identifier: Apache-2.0
//
// Where the log is cut into objects, on a store without faults.
#include <functional>
#include <memory>

#include "drivers/object/sim/one_volume.h"
#include "gtest/gtest.h"

namespace diskd::object {
namespace {

constexpr uint64_t kBlocks = 64;
constexpr uint64_t kLogBlocks = 2048;

class UploadTest : public OneVolume {
 protected:
  void SetUp() override { Open(kBlocks, kLogBlocks, options_); }
  void Write(Lba lba) {
    AlignedBuffer buffer(1);
    ASSERT_TRUE(Wait([&](auto done) {
                  engine().Submit({RequestKind::kWrite, false, lba, 1, buffer.block(0), done});
                }).ok());
  }
  void Flush() {
    ASSERT_TRUE(Wait([&](auto done) {
                  engine().Submit({RequestKind::kFlush, false, 0, 0, nullptr, done});
                }).ok());
  }
  // What is in the store once more than `before` is.
  uint64_t UploadedAfter(uint64_t before) {
    while (engine().stats().uploaded_sequence <= before && scheduler_.RunOne()) {
    }
    return engine().stats().uploaded_sequence;
  }

  Options options_;
};

class UploadFromDiskTest : public UploadTest {
 protected:
  UploadFromDiskTest() { options_.retained_log_bytes = 0; }
};

TEST_F(UploadTest, ObjectThatIsDue_EndsAtAFlush_TheRestFollowsWhenItIsDue) {
  Write(0);
  Write(1);
  Flush();
  Write(2);
  EXPECT_EQ(UploadedAfter(0), 2u);
  EXPECT_EQ(UploadedAfter(2), 3u);
}

TEST_F(UploadTest, WithoutAFlush_WhatIsDueIsUploadedAllTheSame) {
  Write(0);
  Write(1);
  EXPECT_EQ(UploadedAfter(0), 2u);
}

// The timer was armed for a write that went with the snapshot.
TEST_F(UploadTest, LastWriteOfAll_IsUploadedWithoutAnother) {
  Write(0);
  ASSERT_TRUE(Wait([&](auto done) {
                engine().CreateSnapshot("s", [done](auto id) { done(id.status()); });
              }).ok());
  Write(1);
  EXPECT_EQ(UploadedAfter(1), 2u);
}

TEST_F(UploadTest, WhatASnapshotNeeds_IsUploadedWhetherFlushedOrNot) {
  Write(0);
  Flush();
  Write(1);
  ASSERT_TRUE(Wait([&](auto done) {
                engine().CreateSnapshot("s", [done](auto id) { done(id.status()); });
              }).ok());
  EXPECT_EQ(engine().stats().uploaded_sequence, 2u);
}

// They lie side by side in the log, though not on the volume.
TEST_F(UploadFromDiskTest, WritesAtRandom_AreReadBackManyAtATime) {
  uint64_t next = 0;
  const uint64_t before = disk_->reads();
  WriteMany(kBlocks, 1, [&] { return next++ * 37 % kBlocks; });
  EXPECT_EQ(UploadedAfter(kBlocks - 1), kBlocks);
  EXPECT_LE(disk_->reads() - before, kBlocks / 16);
}

// The header of the second record lies between the two blocks.
TEST_F(UploadFromDiskTest, UnreadableSectorBetweenTheBlocks_FailsNothing) {
  Write(0);
  Write(1);
  disk_->LoseSector(kLogRingStart + 2 * kBlockBytes);
  EXPECT_EQ(UploadedAfter(1), 2u);
  EXPECT_TRUE(engine().status().ok()) << engine().status();
}

TEST_F(UploadFromDiskTest, UnreadableBlock_FailsTheVolume) {
  Write(0);
  Write(1);
  disk_->LoseSector(kLogRingStart + 3 * kBlockBytes);
  RunUntil([&] { return engine().state() == EngineState::kFailed; });
  EXPECT_TRUE(absl::IsDataLoss(engine().status())) << engine().status();
}

}  // namespace
}  // namespace diskd::object
