// SPDX-License-Identifier: Apache-2.0
//
// How often a store that gives nothing is asked again, whatever waits for it.
#include <memory>
#include <optional>
#include <vector>

#include "drivers/object/engine/retry_budget.h"
#include "drivers/object/engine/store_client.h"
#include "drivers/object/sim/sim_store.h"
#include "gtest/gtest.h"

namespace diskd::object {
namespace {

TEST(RetryBudgetTest, TimeAndAnswers_FillIt) {
  RetryBudget budget;
  const absl::Duration begin = absl::Hours(1);
  const auto takes = [&budget](absl::Duration now) {
    int count = 0;
    while (budget.Take(now)) ++count;
    return count;
  };
  EXPECT_EQ(takes(begin), RetryBudget::kAtOnce);
  EXPECT_EQ(takes(begin), 0);
  EXPECT_EQ(takes(begin + absl::Seconds(2)), 2 * RetryBudget::kPerSecond);
  for (int i = 0; i < 5; ++i) budget.OnAnswer();
  EXPECT_EQ(takes(begin + absl::Seconds(2)), 5 * RetryBudget::kPerAnswer);
  for (int i = 0; i < 1000; ++i) budget.OnAnswer();
  EXPECT_EQ(takes(begin + absl::Hours(1)), RetryBudget::kAtOnce);
}

class RetryTest : public testing::Test {
 protected:
  // Begins reads of one object.
  void StartGets(int count, StoreClient::Patience patience = {}, const std::string& name = "a") {
    const auto get = [](StoreClient* client, std::string name, StoreClient::Patience patience,
                        std::optional<absl::Status>* into) -> Task<void> {
      const absl::StatusOr<GetResult> got =
          co_await client->Get(Lane::kRead, name, std::nullopt, patience);
      *into = got.status();
    };
    for (int i = 0; i < count; ++i) {
      results_.push_back(std::make_unique<std::optional<absl::Status>>());
      tasks_.Spawn(get(&client_, name, patience, results_.back().get()));
    }
  }
  void RunUntil(absl::Duration end) {
    while (scheduler_.Now() < end && scheduler_.RunOne()) {
    }
  }
  int Ended(const std::function<bool(const absl::Status&)>& how) const {
    int count = 0;
    for (const auto& result : results_) count += result->has_value() && how(**result);
    return count;
  }
  void Store(const std::string& name = "a") {
    store_.Put(Lane::kUpload, name, std::make_shared<const std::string>("x"), PutCondition::None(),
               [](const absl::StatusOr<Etag>&) {});
    RunUntil(scheduler_.Now() + absl::Seconds(1));
  }

  SimScheduler scheduler_{1};
  SimStore store_{&scheduler_};
  StoreClient client_{&store_, &scheduler_};
  std::vector<std::unique_ptr<std::optional<absl::Status>>> results_;
  TaskSet tasks_;  // last
};

constexpr int kMany = 1000;

TEST_F(RetryTest, ManyThatWaitForAStoreThatIsAway_AskAsOftenAsTheBudgetSays) {
  Store();
  const absl::Duration begin = scheduler_.Now();
  constexpr absl::Duration kOutage = absl::Minutes(2);
  store_.Outage(kOutage, /*refused=*/false);
  StartGets(kMany);
  RunUntil(begin + kOutage);
  const uint64_t retries = client_.counters().gets - kMany;
  const double most =
      RetryBudget::kAtOnce + RetryBudget::kPerSecond * absl::ToDoubleSeconds(kOutage);
  EXPECT_LE(retries, most + 1);
  EXPECT_GE(retries, most / 2);
  EXPECT_EQ(Ended([](const absl::Status&) { return true; }), 0);
  // Once it answers, they go on faster than they were let before.
  RunUntil(begin + kOutage + absl::Seconds(20));
  EXPECT_EQ(Ended([](const absl::Status& status) { return status.ok(); }), kMany);
}

TEST_F(RetryTest, WhoHasLittlePatience_DoesNotWaitForTheBudget) {
  store_.Outage(absl::Hours(1), /*refused=*/false);
  StartGets(kMany);
  RunUntil(scheduler_.Now() + absl::Minutes(1));
  const absl::Duration begin = scheduler_.Now();
  const size_t before = results_.size();
  StartGets(1, {absl::Milliseconds(500), 4, absl::Seconds(5)});
  RunUntil(begin + absl::Seconds(3));
  ASSERT_TRUE(results_[before]->has_value());
  EXPECT_TRUE(absl::IsUnavailable(**results_[before])) << **results_[before];
}

// The store has answered, and asks for nothing but a little time.
TEST_F(RetryTest, ObjectThatIsMissingForAMoment_IsReadWhateverTheBudget) {
  Store("b");
  store_.object_faults["a"] = {absl::UnavailableError("500")};
  StartGets(kMany);
  RunUntil(scheduler_.Now() + absl::Minutes(1));
  for (const absl::Status& status : {absl::NotFoundError("404"), absl::UnknownError("EIO")}) {
    const absl::Duration begin = scheduler_.Now();
    store_.object_faults["b"] = {status, begin + absl::Milliseconds(100)};
    const size_t before = results_.size();
    StartGets(1, {absl::ZeroDuration(), 0, absl::Seconds(5)}, "b");
    RunUntil(begin + absl::Seconds(6));
    ASSERT_TRUE(results_[before]->has_value()) << status;
    EXPECT_TRUE((*results_[before])->ok()) << **results_[before];
  }
}

TEST_F(RetryTest, LaneThatHasUsedItsBudgetUp_TakesNothingFromOthers) {
  store_.Outage(absl::Hours(1), /*refused=*/false);
  StartGets(kMany);
  const auto put = [](StoreClient* client) -> Task<void> {
    (void)co_await client->Put(Lane::kUpload, "b", std::make_shared<const std::string>("y"),
                               PutCondition::None());
  };
  tasks_.Spawn(put(&client_));
  RunUntil(scheduler_.Now() + absl::Minutes(1));
  EXPECT_GE(client_.counters().puts, 10u);  // after pauses of its own, of 10 s at most
}

}  // namespace
}  // namespace diskd::object
