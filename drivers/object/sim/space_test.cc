// SPDX-License-Identifier: Apache-2.0
//
// What a volume takes in the store: how full its objects are, and what collection leaves.
#include <random>

#include "drivers/object/sim/one_volume.h"
#include "gtest/gtest.h"

namespace diskd::object {
namespace {

constexpr uint64_t kBlocks = 4096;
constexpr uint64_t kLogBlocks = 4096;
constexpr uint64_t kObjectBlocks = 64;

class SpaceTest : public OneVolume {
 protected:
  void Open(const Options& options) { OneVolume::Open(kBlocks, kLogBlocks, options); }
  static Options Small() {
    Options options;
    options.object_bytes = kObjectBlocks * kBlockBytes;
    return options;
  }
  // And then until all of it is in the store.
  void Write(uint64_t count, const std::function<Lba()>& next) {
    WriteMany(count, depth_, next);
    RunUntil([this] {
      const EngineStats stats = engine().stats();
      return stats.uploaded_sequence == stats.last_sequence;
    });
  }

  uint64_t depth_ = 32;
};

TEST_F(SpaceTest, ManySmallWrites_FillTheirObjects) {
  Options options = Small();
  options.collect_every_objects = 0;
  // No object is cut for a checkpoint or because it is due.
  options.checkpoint_objects = 1000;
  options.upload_delay = absl::Hours(1);
  Open(options);
  const uint64_t before = store_.requests.puts;
  // And each as soon as it may be, not when the ones before it are stored.
  store_.latency = absl::Microseconds(1);
  depth_ = 4;
  Lba at = 0;
  Write(kBlocks, [&at] { return at++; });
  // A record is not divided: its blocks, `depth_` at most, may be missing in each.
  EXPECT_LE(store_.requests.puts - before, kBlocks / (kObjectBlocks - depth_) + 2);
}

TEST_F(SpaceTest, RandomOverwrites_StoreStaysBelowTwiceTheVolume) {
  Options options = Small();
  options.checkpoint_objects = 8;
  options.collect_every_objects = 8;
  // Writers that outrun the store are not held back for collection.
  store_.latency = absl::Microseconds(20);
  Open(options);
  std::mt19937_64 random(1);
  Write(12 * kBlocks, [&random] { return random() % kBlocks; });
  EXPECT_LT(store_.StoredBytes(), 2 * kBlocks * kBlockBytes);
  EXPECT_GT(engine().stats().blocks_moved, 0u);
}

// Nobody writes any more.
class FreedSpaceTest : public SpaceTest {
 protected:
  void SetUp() override {
    Open(Small());
    Write(kBlocks, [this] { return at_++ % kBlocks; });
  }
  uint64_t TakeSnapshot() {
    uint64_t id = 0;
    bool done = false;
    engine().CreateSnapshot("s", [&](absl::StatusOr<uint64_t> result) {
      done = true;
      if (result.ok()) id = *result;
    });
    RunUntil([&] { return done; });
    EXPECT_NE(id, 0u);
    return id;
  }
  void ExpectOk(const std::function<void(Engine::Done)>& start) {
    const absl::Status status = Wait(start);
    EXPECT_TRUE(status.ok()) << status;
  }
  void ExpectStoredInTheEnd(uint64_t blocks) {
    EXPECT_GE(store_.StoredBytes(), kBlocks * kBlockBytes);
    while (scheduler_.RunOne()) {
    }
    EXPECT_LE(store_.StoredBytes(), blocks * kBlockBytes);
  }
  Lba at_ = 0;
};

TEST_F(FreedSpaceTest, Discards) {
  ExpectOk([&](auto done) {
    engine().Submit({RequestKind::kZero, false, 0, kBlocks, nullptr, std::move(done)});
  });
  ExpectStoredInTheEnd(kBlocks / 8);
}

TEST_F(FreedSpaceTest, DiscardsOfLessThanAnObject_AreLeft) {
  ExpectOk([&](auto done) {
    engine().Submit({RequestKind::kZero, false, 0, kObjectBlocks / 2, nullptr, std::move(done)});
  });
  const uint64_t lists = engine().stats().store.lists;
  ExpectStoredInTheEnd(2 * kBlocks);
  EXPECT_EQ(engine().stats().store.lists, lists);
}

TEST_F(FreedSpaceTest, DeletedSnapshot) {
  const uint64_t id = TakeSnapshot();
  Write(kBlocks, [this] { return at_++ % kBlocks; });
  while (scheduler_.RunOne()) {
  }
  EXPECT_GE(store_.StoredBytes(), 2 * kBlocks * kBlockBytes);
  ExpectOk([&](auto done) { engine().DeleteSnapshot(id, std::move(done)); });
  ExpectStoredInTheEnd(kBlocks * 3 / 2);
}

TEST_F(FreedSpaceTest, Rollback) {
  ExpectOk([&](auto done) {
    engine().Submit({RequestKind::kZero, false, 0, kBlocks, nullptr, std::move(done)});
  });
  const uint64_t id = TakeSnapshot();
  Write(kBlocks, [this] { return at_++ % kBlocks; });
  ExpectOk([&](auto done) { engine().RollBack(id, std::move(done)); });
  ExpectStoredInTheEnd(kBlocks / 8);
}

TEST_F(FreedSpaceTest, SmallerVolume) {
  ExpectOk([&](auto done) { engine().Resize(1, std::move(done)); });
  ExpectStoredInTheEnd(kBlocks / 8);
}

class DamagedSpaceTest : public SpaceTest {
 protected:
  // All of the volume, then all but the first object's first block again and again, with what lies
  // in the store at `offset` of that object damaged in between.
  void WriteAround(Options options, size_t offset) {
    options.checkpoint_objects = 8;
    options.collect_every_objects = 8;
    store_.latency = absl::Microseconds(20);
    Open(options);
    Lba at = 0;
    Write(kBlocks, [&at] { return at++; });
    const Stream& stream = engine().head().streams.back();
    store_.DamageAt(ObjectName(stream.volume, stream.epoch, stream.nonce, 1), offset);
    std::mt19937_64 random(1);
    Write(12 * kBlocks, [&random] { return 1 + random() % (kBlocks - 1); });
  }
};

TEST_F(DamagedSpaceTest, OneBlock_KeepsOnlyItsObject) {
  WriteAround(Small(), kBlockBytes);
  EXPECT_LT(store_.StoredBytes(), 2 * kBlocks * kBlockBytes);
  EXPECT_GT(engine().stats().blocks_moved, 0u);
  // Not at each pass.
  EXPECT_EQ(engine().stats().objects_left_out, 1u);
  EXPECT_TRUE(engine().status().ok()) << engine().status();
  AlignedBuffer buffer(1);
  const absl::Status read = Wait([&](auto done) {
    engine().Submit({RequestKind::kRead, false, 0, 1, buffer.block(0), std::move(done)});
  });
  EXPECT_TRUE(absl::IsDataLoss(read)) << read;
}

TEST_F(DamagedSpaceTest, HeaderOfAPackedObject_KeepsOnlyItsObject) {
  Options options = Small();
  options.zstd_level = 1;
  options.index_cache_bytes = 0;
  WriteAround(options, 0);
  // It takes longer to find that out than all the writes do.
  const absl::Status collected = Wait([&](auto done) { engine().Collect(std::move(done)); });
  EXPECT_TRUE(collected.ok()) << collected;
  EXPECT_GT(engine().stats().blocks_moved, 0u);
  EXPECT_EQ(engine().stats().objects_left_out, 1u);
}

}  // namespace
}  // namespace diskd::object
