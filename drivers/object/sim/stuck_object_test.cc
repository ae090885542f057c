// SPDX-License-Identifier: Apache-2.0
//
// One object that the store has and does not give: only who reads it waits, or gets an error.
#include <vector>

#include "drivers/object/sim/one_volume.h"
#include "gtest/gtest.h"

namespace diskd::object {
namespace {

constexpr uint64_t kBlocks = 1024;
constexpr uint64_t kLogBlocks = 1024;
constexpr uint64_t kObjectBlocks = 64;
constexpr absl::Duration kLimit = absl::Minutes(10);  // of everything here; of virtual time

class StuckObjectTest : public OneVolume {
 protected:
  // The first object has the first blocks, the next one those behind.
  void SetUp() override {
    options_.object_bytes = kObjectBlocks * kBlockBytes;
    options_.read_bytes = options_.object_bytes;
    options_.body_bytes = options_.object_bytes + (64 << 10);
    options_.checkpoint_objects = 4;
    options_.collect_every_objects = 0;
    options_.collect_until = 1;
    Open(kBlocks, kLogBlocks, options_);
    Lba next = 0;
    WriteMany(4 * kObjectBlocks, kObjectBlocks, [&next] { return next++; });
    Upload();
    const Stream& stream = engine().head().streams.back();
    object_ = ObjectName(stream.volume, stream.epoch, stream.nonce, 1);
    ASSERT_EQ(store_.FindPrefix(object_), object_);
  }
  void Upload() {
    RunUntil([this] {
      const EngineStats stats = engine().stats();
      return stats.uploaded_sequence == stats.last_sequence && stats.checkpoints > 0;
    });
  }
  // Virtual time goes on for ever while something is tried again and again.
  bool Ends(const std::function<bool()>& done) {
    const absl::Duration end = scheduler_.Now() + kLimit;
    while (!done() && scheduler_.Now() < end && scheduler_.RunOne()) {
    }
    return done();
  }
  // The status is in `results_` when it has ended.
  size_t Read(Lba lba, uint64_t blocks) {
    const size_t index = results_.size();
    results_.emplace_back();
    buffers_.emplace_back(blocks);
    engine().Submit({RequestKind::kRead, false, lba, blocks, buffers_.back().block(0),
                     [this, index](absl::Status status) { results_[index] = std::move(status); }});
    return index;
  }
  bool ReadEnds(Lba lba, uint64_t blocks) {
    const size_t index = Read(lba, blocks);
    return Ends([&] { return results_[index].has_value(); }) && results_[index]->ok();
  }
  bool WritesEnd(uint64_t count) {
    AlignedBuffer buffer(1);
    auto left = std::make_shared<uint64_t>(count);
    for (uint64_t i = 0; i < count; ++i) {
      engine().Submit({RequestKind::kWrite, false, kBlocks - 1 - i % (kBlocks / 2), 1,
                       buffer.block(0), [left](absl::Status status) { *left -= status.ok(); }});
    }
    return Ends([&] { return *left == 0; });
  }
  std::optional<absl::Status> Collect() {
    auto result = std::make_shared<std::optional<absl::Status>>();
    engine().Collect([result](absl::Status status) { *result = std::move(status); });
    Ends([&] { return result->has_value(); });
    return *result;
  }
  // Its rest is worth copying.
  void BeginCollectionThatMeetsIt(std::optional<absl::Status>& collected) {
    ASSERT_TRUE(Wait([&](auto done) {
                  engine().Submit(
                      {RequestKind::kZero, false, 0, kObjectBlocks / 2, nullptr, std::move(done)});
                }).ok());
    Upload();
    store_.object_faults[object_] = {absl::UnavailableError("500")};
    engine().Collect([&collected](absl::Status status) { collected = std::move(status); });
    ASSERT_TRUE(Ends([this, before = engine().stats().store.retries] {
      return engine().stats().store.retries > before;
    }));
  }

  Options options_;
  std::string object_;
  std::vector<std::optional<absl::Status>> results_;
  std::list<AlignedBuffer> buffers_;
};

TEST_F(StuckObjectTest, WhileAReadWaitsForIt_TheLogGoesRound_AndOtherReadsEnd) {
  store_.object_faults[object_] = {absl::UnavailableError("500"), kLimit * 2};
  std::vector<size_t> stuck = {Read(0, 1)};
  // More than GETs may bring at the same time.
  for (int i = 0; i < 4; ++i) stuck.push_back(Read(0, kObjectBlocks));
  EXPECT_TRUE(ReadEnds(kObjectBlocks, kObjectBlocks));
  EXPECT_TRUE(WritesEnd(4 * kLogBlocks));
  EXPECT_TRUE(ReadEnds(kObjectBlocks, kObjectBlocks));
  for (const size_t index : stuck) EXPECT_FALSE(results_[index].has_value());
  // And these are no errors, once the store gives it.
  store_.object_faults.clear();
  for (const size_t index : stuck) {
    EXPECT_TRUE(Ends([&] { return results_[index].has_value(); }));
    EXPECT_TRUE(results_[index]->ok()) << *results_[index];
  }
}

// Nor while one attempt has no answer.
TEST_F(StuckObjectTest, WhileAGetOfItHangs_TheLogGoesRound) {
  store_.object_faults[object_] = {absl::DeadlineExceededError(""), absl::InfiniteDuration(),
                                   2 * kLimit};
  const size_t stuck = Read(0, 1);
  EXPECT_TRUE(WritesEnd(4 * kLogBlocks));
  EXPECT_FALSE(results_[stuck].has_value());
}

TEST_F(StuckObjectTest, WhileAReadWaitsForIt_CollectionDeletesOthers) {
  ASSERT_TRUE(WritesEnd(kBlocks));
  ASSERT_TRUE(WritesEnd(kBlocks));
  store_.object_faults[object_] = {absl::PermissionDeniedError("InvalidObjectState")};
  const size_t stuck = Read(0, 1);
  EXPECT_TRUE(Collect().has_value());
  EXPECT_GT(engine().stats().objects_deleted, 0u);
  EXPECT_FALSE(results_[stuck].has_value());
}

// While it is read, nothing of it may keep uploads waiting.
TEST_F(StuckObjectTest, CollectionThatMeetsIt_HoldsUpNoWrite) {
  std::optional<absl::Status> collected;
  BeginCollectionThatMeetsIt(collected);
  EXPECT_TRUE(WritesEnd(4 * kLogBlocks));
  ASSERT_TRUE(Ends([&] { return collected.has_value(); }));
  EXPECT_TRUE(collected->ok()) << *collected;
  EXPECT_EQ(engine().stats().objects_left_out, 1u);
  EXPECT_TRUE(ReadEnds(kObjectBlocks, kObjectBlocks));
}

// It must not blame the store for that.
TEST_F(StuckObjectTest, CollectionThatMeetsIt_SaysWhenTheVolumeIsTakenOver) {
  std::optional<absl::Status> collected;
  BeginCollectionThatMeetsIt(collected);
  Node rival(&scheduler_, &store_, std::make_shared<SimDisk>(&scheduler_, kLogBlocks), nullptr,
             volume_, options_);
  ASSERT_TRUE(Wait([&](auto done) { rival.engine().Open(done); }).ok());
  AlignedBuffer buffer(1);
  for (Lba lba = 0; lba < kObjectBlocks; ++lba) {
    engine().Submit(
        {RequestKind::kWrite, false, lba, 1, buffer.block(0), [](const absl::Status&) {}});
  }
  ASSERT_TRUE(Ends([&] { return engine().state() == EngineState::kFenced; }));
  ASSERT_FALSE(collected.has_value());
  ASSERT_TRUE(Ends([&] { return collected.has_value(); }));
  EXPECT_EQ(*collected, engine().status());
}

TEST_F(StuckObjectTest, UnreadableOnItsMedium_IsAnErrorOfItsBlocksOnly) {
  store_.object_faults[object_] = {absl::UnknownError("EIO")};
  const size_t index = Read(0, 1);
  ASSERT_TRUE(Ends([&] { return results_[index].has_value(); }));
  EXPECT_TRUE(absl::IsDataLoss(*results_[index])) << *results_[index];
  EXPECT_EQ(engine().stats().store.lost, 1u);
  EXPECT_TRUE(ReadEnds(kObjectBlocks, kObjectBlocks));
  EXPECT_TRUE(WritesEnd(4 * kLogBlocks));
  EXPECT_TRUE(engine().status().ok()) << engine().status();
}

TEST_F(StuckObjectTest, DeniedForASecond_IsNoError) {
  store_.object_faults[object_] = {absl::NotFoundError("404"), scheduler_.Now() + absl::Seconds(1)};
  EXPECT_TRUE(ReadEnds(0, 1));
}

TEST_F(StuckObjectTest, MissingForLonger_IsAnErrorOfItsBlocksOnly) {
  store_.object_faults[object_] = {absl::NotFoundError("404")};
  const size_t index = Read(0, 1);
  ASSERT_TRUE(Ends([&] { return results_[index].has_value(); }));
  EXPECT_TRUE(absl::IsDataLoss(*results_[index])) << *results_[index];
  EXPECT_EQ(engine().stats().store.lost, 1u);
  EXPECT_TRUE(engine().status().ok()) << engine().status();
}

class StuckPageTest : public StuckObjectTest {
 protected:
  StuckPageTest() { options_.page_cache_bytes = 0; }
};

TEST_F(StuckPageTest, DeniedForASecond_DoesNotFailTheVolume) {
  const Head& head = engine().head();
  const Stream& stream = head.streams.back();
  const PagePointer& root = head.checkpoint.root;
  const uint64_t before = engine().stats().checkpoints;
  const std::string name = ObjectName(stream.volume, stream.epoch, stream.nonce, root.sequence);
  store_.object_faults[name] = {absl::NotFoundError("404")};
  const uint64_t retries = engine().stats().store.retries;
  EXPECT_TRUE(WritesEnd(kLogBlocks / 2));
  ASSERT_TRUE(Ends([&] { return engine().stats().store.retries > retries; }));
  store_.object_faults[name].until = scheduler_.Now() + absl::Seconds(1);
  EXPECT_TRUE(
      Ends([&] { return engine().stats().checkpoints > before || !engine().status().ok(); }));
  EXPECT_TRUE(engine().status().ok()) << engine().status();
}

}  // namespace
}  // namespace diskd::object
