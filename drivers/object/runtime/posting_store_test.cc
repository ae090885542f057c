// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/runtime/posting_store.h"

#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"

namespace diskd::object {
namespace {

constexpr absl::Duration kLimit = absl::Seconds(30);
constexpr absl::Duration kPause = absl::Milliseconds(10);

// Answers every call with one status, or keeps it until it is told to go on.
class OneAnswer final : public Store {
 public:
  void Put(Lane, const std::string&, std::shared_ptr<const std::string>, PutCondition,
           PutDone done) override {
    if (status.ok()) return done(Etag());
    done(status);
  }
  void Get(Lane, const std::string&, std::optional<ByteRange>, GetDone done) override {
    done(status);
  }
  void Head(Lane, const std::string&, HeadDone done) override { done(status); }
  void List(Lane, const std::string&, const std::string&, ListDone done) override { done(status); }
  void Delete(Lane, const std::string&, DeleteDone done) override { kept = std::move(done); }

  absl::Status status;
  DeleteDone kept;
};

class PostingStoreTest : public testing::Test {
 protected:
  void Put() {
    absl::Notification done;
    posting_.Put(Lane::kUpload, "x", nullptr, {}, [&](auto) { done.Notify(); });
    done.WaitForNotification();
  }
  void Get() {
    absl::Notification done;
    posting_.Get(Lane::kRead, "x", std::nullopt, [&](auto) { done.Notify(); });
    done.WaitForNotification();
  }

  OneAnswer store_;
  std::unique_ptr<EngineThread> thread_ = *EngineThread::Start();
  PostingStore posting_{&store_, thread_.get()};
};

TEST_F(PostingStoreTest, KeepsFailing_IsAnOutageUntilOneSucceeds) {
  const absl::Time begin = absl::Now();
  store_.status = absl::UnavailableError("refused");
  Put();
  EXPECT_FALSE(posting_.outage().has_value());
  while (!posting_.outage().has_value() && absl::Now() - begin < kLimit) {
    Put();
    absl::SleepFor(kPause);
  }
  const auto outage = posting_.outage();
  ASSERT_TRUE(outage.has_value());
  EXPECT_GE(absl::Now() - begin, kTroubleAfter);
  EXPECT_GE(outage->since, begin);
  EXPECT_EQ(outage->reason, store_.status);
  // Reads that go well say nothing of writes.
  store_.status = absl::NotFoundError("no such object");
  Get();
  EXPECT_TRUE(posting_.outage().has_value());
  store_.status = absl::OkStatus();
  Put();
  EXPECT_FALSE(posting_.outage().has_value());
}

TEST_F(PostingStoreTest, ObjectThatCanNotBeRead_IsNoOutage) {
  store_.status = absl::UnavailableError("refused");
  Get();
  store_.status = absl::UnknownError("EIO");
  const uint64_t before = posting_.answers();
  Get();
  EXPECT_EQ(posting_.answers(), before + 1);
}

TEST_F(PostingStoreTest, Refusal_IsAnOutageAtOnce) {
  store_.status = absl::PermissionDeniedError("403");
  Put();
  ASSERT_TRUE(posting_.outage().has_value());
  EXPECT_TRUE(absl::IsPermissionDenied(posting_.outage()->reason));
}

TEST_F(PostingStoreTest, NoAnswerAtAll_IsAnOutageUntilItComes) {
  const absl::Time begin = absl::Now();
  store_.status = absl::NotFoundError("no such object");
  absl::Notification done;
  posting_.Delete(Lane::kCollect, "x", [&](auto) { done.Notify(); });
  while (!posting_.outage().has_value() && absl::Now() - begin < kLimit) {
    Get();
    absl::SleepFor(kPause);
  }
  EXPECT_TRUE(posting_.outage().has_value());
  EXPECT_GE(absl::Now() - begin, kSilenceLimit);
  store_.kept(absl::OkStatus());
  done.WaitForNotification();
  EXPECT_FALSE(posting_.outage().has_value());
}

}  // namespace
}  // namespace diskd::object
