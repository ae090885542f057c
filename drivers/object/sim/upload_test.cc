// SPDX-License-Identifier: Apache-2.0
//
// Where the log is cut into objects, on a store without faults.
#include <functional>
#include <memory>
#include <vector>

#include "drivers/object/sim/one_volume.h"
#include "gtest/gtest.h"

namespace diskd::object {
namespace {

constexpr uint64_t kBlocks = 64;
constexpr uint64_t kLogBlocks = 2048;
constexpr int kFlush = -1;

class UploadTest : public OneVolume {
 protected:
  void SetUp() override { Open(kBlocks, kLogBlocks, options_); }
  void Write(Lba lba) {
    AlignedBuffer buffer(1);
    ASSERT_TRUE(Wait([&](auto done) {
                  engine().Submit({RequestKind::kWrite, false, lba, 1, buffer.block(0), done});
                }).ok());
  }
  // Begins single-block writes, and flushes where a number is negative; all at once if `together`.
  void Submit(const std::vector<int>& requests, bool together) {
    for (size_t i = 0; i < requests.size(); ++i) {
      const bool write = requests[i] >= 0;
      ++unanswered_;
      engine().Submit({write ? RequestKind::kWrite : RequestKind::kFlush, false,
                       write ? static_cast<Lba>(requests[i]) : 0, write ? 1u : 0u, buffer_.block(0),
                       [this](absl::Status status) {
                         EXPECT_TRUE(status.ok()) << status;
                         --unanswered_;
                       }},
                      together && i + 1 < requests.size());
    }
  }
  void AwaitAnswers() {
    RunUntil([this] { return unanswered_ == 0; });
  }
  void Rest(absl::Duration time) {
    bool over = false;
    scheduler_.After(time, [&over] { over = true; });
    RunUntil([&over] { return over; });
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
  AlignedBuffer buffer_{1};
  int unanswered_ = 0;
};

class BurstTest : public UploadTest {
 protected:
  static constexpr uint64_t kObjectBlocks = 8;

  BurstTest() {
    options_.object_bytes = kObjectBlocks * kBlockBytes;
    options_.burst = absl::Milliseconds(50);
  }
  void WriteSome(uint64_t blocks) {
    WriteMany(blocks, /*depth=*/4, [this] { return next_++ % kBlocks; });
  }

  uint64_t next_ = 0;
};

class LongBurstTest : public BurstTest {
 protected:
  LongBurstTest() { options_.burst = absl::Seconds(10); }
};

class CachedBurstTest : public BurstTest {
 protected:
  CachedBurstTest() { options_.cache_segment_blocks = 8; }
  void SetUp() override { Open(kBlocks, kLogBlocks, options_, /*cache_blocks=*/256); }
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

TEST_F(UploadTest, WhatComesTogether_SharesARecord) {
  const uint64_t before = disk_->writes();
  Submit({0, 1, 2, 3, 4, 5, 6, 7}, /*together=*/true);
  AwaitAnswers();
  EXPECT_EQ(disk_->writes() - before, 1u);
}

TEST_F(UploadTest, FlushAmongWhatComesTogether_EndsAnObject) {
  Submit({0, 1, kFlush, 2}, /*together=*/true);
  AwaitAnswers();
  EXPECT_EQ(UploadedAfter(0), 2u);
}

// Two records are on their way to the disk; the third write waits for one of them.
TEST_F(UploadTest, FlushOfWhatIsInNoRecordYet_EndsAnObjectBehindIt) {
  Submit({0, 1, 2, kFlush}, /*together=*/false);
  AwaitAnswers();
  Rest(options_.upload_delay / 2);
  Submit({3}, false);
  AwaitAnswers();
  EXPECT_EQ(UploadedAfter(0), 3u);
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

TEST_F(BurstTest, GoesToTheLogAlone_UntilItPauses) {
  const uint64_t before = store_.requests.puts;
  WriteSome(4 * kObjectBlocks);
  EXPECT_EQ(store_.requests.puts, before);
  Rest(options_.upload_delay / 10);
  EXPECT_GE(engine().stats().uploaded_sequence, 3 * kObjectBlocks);
}

TEST_F(BurstTest, ThatDoesNotPause_IsUploadedWhenItsTimeIsOver) {
  const absl::Duration begin = scheduler_.Now();
  while (engine().stats().uploaded_sequence == 0) WriteSome(1);
  EXPECT_GE(scheduler_.Now() - begin, options_.burst);
  EXPECT_LT(scheduler_.Now() - begin, options_.burst * 2);
}

// Else a stream would be behind by that time for ever, and its uploads read from the disk.
TEST_F(BurstTest, ThatGoesOn_WaitsNoMore) {
  store_.latency = absl::Milliseconds(1);
  const absl::Duration begin = scheduler_.Now();
  while (scheduler_.Now() - begin < options_.burst * 2) WriteSome(1);
  for (int i = 0; i < 50; ++i) {
    WriteSome(1);
    const EngineStats stats = engine().stats();
    EXPECT_LE(stats.last_sequence - stats.uploaded_sequence, 5 * kObjectBlocks);
  }
}

TEST_F(CachedBurstTest, AllOfItIsInTheReadCacheThen) {
  Rest(options_.upload_delay);  // until the cache's file is looked through
  WriteSome(4 * kObjectBlocks);
  Rest(options_.upload_delay * 2);
  EXPECT_EQ(engine().stats().uploaded_sequence, 4 * kObjectBlocks);
  EXPECT_EQ(engine().stats().cache.stored, 4 * kObjectBlocks);
}

TEST_F(LongBurstTest, WaitsForNothing_WhenItHasItsPartOfTheLog) {
  const uint64_t before = store_.requests.puts;
  while (store_.requests.puts == before) WriteSome(8);
  const uint64_t part = kLogBlocks / options_.burst_part * kBlockBytes;
  EXPECT_GE(engine().stats().dirty_log_bytes, part / 10 * 9);
  EXPECT_LE(engine().stats().dirty_log_bytes, part / 10 * 13);
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
