// SPDX-License-Identifier: Apache-2.0
//
// The fixture of tests that serve one volume on one simulated machine. One thread.
#ifndef DISKD_DRIVERS_OBJECT_SIM_ONE_VOLUME_H_
#define DISKD_DRIVERS_OBJECT_SIM_ONE_VOLUME_H_

#include <functional>
#include <memory>

#include "drivers/object/sim/node.h"
#include "drivers/object/sim/wait.h"
#include "gtest/gtest.h"

namespace diskd::object {

class OneVolume : public testing::Test {
 protected:
  // Creates the volume and serves it; without `cache_blocks` it has no read cache.
  void Open(uint64_t blocks, uint64_t log_blocks, const Options& options,
            uint64_t cache_blocks = 0) {
    Operator process(&scheduler_, &store_, options);
    ASSERT_TRUE(Wait([&](auto done) { process.volumes().Create(volume_, blocks, done); }).ok());
    const absl::Status opened = Serve(volume_, log_blocks, options, cache_blocks);
    ASSERT_TRUE(opened.ok()) << opened;
  }
  // Opens what is in the store, with a new log, in place of what was served before.
  absl::Status Serve(const Uuid& volume, uint64_t log_blocks, const Options& options,
                     uint64_t cache_blocks = 0) {
    disk_ = std::make_shared<SimDisk>(&scheduler_, log_blocks);
    std::shared_ptr<SimDisk> cache;
    if (cache_blocks > 0) cache = std::make_shared<SimDisk>(&scheduler_, cache_blocks);
    node_ = std::make_unique<Node>(&scheduler_, &store_, disk_, cache, volume, options);
    return Wait([&](auto done) { engine().Open(done); });
  }
  Engine& engine() { return node_->engine(); }
  absl::Status Wait(const std::function<void(std::function<void(absl::Status)>)>& start) {
    return WaitOn(scheduler_, start);
  }
  void RunUntil(const std::function<bool()>& done) {
    while (!done()) ASSERT_TRUE(scheduler_.RunOne());
  }
  // Single blocks, written or zeroed, at most `depth` at the same time; `each` runs after each
  // begins.
  void WriteMany(
      uint64_t count, uint64_t depth, const std::function<Lba()>& next,
      const std::function<void()>& each = [] {}, RequestKind kind = RequestKind::kWrite) {
    AlignedBuffer buffer(1);
    uint64_t in_flight = 0;
    for (uint64_t i = 0; i < count; ++i) {
      RunUntil([&] { return in_flight < depth; });
      ++in_flight;
      engine().Submit({kind, false, next(), 1, buffer.block(0), [&in_flight](absl::Status status) {
                         EXPECT_TRUE(status.ok()) << status;
                         --in_flight;
                       }});
      each();
    }
    RunUntil([&] { return in_flight == 0; });
  }

  SimScheduler scheduler_{1};
  SimStore store_{&scheduler_};
  std::shared_ptr<SimDisk> disk_;  // of the log
  std::unique_ptr<Node> node_;
  const Uuid volume_ = [] {
    Uuid id;
    id.bytes[0] = 1;
    return id;
  }();
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_SIM_ONE_VOLUME_H_
