// SPDX-License-Identifier: Apache-2.0
//
// A log whose memory outlives the process.
#include <cstring>

#include "drivers/object/sim/one_volume.h"
#include "gtest/gtest.h"

namespace diskd::object {
namespace {

constexpr uint64_t kBlocks = 256;
constexpr uint64_t kLogBlocks = 2048;
constexpr Lba kAnyBlock = 7;

class LastingLogTest : public OneVolume {
 protected:
  LastingLogTest() {
    options_.retained_log_bytes = 0;
    options_.settle_bytes = 64 * kBlockBytes;
    options_.settle_delay = absl::Seconds(1);
    options_.upload_delay = absl::Hours(1);
  }
  void SetUp() override {
    Operator process(&scheduler_, &store_, options_);
    ASSERT_TRUE(Wait([&](auto done) { process.volumes().Create(volume_, kBlocks, done); }).ok());
    disk_ = std::make_shared<SimDisk>(&scheduler_, kLogBlocks);
    disk_->GiveMemory(WriteLog::MemoryBytes(options_, disk_->size_bytes()));
    OpenAgain();
  }
  // After the end of the process, if there is one.
  absl::Status TryToOpenAgain() {
    node_.reset();
    RunUntil([this] { return disk_->idle(); });
    node_ = std::make_unique<Node>(&scheduler_, &store_, disk_, nullptr, volume_, options_);
    return Wait([&](auto done) { engine().Open(done); });
  }
  void OpenAgain() {
    const absl::Status opened = TryToOpenAgain();
    ASSERT_TRUE(opened.ok()) << opened;
  }
  // As after a power cut that has taken nothing from the disk.
  void ForgetMemory() {
    node_.reset();
    RunUntil([this] { return disk_->idle(); });
    memset(disk_->memory().data(), 0, disk_->memory().size());
  }
  // True: it was answered inside the call.
  bool Write(Lba lba, int value) {
    std::byte* const data = memory_.block(next_++ % memory_.blocks());
    memset(data, value, kBlockBytes);
    auto answered = std::make_shared<bool>(false);
    engine().Submit(
        {RequestKind::kWrite, false, lba, 1, data, [this, answered](absl::Status status) {
           EXPECT_TRUE(status.ok()) << status;
           *answered = true;
           ++answered_;
         }});
    return *answered;
  }
  void Flush() {
    ASSERT_TRUE(Wait([&](auto done) {
                  engine().Submit({RequestKind::kFlush, false, 0, 0, nullptr, done});
                }).ok());
  }
  int Read(Lba lba) {
    const absl::Status status = Wait([&](auto done) {
      engine().Submit({RequestKind::kRead, false, lba, 1, buffer_.block(0), done});
    });
    EXPECT_TRUE(status.ok()) << status;
    return std::to_integer<int>(*buffer_.block(0));
  }
  void Rest(absl::Duration time) {
    bool over = false;
    scheduler_.After(time, [&over] { over = true; });
    RunUntil([&over] { return over; });
  }

  Options options_;
  AlignedBuffer buffer_{1};
  AlignedBuffer memory_{1024};  // of writes, which may have to wait
  uint64_t next_ = 0;
  int answered_ = 0;
};

TEST_F(LastingLogTest, Write_IsAnsweredAtOnce_AndThereAfterAKill) {
  const uint64_t writes = disk_->writes();
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(Write(static_cast<Lba>(i), i));
  EXPECT_EQ(disk_->writes(), writes);
  OpenAgain();
  EXPECT_EQ(engine().stats().kept_log_records, 30u);
  EXPECT_EQ(engine().stats().last_sequence, 30u);
  for (int i = 0; i < 30; ++i) EXPECT_EQ(Read(static_cast<Lba>(i)), i);
}

TEST_F(LastingLogTest, KilledTwice_TheSecondKillTakesNothingEither) {
  Write(0, 1);
  OpenAgain();
  Write(1, 2);
  OpenAgain();
  EXPECT_EQ(engine().stats().kept_log_records, 1u) << "the first one is on the disk";
  EXPECT_EQ(Read(0), 1);
  EXPECT_EQ(Read(1), 2);
}

TEST_F(LastingLogTest, WhatReplayHasTaken_IsOnTheDisk) {
  Write(0, 1);
  OpenAgain();
  memset(disk_->memory().data(), 0, disk_->memory().size());
  OpenAgain();
  EXPECT_EQ(Read(0), 1);
}

TEST_F(LastingLogTest, Flush_OutlivesAPowerCut) {
  for (int i = 0; i < 20; ++i) Write(static_cast<Lba>(i), i);
  Flush();
  node_.reset();
  disk_->PowerCut();
  OpenAgain();
  EXPECT_EQ(engine().stats().last_sequence, 20u);
  EXPECT_EQ(engine().stats().kept_log_records, 0u);
}

TEST_F(LastingLogTest, RecordsSettleTogether_ForAFlush) {
  const uint64_t writes = disk_->writes();
  for (int i = 0; i < 20; ++i) Write(static_cast<Lba>(i), i);
  Flush();
  EXPECT_EQ(disk_->writes(), writes + 1);
}

TEST_F(LastingLogTest, RecordsSettleTogether_WhenThereAreEnough) {
  const uint64_t writes = disk_->writes();
  for (int i = 0; i < 31; ++i) Write(static_cast<Lba>(i), i);
  EXPECT_EQ(disk_->writes(), writes);
  Write(31, 31);
  EXPECT_EQ(disk_->writes(), writes + 1);
}

TEST_F(LastingLogTest, RecordsSettle_AfterSomeTime) {
  const uint64_t writes = disk_->writes();
  for (int i = 0; i < 5; ++i) Write(static_cast<Lba>(i), i);
  Rest(options_.settle_delay / 2);
  EXPECT_EQ(disk_->writes(), writes);
  Rest(options_.settle_delay);
  EXPECT_EQ(disk_->writes(), writes + 1);
  memset(disk_->memory().data(), 0, disk_->memory().size());
  OpenAgain();
  EXPECT_EQ(engine().stats().last_sequence, 5u);
}

// As if there were always more to wait for.
class FullMemoryTest : public LastingLogTest {
 protected:
  FullMemoryTest() {
    options_.settle_bytes = 1 << 30;
    options_.settle_delay = absl::Hours(1);
  }
};

TEST_F(FullMemoryTest, WritesWaitForTheDiskAlone_AndNothingIsLost) {
  constexpr int kWrites = 600;
  int at_once = 0;
  for (int i = 0; i < kWrites; ++i) at_once += Write(static_cast<Lba>(i) % kBlocks, i % 199);
  EXPECT_GT(at_once, 100);
  EXPECT_LT(at_once, kWrites);
  const absl::Duration begin = scheduler_.Now();
  RunUntil([this] { return answered_ == kWrites; });
  EXPECT_LT(scheduler_.Now() - begin, absl::Seconds(1));
  OpenAgain();
  EXPECT_EQ(engine().stats().last_sequence, static_cast<uint64_t>(kWrites));
  for (int i = kWrites - static_cast<int>(kBlocks); i < kWrites; ++i) {
    ASSERT_EQ(Read(static_cast<Lba>(i) % kBlocks), i % 199);
  }
}

TEST_F(LastingLogTest, WhoIsAnswered_MayWriteAgainInsideTheCall_BehindTheOthers) {
  std::string order;
  const auto write = [this](std::function<void()> done, bool more) {
    engine().Submit({RequestKind::kWrite, false, kAnyBlock, 1, buffer_.block(0),
                     [done = std::move(done)](absl::Status status) {
                       EXPECT_TRUE(status.ok()) << status;
                       done();
                     }},
                    more);
  };
  write(
      [&] {
        order += 'a';
        write([&] { order += 'c'; }, /*more=*/false);
      },
      /*more=*/true);
  write([&] { order += 'b'; }, /*more=*/false);
  EXPECT_EQ(order, "abc");
}

// The ring's end and its start are neighbours in memory, not on the device.
TEST_F(LastingLogTest, KilledAtTheRingsEnd_TakesBothParts) {
  constexpr int kRecords = (kLogBlocks - kLogRingStart / kBlockBytes) / 2;
  constexpr int kLast = 10;
  for (int i = 0; i < kRecords - kLast / 2; ++i) {
    const int before = answered_;
    Write(kAnyBlock, i % 199);
    RunUntil([&] { return answered_ > before; });
  }
  // Which uploads what is there, and gives its space back.
  bool made = false;
  engine().CreateSnapshot("s", [&made](const absl::StatusOr<uint64_t>& id) { made = id.ok(); });
  RunUntil([&made] { return made; });
  Flush();
  for (int i = 0; i < kLast; ++i) EXPECT_TRUE(Write(static_cast<Lba>(i), i + 1));
  node_.reset();
  RunUntil([this] { return disk_->idle(); });
  // The part before the end was on its way, which a kill may end.
  for (int i = 1; i <= kLast / 2; ++i) {
    disk_->LoseSector(disk_->size_bytes() - static_cast<uint64_t>(2 * i) * kBlockBytes);
  }
  OpenAgain();
  EXPECT_EQ(engine().stats().kept_log_records, static_cast<uint64_t>(kLast));
  memset(disk_->memory().data(), 0, disk_->memory().size());
  OpenAgain();
  for (int i = 0; i < kLast; ++i) EXPECT_EQ(Read(static_cast<Lba>(i)), i + 1);
}

// What was answered is in the memory still.
TEST_F(LastingLogTest, DiskTakesNoWrite_TheVolumeFails_AndTheNextProcessTriesAgain) {
  for (int i = 0; i < 5; ++i) Write(static_cast<Lba>(i), i + 1);
  disk_->FailWrites(true);
  EXPECT_FALSE(Wait([&](auto done) {
                 engine().Submit({RequestKind::kFlush, false, 0, 0, nullptr, done});
               }).ok());
  EXPECT_EQ(engine().state(), EngineState::kFailed);
  node_.reset();
  disk_->FailWrites(false);
  OpenAgain();
  EXPECT_EQ(engine().stats().last_sequence, 5u);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Read(static_cast<Lba>(i)), i + 1);
}

// Records of a former log, which begin with the same numbers.
TEST_F(LastingLogTest, AnotherLogsRecords_DoNotCount) {
  for (int i = 0; i < 5; ++i) Write(static_cast<Lba>(i), i + 1);
  const AlignedBuffer former(disk_->memory().size() / kBlockBytes);
  memcpy(former.block(0), disk_->memory().data(), former.bytes());
  node_.reset();
  disk_ = std::make_shared<SimDisk>(&scheduler_, kLogBlocks);
  disk_->GiveMemory(former.bytes());
  OpenAgain();
  memcpy(disk_->memory().data(), former.block(0), former.bytes());
  OpenAgain();
  EXPECT_EQ(engine().stats().last_sequence, 0u);
  EXPECT_EQ(Read(0), 0);
}

// What a process was at when it was killed, or what a bad memory module has done.
TEST_F(LastingLogTest, DamagedRecord_EndsTheLog) {
  for (int i = 0; i < 5; ++i) Write(static_cast<Lba>(i), i + 1);
  node_.reset();
  disk_->memory()[(2 * 2 + 1) * kBlockBytes + 9] ^= std::byte{1};  // data of the third one
  OpenAgain();
  EXPECT_EQ(engine().stats().last_sequence, 2u);
  EXPECT_EQ(Read(1), 2);
  EXPECT_EQ(Read(2), 0);
  Write(kAnyBlock, 9);
  OpenAgain();
  EXPECT_EQ(engine().stats().last_sequence, 3u) << "what was behind it never comes back";
  EXPECT_EQ(Read(3), 0);
  EXPECT_EQ(Read(kAnyBlock), 9);
}

// A record that the disk has lost, though it was flushed, is there a second time.
TEST_F(LastingLogTest, FlushedRecordThatTheDiskHasLost_IsTakenFromMemory) {
  Write(0, 1);
  Flush();
  Write(1, 2);
  Flush();
  node_.reset();
  disk_->LoseSector(kLogRingStart);
  OpenAgain();
  EXPECT_EQ(engine().stats().kept_log_records, 1u);
  EXPECT_EQ(Read(0), 1);
  EXPECT_EQ(Read(1), 2);
}

// An error that passes is not the log's end.
TEST_F(LastingLogTest, DiskThatCantBeReadNow_IsAnError_AndLosesNothing) {
  for (int i = 0; i < 5; ++i) Write(static_cast<Lba>(i), i + 1);
  Flush();
  ForgetMemory();
  disk_->FailReadsFrom(kLogRingStart + 4 * kBlockBytes);
  const absl::Status opened = TryToOpenAgain();
  EXPECT_TRUE(absl::IsInternal(opened)) << opened;
  ForgetMemory();
  disk_->FailReadsFrom(~uint64_t{0});
  OpenAgain();
  EXPECT_EQ(engine().stats().last_sequence, 5u);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Read(static_cast<Lba>(i)), i + 1);
}

// Only the last of many records knows of the flush.
TEST_F(LastingLogTest, FlushedRecordThatIsLost_IsToldByOneFarBehindIt) {
  constexpr int kRecords = 400;
  for (int i = 0; i < kRecords; ++i) Write(static_cast<Lba>(i) % kBlocks, i);
  Flush();
  Write(kAnyBlock, 1);
  Flush();
  ForgetMemory();
  disk_->LoseSector(kLogRingStart);
  const absl::Status opened = TryToOpenAgain();
  EXPECT_TRUE(absl::IsDataLoss(opened)) << opened;
}

}  // namespace
}  // namespace diskd::object
