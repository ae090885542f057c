// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/engine/memory_budget.h"

#include <vector>

#include "drivers/object/sim/sim_scheduler.h"
#include "gtest/gtest.h"

namespace diskd::object {
namespace {

constexpr uint64_t kLimit = 10;

class MemoryBudgetTest : public testing::Test {
 protected:
  // Takes so much and keeps it; tells when it has it.
  void Take(uint64_t bytes) { tasks_.Spawn(Taking(bytes)); }
  Task<void> Taking(uint64_t bytes) {
    grants_.push_back(co_await budget_.Take(bytes));
    order_.push_back(bytes);
  }
  void Settle() {
    while (scheduler_.RunOne()) {
    }
  }

  SimScheduler scheduler_{1};
  MemoryBudget budget_{&scheduler_, kLimit};
  std::vector<MemoryBudget::Grant> grants_;
  std::vector<uint64_t> order_;
  TaskSet tasks_;
};

TEST_F(MemoryBudgetTest, WhoeverComesFirst_HasItFirst_EvenIfLessWouldFit) {
  Take(6);
  Take(7);
  Take(1);
  Settle();
  EXPECT_EQ(order_, (std::vector<uint64_t>{6}));
  grants_[0].Shrink(3);
  Settle();
  EXPECT_EQ(order_, (std::vector<uint64_t>{6, 7}));
  grants_.erase(grants_.begin());
  Settle();
  EXPECT_EQ(order_, (std::vector<uint64_t>{6, 7, 1}));
  EXPECT_EQ(budget_.used(), 8u);
  EXPECT_EQ(budget_.most(), kLimit);
}

TEST_F(MemoryBudgetTest, MoreThanThereIs_IsGivenWhenNobodyHasAny) {
  Take(1);
  Take(kLimit + 1);
  Settle();
  EXPECT_EQ(order_, (std::vector<uint64_t>{1}));
  grants_.clear();
  Settle();
  EXPECT_EQ(order_, (std::vector<uint64_t>{1, kLimit + 1}));
}

TEST_F(MemoryBudgetTest, TaskThatIsDestroyedWhileItWaits_HoldsUpNobody) {
  Take(kLimit);
  {
    TaskSet gone;
    gone.Spawn(Taking(2));
    Take(3);
    Settle();
  }
  grants_.clear();
  Settle();
  EXPECT_EQ(order_, (std::vector<uint64_t>{kLimit, 3}));
}

}  // namespace
}  // namespace diskd::object
