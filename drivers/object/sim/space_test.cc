// SPDX-License-Identifier: Apache-2.0
//
// What a volume takes in the store: how full its objects are, and what collection leaves.
#include <random>

#include "drivers/object/sim/node.h"
#include "drivers/object/sim/wait.h"
#include "gtest/gtest.h"

namespace diskd::object {
namespace {

constexpr uint64_t kBlocks = 4096;
constexpr uint64_t kLogBlocks = 4096;
constexpr uint64_t kObjectBlocks = 64;

class SpaceTest : public testing::Test {
 protected:
  void Open(const Options& options) {
    Operator process(&scheduler_, &store_, options);
    ASSERT_TRUE(WaitOn(scheduler_, [&](auto done) {
                  process.volumes().Create(volume_, kBlocks, done);
                }).ok());
    node_ = std::make_unique<Node>(&scheduler_, &store_,
                                   std::make_shared<SimDisk>(&scheduler_, kLogBlocks), nullptr,
                                   volume_, options);
    ASSERT_TRUE(WaitOn(scheduler_, [&](auto done) { node_->engine().Open(done); }).ok());
  }
  static Options Small() {
    Options options;
    options.object_bytes = kObjectBlocks * kBlockBytes;
    return options;
  }
  // Single blocks, many at the same time, and then until all of it is in the store.
  void Write(uint64_t count, const std::function<Lba()>& next) {
    int in_flight = 0;
    AlignedBuffer buffer(1);
    for (uint64_t i = 0; i < count; ++i) {
      while (in_flight == depth_) ASSERT_TRUE(scheduler_.RunOne());
      ++in_flight;
      node_->engine().Submit({RequestKind::kWrite, false, next(), 1, buffer.block(0),
                              [&in_flight](absl::Status status) {
                                EXPECT_TRUE(status.ok()) << status;
                                --in_flight;
                              }});
    }
    while (in_flight > 0) ASSERT_TRUE(scheduler_.RunOne());
    const EngineStats& stats = node_->engine().stats();
    while (node_->engine().stats().uploaded_sequence != stats.last_sequence) {
      ASSERT_TRUE(scheduler_.RunOne());
    }
  }

  int depth_ = 32;
  SimScheduler scheduler_{1};
  SimStore store_{&scheduler_};
  const Uuid volume_ = [] {
    Uuid id;
    id.bytes[0] = 1;
    return id;
  }();
  std::unique_ptr<Node> node_;
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
  EXPECT_GT(node_->engine().stats().blocks_moved, 0u);
}

}  // namespace
}  // namespace diskd::object
