// SPDX-License-Identifier: Apache-2.0
//
// What the engine holds of its own at most. What the whole process has is measured by
// tests/e2e/object_memory.sh.
#include <algorithm>
#include <random>

#include "drivers/object/sim/one_volume.h"
#include "gtest/gtest.h"

namespace diskd::object {
namespace {

constexpr uint64_t kVolumeBlocks = 1 << 20;
constexpr uint64_t kLogBlocks = (64 << 20) / kBlockBytes;
constexpr uint64_t kDepth = 32;
constexpr uint64_t kCheckpointBlocks = 16 << 10;  // with the default it takes long

class MemoryTest : public OneVolume {
 protected:
  void Open(const Options& options) { OneVolume::Open(kVolumeBlocks, kLogBlocks, options); }
  // All over the volume.
  void Write(uint64_t count) {
    std::mt19937_64 random(1);
    WriteMany(
        count, kDepth, [&random] { return random() % kVolumeBlocks; },
        [this] { entries_ = std::max(entries_, engine().stats().map_entries); });
  }

  uint64_t entries_ = 0;
};

// More objects than may be made at a time, map pages all over the volume, a log that fills up.
TEST_F(MemoryTest, WritesAllOverAVolume_StayWithinTheBudgets) {
  Options options;
  options.checkpoint_objects = 8;
  options.checkpoint_blocks = kCheckpointBlocks;
  Open(options);
  Write(24'000);
  RunUntil([this] { return engine().stats().checkpoints > 0; });
  const EngineStats stats = engine().stats();
  EXPECT_GT(stats.body_bytes_most, options.object_bytes);
  EXPECT_LE(stats.body_bytes_most, options.body_bytes);
  EXPECT_LE(stats.map_cache_bytes, options.page_cache_bytes + (64 << 10));
  // A checkpoint's worth, half of another one beside it with the objects under way, and the log's.
  EXPECT_LE(entries_, options.checkpoint_blocks * 2 + kLogBlocks);
}

// They take hardly any room in the log.
TEST_F(MemoryTest, DiscardsAllOverAVolume_AreBoundedByTheirNumber) {
  Options options;
  options.checkpoint_blocks = kCheckpointBlocks;
  Open(options);
  store_.Outage(absl::Minutes(10), /*refused=*/false);
  constexpr uint64_t kDiscards = 10 * kLogBlocks;
  constexpr uint64_t kDiscardDepth = 256;
  std::mt19937_64 random(1);
  WriteMany(
      kDiscards, kDiscardDepth, [&random] { return random() % kVolumeBlocks; },
      [this] { entries_ = std::max(entries_, engine().stats().map_entries); }, RequestKind::kZero);
  EXPECT_LE(entries_, options.checkpoint_blocks * 2 + kLogBlocks);
}

TEST_F(MemoryTest, PackedObjects_CountTwice_AndOneAfterTheOtherIsMade) {
  Options options;
  options.zstd_level = 1;
  Open(options);
  Write(9'000);
  const EngineStats stats = engine().stats();
  EXPECT_GT(stats.body_bytes_most, options.object_bytes * 3 / 2);
  EXPECT_LE(stats.body_bytes_most, options.body_bytes);
}

}  // namespace
}  // namespace diskd::object
