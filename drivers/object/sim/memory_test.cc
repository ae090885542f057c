// SPDX-License-Identifier: Apache-2.0
//
// What the engine holds of its own at most. What the whole process has is measured by
// tests/e2e/object_memory.sh.
#include <algorithm>
#include <functional>
#include <memory>
#include <random>

#include "drivers/object/sim/node.h"
#include "gtest/gtest.h"

namespace diskd::object {
namespace {

constexpr uint64_t kVolumeBlocks = 1 << 20;
constexpr uint64_t kLogBlocks = (64 << 20) / kBlockBytes;
constexpr uint64_t kDepth = 32;
constexpr uint64_t kCheckpointBlocks = 16 << 10;  // with the default it takes long

class MemoryTest : public testing::Test {
 protected:
  void Open(const Options& options) {
    Operator process(&scheduler_, &store_, options);
    Wait([&](auto done) { process.volumes().Create(volume_, kVolumeBlocks, done); });
    node_ = std::make_unique<Node>(&scheduler_, &store_,
                                   std::make_shared<SimDisk>(&scheduler_, kLogBlocks), nullptr,
                                   volume_, options);
    Wait([&](auto done) { node_->engine().Open(done); });
  }
  void Wait(const std::function<void(std::function<void(absl::Status)>)>& start) {
    bool ended = false;
    start([&](absl::Status status) {
      EXPECT_TRUE(status.ok()) << status;
      ended = true;
    });
    RunUntil([&] { return ended; });
  }
  void RunUntil(const std::function<bool()>& done) {
    while (!done()) ASSERT_TRUE(scheduler_.RunOne());
  }
  // Single blocks all over the volume.
  void WriteMany(uint64_t count) {
    std::mt19937_64 random(1);
    AlignedBuffer buffer(1);
    uint64_t in_flight = 0;
    for (uint64_t i = 0; i < count; ++i) {
      RunUntil([&] { return in_flight < kDepth; });
      ++in_flight;
      node_->engine().Submit({RequestKind::kWrite, false, random() % kVolumeBlocks, 1,
                              buffer.block(0), [&in_flight](absl::Status status) {
                                EXPECT_TRUE(status.ok()) << status;
                                --in_flight;
                              }});
      entries_ = std::max(entries_, node_->engine().stats().map_entries);
    }
    RunUntil([&] { return in_flight == 0; });
  }

  SimScheduler scheduler_{1};
  SimStore store_{&scheduler_};
  const Uuid volume_ = [] {
    Uuid id;
    id.bytes[0] = 1;
    return id;
  }();
  std::unique_ptr<Node> node_;
  uint64_t entries_ = 0;
};

// More objects than may be made at a time, map pages all over the volume, a log that fills up.
TEST_F(MemoryTest, WritesAllOverAVolume_StayWithinTheBudgets) {
  Options options;
  options.checkpoint_objects = 8;
  options.checkpoint_blocks = kCheckpointBlocks;
  Open(options);
  WriteMany(24'000);
  RunUntil([this] { return node_->engine().stats().checkpoints > 0; });
  const EngineStats stats = node_->engine().stats();
  EXPECT_GT(stats.body_bytes_most, options.object_bytes);
  EXPECT_LE(stats.body_bytes_most, options.body_bytes);
  EXPECT_LE(stats.map_cache_bytes, options.page_cache_bytes + (64 << 10));
  // A checkpoint's worth, half of another one beside it with the objects under way, and the log's.
  EXPECT_LE(entries_, options.checkpoint_blocks * 2 + kLogBlocks);
}

TEST_F(MemoryTest, PackedObjects_CountTwice_AndOneAfterTheOtherIsMade) {
  Options options;
  options.zstd_level = 1;
  Open(options);
  WriteMany(9'000);
  const EngineStats stats = node_->engine().stats();
  EXPECT_GT(stats.body_bytes_most, options.object_bytes * 3 / 2);
  EXPECT_LE(stats.body_bytes_most, options.body_bytes);
}

}  // namespace
}  // namespace diskd::object
