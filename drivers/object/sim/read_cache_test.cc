// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/engine/read_cache.h"

#include <list>
#include <memory>
#include <random>

#include "absl/container/flat_hash_map.h"
#include "drivers/object/format/crc32c.h"
#include "drivers/object/sim/one_volume.h"
#include "drivers/object/sim/sim_disk.h"
#include "gtest/gtest.h"

namespace diskd::object {
namespace {

constexpr uint32_t kSegmentBlocks = 8;
constexpr uint32_t kSegments = ReadCache::kMinSegments;
constexpr uint32_t kSlots = kSegments * (kSegmentBlocks - 1);
const Stream kStream{7, Uuid{}, 1, 0xabc, 0};

TEST(CacheIndex_RandomWork, IsWhatAHashMapIs) {
  constexpr uint32_t kIndexSlots = 200;
  CacheIndex index(kIndexSlots);
  absl::flat_hash_map<uint64_t, uint32_t> want;
  std::mt19937_64 random(1);
  for (int i = 0; i < 100'000; ++i) {
    const auto slot = static_cast<uint32_t>(random() % kIndexSlots);
    const uint64_t key = random() % 300 + 1;
    if (random() % 2 == 0) {
      want.erase(index.key(slot));
      index.Clear(slot);
    } else if (index.key(slot) == CacheIndex::kNone && !want.contains(key)) {
      index.Put(slot, key);
      want[key] = slot;
    }
    const auto found = index.Find(key);
    ASSERT_EQ(found.has_value(), want.contains(key)) << i;
    if (found.has_value()) {
      ASSERT_EQ(*found, want[key]);
    }
  }
}

class ReadCacheTest : public testing::Test {
 protected:
  ReadCacheTest() {
    options_.cache_segment_blocks = kSegmentBlocks;
    disk_ = std::make_unique<SimDisk>(&scheduler_, kSegments * kSegmentBlocks);
    Open({kStream});
  }
  void Open(const std::vector<Stream>& streams) {
    cache_.reset();
    cache_ = std::make_unique<ReadCache>(disk_.get(), &scheduler_, Uuid{}, options_);
    cache_->Start(streams);
    Settle();
  }
  void Settle() {
    while (scheduler_.RunOne()) {
    }
  }
  static AlignedBuffer Content(uint16_t block) {
    AlignedBuffer buffer(1);
    for (uint32_t i = 0; i < kBlockBytes; ++i) {
      buffer.block(0)[i] = static_cast<std::byte>(block * 31 + i % 251);
    }
    return buffer;
  }
  static BlockLocation Place(uint16_t block) {
    return {kStream.id, block, 5, Crc32c(Content(block).block(0), kBlockBytes)};
  }
  void Insert(uint16_t block) {
    const AlignedBuffer content = Content(block);
    cache_->Insert(Place(block), content.block(0));
    Settle();
  }
  // Whether the cache has it; it must be right.
  bool Has(uint16_t block) {
    AlignedBuffer into(1);
    std::vector<bool> have(1);
    TaskSet tasks;
    const std::vector<BlockLocation> places = {Place(block)};
    tasks.Spawn(cache_->Read(places, into.block(0), have));
    Settle();
    if (have[0]) {
      EXPECT_EQ(memcmp(into.block(0), Content(block).block(0), kBlockBytes), 0) << block;
    }
    return have[0];
  }
  uint32_t CountHave(uint16_t first, uint16_t last) {
    uint32_t count = 0;
    for (uint16_t block = first; block <= last; ++block) count += Has(block);
    return count;
  }
  void Finish() {
    TaskSet tasks;
    tasks.Spawn(cache_->Finish());
    Settle();
  }

  SimScheduler scheduler_{1};
  Options options_;
  std::unique_ptr<SimDisk> disk_;
  std::unique_ptr<ReadCache> cache_;
};

TEST_F(ReadCacheTest, AfterARestart_HasWhatItHad) {
  for (uint16_t block = 1; block <= 20; ++block) Insert(block);
  EXPECT_EQ(CountHave(1, 20), 20u);
  Finish();
  Open({kStream});
  EXPECT_EQ(cache_->counters().restored, 20u);
  EXPECT_EQ(CountHave(1, 20), 20u);
  EXPECT_FALSE(Has(21));
  EXPECT_EQ(cache_->counters().damaged, 0u);
}

TEST_F(ReadCacheTest, StreamsThatHeadDoesNotHave_AreForgotten) {
  for (uint16_t block = 1; block <= 20; ++block) Insert(block);
  Finish();
  Stream other = kStream;
  other.nonce = 0xdef;  // the same id
  Open({other});
  EXPECT_EQ(cache_->counters().restored, 0u);
  EXPECT_EQ(CountHave(1, 20), 0u);
}

TEST_F(ReadCacheTest, FlippedBits_AreMisses_AndCounted) {
  for (uint16_t block = 1; block <= 60; ++block) Insert(block);
  Finish();
  for (int i = 0; i < 200; ++i) disk_->FlipABit();
  Open({kStream});
  const uint32_t have = CountHave(1, 60);
  EXPECT_LT(have, 60u);
  EXPECT_EQ(have + cache_->counters().damaged, cache_->counters().restored);
  // They are gone, not looked at again.
  const uint64_t damaged = cache_->counters().damaged;
  EXPECT_EQ(CountHave(1, 60), have);
  EXPECT_EQ(cache_->counters().damaged, damaged);
}

TEST_F(ReadCacheTest, PowerCut_NothingWrongIsEverRead) {
  for (int round = 0; round < 50; ++round) {
    for (uint16_t i = 1; i <= 40; ++i) Insert(static_cast<uint16_t>(round * 40 + i));
    disk_->PowerCut();
    Open({kStream});
    CountHave(1, static_cast<uint16_t>(round * 40 + 40));
  }
  EXPECT_GT(cache_->counters().hits, 0u);
}

TEST_F(ReadCacheTest, Full_TheOldestGo_WhatIsReadStays) {
  for (uint16_t block = 1; block <= 10 * kSlots; ++block) {
    Insert(block);
    Has(1);
    Has(2);
  }
  EXPECT_TRUE(Has(1));
  EXPECT_TRUE(Has(2));
  EXPECT_FALSE(Has(3));
  EXPECT_TRUE(Has(10 * kSlots));
  EXPECT_GT(CountHave(1, 10 * kSlots), kSlots / 2);
  Finish();
  Open({kStream});
  EXPECT_TRUE(Has(1));
}

TEST_F(ReadCacheTest, TooSmallAFile_IsNoCache) {
  disk_ = std::make_unique<SimDisk>(&scheduler_, (kSegments - 1) * kSegmentBlocks);
  Open({kStream});
  EXPECT_FALSE(cache_->enabled());
  Insert(1);
  EXPECT_FALSE(Has(1));
}

class ReadAheadTest : public OneVolume {
 protected:
  static constexpr uint64_t kBlocks = 1024;
  void SetUp() override {
    Options options;
    options.cache_segment_blocks = kSegmentBlocks;
    // By far not all of it.
    Open(kBlocks, 2 * kBlocks, options, kSegments * kSegmentBlocks);
    Lba next = 0;
    WriteMany(kBlocks, 32, [&next] { return next++; });
    ASSERT_TRUE(Wait([&](auto done) {
                  engine().CreateSnapshot("s", [done](auto id) { done(id.status()); });
                }).ok());
  }
  void Submit(RequestKind kind, Lba lba, uint64_t blocks) {
    ended_ = false;
    buffers_.emplace_back(blocks);
    engine().Submit({kind, false, lba, blocks, buffers_.back().block(0),
                     [this, id = ++last_](absl::Status status) { ended_ |= id == last_; }});
  }
  bool EndsWithin(absl::Duration limit) {
    const absl::Duration end = scheduler_.Now() + limit;
    while (!ended_ && scheduler_.Now() < end && scheduler_.RunOne()) {
    }
    return ended_;
  }

  std::list<AlignedBuffer> buffers_;
  bool ended_ = false;  // the last request
  int last_ = 0;
};

TEST_F(ReadAheadTest, StoreThatIsAway_KeepsNoReadOfWhatIsHereWaiting) {
  constexpr Lba kInCache = 40;
  constexpr Lba kInLog = 50;
  constexpr uint64_t kEach = 8;
  Submit(RequestKind::kRead, kInCache, 1);
  ASSERT_TRUE(EndsWithin(absl::Minutes(1)));
  for (Lba lba = 0; lba < 2 * kEach; lba += kEach) {
    Submit(RequestKind::kRead, lba, kEach);
    ASSERT_TRUE(EndsWithin(absl::Minutes(1)));
  }
  store_.latency = absl::Hours(1);
  const uint64_t before = engine().stats().blocks_read_ahead;
  Submit(RequestKind::kRead, 2 * kEach, kEach);
  EXPECT_FALSE(EndsWithin(absl::Seconds(1)));
  ASSERT_GT(engine().stats().blocks_read_ahead - before, kInLog - 3 * kEach);
  Submit(RequestKind::kWrite, kInLog, 1);
  ASSERT_TRUE(EndsWithin(absl::Seconds(1)));
  Submit(RequestKind::kRead, kInLog, 1);
  EXPECT_TRUE(EndsWithin(absl::Seconds(1)));
  Submit(RequestKind::kRead, kInCache, 1);
  EXPECT_TRUE(EndsWithin(absl::Seconds(1)));
}

}  // namespace
}  // namespace diskd::object
