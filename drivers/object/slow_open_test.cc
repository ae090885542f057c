// SPDX-License-Identifier: Apache-2.0
//
// Opening a volume on a store that is slow: it takes long, and says so.
#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "drivers/object/object_driver.h"
#include "drivers/object/served_volume.h"
#include "drivers/object/store/open_store.h"
#include "drivers/object/testing/test_volume.h"
#include "gtest/gtest.h"

namespace diskd::object {
namespace {

// Shared with the test, which ends the waiting.
class Gate {
 public:
  void Pass(std::function<void()> answer) {
    {
      absl::MutexLock lock(&mutex_);
      if (!open_) return held_.push_back(std::move(answer));
    }
    answer();
  }
  void LetThrough(bool forever) {
    std::vector<std::function<void()>> held;
    {
      absl::MutexLock lock(&mutex_);
      open_ = forever;
      held.swap(held_);
    }
    for (const auto& answer : held) answer();
  }

 private:
  absl::Mutex mutex_;
  bool open_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::function<void()>> held_ ABSL_GUARDED_BY(mutex_);
};

// Answers when the gate lets it.
class SlowStore final : public Store {
 public:
  SlowStore(std::unique_ptr<Store> store, std::shared_ptr<Gate> gate)
      : store_(std::move(store)), gate_(std::move(gate)) {}
  void Put(Lane lane, const std::string& name, std::shared_ptr<const std::string> body,
           PutCondition condition, PutDone done) override {
    store_->Put(lane, name, std::move(body), std::move(condition), Held(std::move(done)));
  }
  void Get(Lane lane, const std::string& name, std::optional<ByteRange> range,
           GetDone done) override {
    store_->Get(lane, name, range, Held(std::move(done)));
  }
  void Head(Lane lane, const std::string& name, HeadDone done) override {
    store_->Head(lane, name, Held(std::move(done)));
  }
  void List(Lane lane, const std::string& prefix, const std::string& after,
            ListDone done) override {
    store_->List(lane, prefix, after, Held(std::move(done)));
  }
  void Delete(Lane lane, const std::string& name, DeleteDone done) override {
    store_->Delete(lane, name, Held(std::move(done)));
  }

 private:
  template <class Result>
  std::function<void(Result)> Held(std::function<void(Result)> done) {
    return [gate = gate_, done = std::move(done)](Result result) {
      gate->Pass([done, result = std::move(result)]() mutable { done(std::move(result)); });
    };
  }
  const std::unique_ptr<Store> store_;
  const std::shared_ptr<Gate> gate_;
};

TEST(ObjectDriver_Open, OnASlowStore_TellsHowFarItIs) {
  const sdk::TempDir dir;
  sdk::VolumeConfig config = Config(dir);
  ASSERT_TRUE(Definition().provision(config).ok());
  ExpectFirstBlock(config, std::byte{0});
  auto store = OpenStore({.url = config.parameters["store"]});
  ASSERT_TRUE(store.ok()) << store.status();
  const auto gate = std::make_shared<Gate>();
  std::vector<uint64_t> steps;
  std::string doing;
  // No answer of the store comes before the agent was told.
  config.tell_opening = [&](const sdk::OpeningProgress& opening) {
    steps.push_back(opening.steps);
    doing = opening.doing;
    gate->LetThrough(/*forever=*/false);
  };
  auto opened = ServedVolume::OpenOn(std::make_unique<SlowStore>(*std::move(store), gate), config,
                                     /*at_rest=*/false, absl::Milliseconds(5));
  gate->LetThrough(/*forever=*/true);
  ASSERT_TRUE(opened.ok()) << opened.status();
  ASSERT_GE(steps.size(), 3u);
  EXPECT_GT(steps.back(), steps.front());
  EXPECT_TRUE(std::is_sorted(steps.begin(), steps.end()));
  EXPECT_NE(doing.find("recovered from the store"), std::string::npos) << doing;
}

TEST(ObjectDriver_Open, ThatWaitsForALease_ComesOnAndSaysHowLong) {
  const sdk::TempDir dir;
  sdk::VolumeConfig config = Config(dir);
  config.parameters["fencing"] = "lease";
  config.parameters["lease_s"] = "6";  // a busy machine may not run an owner for seconds
  config.parameters["late_s"] = "1";
  ASSERT_TRUE(Definition().provision(config).ok());
  std::vector<sdk::OpeningProgress> told;
  config.tell_opening = [&told](const sdk::OpeningProgress& opening) { told.push_back(opening); };
  const auto opened =
      ServedVolume::OpenOn(nullptr, config, /*at_rest=*/false, absl::Milliseconds(5));
  ASSERT_TRUE(opened.ok()) << opened.status();
  ASSERT_GE(told.size(), 100u);  // the claim alone takes 2 s
  for (size_t i = 1; i < told.size(); ++i) ASSERT_GT(told[i].steps, told[i - 1].steps);
  EXPECT_GT(told[0].expected, 2 * absl::Seconds(7));
  EXPECT_NE(told[0].doing.find("lease"), std::string::npos) << told[0].doing;
}

}  // namespace
}  // namespace diskd::object
