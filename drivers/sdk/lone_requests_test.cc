// SPDX-License-Identifier: Apache-2.0
#include "drivers/sdk/lone_requests.h"

#include "gtest/gtest.h"

namespace diskd::sdk {
namespace {

class LoneRequestsTest : public testing::Test {
 protected:
  // Requests until one is waited for in place.
  int Before() {
    int requests = 0;
    while (!lone_.InPlace(true)) ++requests;
    return requests;
  }
  LoneRequests lone_;
};

TEST_F(LoneRequestsTest, AfterSomeInARow_EachIsWaitedFor) {
  EXPECT_EQ(Before(), LoneRequests::kBefore);
  EXPECT_EQ(Before(), 0);
}

TEST_F(LoneRequestsTest, OneThatMeetsAnother_BeginsTheRowAgain) {
  Before();
  EXPECT_FALSE(lone_.InPlace(false));
  EXPECT_EQ(Before(), LoneRequests::kBefore);
}

TEST_F(LoneRequestsTest, SlowDisk_IsNotWaitedForForAWhile) {
  Before();
  for (int i = 0; i < LoneRequests::kSlowInARow; ++i) lone_.Took(LoneRequests::kSlow * 2);
  EXPECT_EQ(Before(), LoneRequests::kAfterSlow);
}

TEST_F(LoneRequestsTest, SlowCallsNowAndThen_ChangeNothing) {
  Before();
  for (int i = 0; i < LoneRequests::kSlowInARow * 4; ++i) {
    lone_.Took(i % LoneRequests::kSlowInARow == 0 ? LoneRequests::kSlow / 2
                                                  : LoneRequests::kSlow * 2);
    EXPECT_EQ(Before(), 0);
  }
}

}  // namespace
}  // namespace diskd::sdk
