// SPDX-License-Identifier: Apache-2.0
//
// Writes faster than the store takes them.
#include <algorithm>
#include <functional>
#include <memory>
#include <vector>

#include "drivers/object/sim/one_volume.h"
#include "gtest/gtest.h"

namespace diskd::object {
namespace {

constexpr uint64_t kBlocks = 4096;
constexpr uint64_t kLogBlocks = 8192;
constexpr int kDepth = 4;

class BackPressureTest : public OneVolume {
 protected:
  void SetUp() override {
    store_.latency = absl::Milliseconds(20);
    Options options;
    options.object_bytes = 64 * kBlockBytes;
    options.uploads_in_flight = 1;
    Open(kBlocks, kLogBlocks, options);
  }
  double Fill() {
    return static_cast<double>(engine().stats().dirty_log_bytes) / (kLogBlocks * kBlockBytes);
  }
  void Submit() {
    const absl::Duration begin = scheduler_.Now();
    const double fill = Fill();
    ++in_flight_;
    engine().Submit({RequestKind::kWrite, false, next_++ % kBlocks, 1, buffer_.block(0),
                     [this, begin, fill](absl::Status status) {
                       EXPECT_TRUE(status.ok()) << status;
                       --in_flight_;
                       latencies_.push_back({fill, scheduler_.Now() - begin});
                     }});
  }
  void WriteFor(absl::Duration length) {
    const absl::Duration end = scheduler_.Now() + length;
    while (scheduler_.Now() < end) {
      while (in_flight_ < kDepth) Submit();
      ASSERT_TRUE(scheduler_.RunOne());
    }
  }
  absl::Duration Mean(double low, double high) {
    absl::Duration sum;
    int count = 0;
    for (const auto& [fill, latency] : latencies_) {
      if (fill < low || fill >= high) continue;
      sum += latency;
      ++count;
    }
    EXPECT_GT(count, 0) << low;
    return sum / std::max(1, count);
  }

  AlignedBuffer buffer_{1};
  uint64_t next_ = 0;
  int in_flight_ = 0;
  std::vector<std::pair<double, absl::Duration>> latencies_;
};

TEST_F(BackPressureTest, SlowStore_LatencyGrowsWithTheFill_AndTheLogIsNeverFull) {
  WriteFor(absl::Seconds(40));
  const absl::Duration idle = Mean(0, 0.5);
  const absl::Duration low = Mean(0.5, 0.65);
  EXPECT_GT(low, idle);
  latencies_.clear();
  WriteFor(absl::Seconds(20));
  absl::Duration longest;
  double fullest = 0;
  for (const auto& [fill, latency] : latencies_) {
    longest = std::max(longest, latency);
    fullest = std::max(fullest, fill);
  }
  EXPECT_LT(fullest, 0.95);
  EXPECT_LT(longest, 10 * Mean(0, 1)) << "steady, not stop and go";
}

TEST_F(BackPressureTest, Outage_WritesGetSlowerUntilTheLogIsFull_AndGoOnAfterIt) {
  store_.Outage(absl::Minutes(30), false);
  WriteFor(absl::Minutes(20));
  EXPECT_LT(Mean(0, 0.5), Mean(0.5, 0.6));
  EXPECT_LT(Mean(0.5, 0.6), Mean(0.6, 0.75));
  const size_t before = latencies_.size();
  WriteFor(absl::Minutes(20));
  EXPECT_GT(latencies_.size(), before + 1000) << "it goes on after the outage";
  RunUntil([&] { return in_flight_ == 0; });
}

}  // namespace
}  // namespace diskd::object
