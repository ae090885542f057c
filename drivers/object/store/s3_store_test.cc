// SPDX-License-Identifier: Apache-2.0
//
// The S3 client against everything that a service can do wrong; what it does when all is well is in
// store_conformance_test.cc.
#include "drivers/object/store/s3_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <ctime>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "drivers/object/store/blocking.h"
#include "drivers/object/store/testing/certificate.h"
#include "drivers/object/store/testing/s3_on_double.h"

namespace diskd::object {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

using S3StoreTest = S3OnDouble;

TEST_F(S3StoreTest, Throttled_IsUnavailableWithTheServersWish) {
  Start();
  server_->AddFault("action=status status=503 code=SlowDown method=PUT retry_after=3");
  const auto put = PutNow(*store_, "a", "x");
  EXPECT_TRUE(absl::IsUnavailable(put.status())) << put.status();
  EXPECT_THAT(Message(put.status()), HasSubstr("SlowDown"));
  ASSERT_TRUE(put.status().GetPayload(kRetryAfterPayload).has_value());
  EXPECT_EQ(*put.status().GetPayload(kRetryAfterPayload), "3000");
  EXPECT_EQ(Count("PUT"), 1);  // retries are the caller's
  EXPECT_TRUE(PutNow(*store_, "a", "x").ok());
}

TEST_F(S3StoreTest, GateThatIsShut_LetsOnlyReadsThrough) {
  Start();
  ASSERT_TRUE(PutNow(*store_, "a", "x").ok());
  S3Options options = OptionsFor(*server_);
  const auto gate = std::make_shared<SendGate>();
  options.gate = gate;
  const auto gated = OpenOn(*server_, options);
  const auto late = PutNow(*gated, "a", "y");
  EXPECT_TRUE(absl::IsUnavailable(late.status())) << late.status();
  EXPECT_THAT(Message(late.status()), HasSubstr("too late"));
  EXPECT_TRUE(absl::IsUnavailable(DeleteNow(*gated, "a")));
  EXPECT_EQ(GetNow(*gated, "a")->body, "x");
  gate->OpenUntil(BootTime() + absl::Minutes(1));
  EXPECT_TRUE(PutNow(*gated, "a", "y").ok());
  gate->OpenUntil(BootTime());
  EXPECT_TRUE(absl::IsUnavailable(PutNow(*gated, "a", "z").status()));
  EXPECT_EQ(GetNow(*gated, "a")->body, "y");
}

TEST_F(S3StoreTest, StatusesOfTheService_MeanWhatTheInterfaceSays) {
  Start();
  const auto status_of = [this](const std::string& fault) {
    server_->AddFault("action=status method=PUT " + fault);
    return PutNow(*store_, "a", "x", PutCondition::IfAbsent()).status().code();
  };
  EXPECT_EQ(status_of("status=500 code=InternalError"), absl::StatusCode::kUnavailable);
  EXPECT_EQ(status_of("status=502 code=x"), absl::StatusCode::kUnavailable);
  EXPECT_EQ(status_of("status=429 code=x"), absl::StatusCode::kUnavailable);
  EXPECT_EQ(status_of("status=412 code=PreconditionFailed"), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(status_of("status=409 code=ConditionalRequestConflict"), absl::StatusCode::kAborted);
  EXPECT_EQ(status_of("status=403 code=AccessDenied"), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(status_of("status=403 code=QuotaExceeded"), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(status_of("status=507 code=x"), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(status_of("status=501 code=NotImplemented"), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(status_of("status=400 code=InvalidArgument"), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status_of("status=400 code=BadDigest"), absl::StatusCode::kDataLoss);
  EXPECT_EQ(status_of("status=400 code=ExpiredToken"), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(status_of("status=301 code=PermanentRedirect"), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(PutNow(*store_, "a", "x", PutCondition::IfAbsent()).ok());
}

// The engine gives a volume up for what is not said to pass.
TEST_F(S3StoreTest, ProxyInMaintenance_IsUnavailableAndPasses) {
  Start();
  ASSERT_TRUE(PutNow(*store_, "a", "x").ok());
  for (const char* status : {"302", "303", "307", "400", "405", "421"}) {
    server_->AddFault(absl::StrCat("action=status count=-1 code= status=", status));
    EXPECT_TRUE(absl::IsUnavailable(PutNow(*store_, "b", "y").status())) << status;
    EXPECT_TRUE(absl::IsUnavailable(GetNow(*store_, "a").status())) << status;
    EXPECT_TRUE(absl::IsUnavailable(HeadNow(*store_, "a").status())) << status;
    EXPECT_TRUE(absl::IsUnavailable(ListNow(*store_, "").status())) << status;
    EXPECT_TRUE(absl::IsUnavailable(DeleteNow(*store_, "a"))) << status;
    server_->ClearFaults();
    EXPECT_TRUE(PutNow(*store_, "b", "y").ok()) << status;
    EXPECT_TRUE(GetNow(*store_, "a").ok()) << status;
  }
}

TEST_F(S3StoreTest, NotFoundThatIsNotTheObjects_IsNeverNotFound) {
  Start();
  ASSERT_TRUE(PutNow(*store_, "a", "x").ok());
  for (const std::string code : {"NoSuchBucket", "x"}) {
    server_->AddFault("action=status status=404 count=-1 code=" + code);
    EXPECT_TRUE(absl::IsUnavailable(GetNow(*store_, "a").status()));
    EXPECT_TRUE(absl::IsUnavailable(HeadNow(*store_, "a").status()));
    EXPECT_TRUE(absl::IsUnavailable(ListNow(*store_, "").status()));
    EXPECT_TRUE(absl::IsUnavailable(DeleteNow(*store_, "a")));
    server_->ClearFaults();
  }
  options_.bucket = "another-bucket";
  Reopen();
  EXPECT_TRUE(absl::IsUnavailable(GetNow(*store_, "a").status()));
  EXPECT_TRUE(absl::IsUnavailable(HeadNow(*store_, "a").status()));
}

TEST_F(S3StoreTest, ResetBeforeApply_ChangesNothing) {
  Start();
  server_->AddFault("action=reset_before method=PUT");
  EXPECT_TRUE(absl::IsUnavailable(PutNow(*store_, "a", "x").status()));
  EXPECT_FALSE(server_->Peek("a").has_value());
}

TEST_F(S3StoreTest, ResetAfterApply_IsReportedAndNotRepeated) {
  Start();
  server_->AddFault("action=reset_after method=PUT");
  const auto put = PutNow(*store_, "a", "mine", PutCondition::IfAbsent());
  EXPECT_TRUE(absl::IsUnavailable(put.status())) << put.status();
  EXPECT_EQ(server_->Peek("a"), "mine");
  EXPECT_EQ(Count("PUT"), 1);
}

// libcurl sends a request again when a connection that it reused breaks. A conditional PUT would
// then be told "exists" about its own object.
TEST_F(S3StoreTest, ReusedConnectionBreaksAfterApply_PutIsNotRepeated) {
  Start();
  for (const std::string body : {"", "some content"}) {
    ASSERT_TRUE(PutNow(*store_, "warm", "x").ok());
    const int before = Count("PUT");
    server_->AddFault("action=reset_after method=PUT");
    const auto put =
        PutNow(*store_, absl::StrCat("a", body.size()), body, PutCondition::IfAbsent());
    EXPECT_TRUE(absl::IsUnavailable(put.status())) << put.status();
    EXPECT_EQ(Count("PUT"), before + 1);
    ASSERT_TRUE(PutNow(*store_, "warm", "x").ok());
    server_->AddFault("action=reset_after method=DELETE");
    DeleteNow(*store_, "warm").IgnoreError();
  }
}

TEST_F(S3StoreTest, ServerClosesConnectionsBehindItsAnswers_ReadsGoOn) {
  Start();
  ASSERT_TRUE(PutNow(*store_, "a", "x").ok());
  server_->AddFault("action=close method=GET count=-1");
  for (int i = 0; i < 20; ++i) {
    const auto got = GetNow(*store_, "a");
    ASSERT_TRUE(got.ok()) << got.status();
  }
}

TEST_F(S3StoreTest, LatePut_ConditionalOneCanNotUndoTheRetry) {
  Start();
  server_->AddFault("action=late_apply method=PUT");
  EXPECT_TRUE(absl::IsUnavailable(PutNow(*store_, "a", "late", PutCondition::IfAbsent()).status()));
  EXPECT_FALSE(server_->Peek("a").has_value());
  ASSERT_TRUE(PutNow(*store_, "a", "retried", PutCondition::IfAbsent()).ok());
  server_->ApplyLate();
  EXPECT_EQ(server_->Peek("a"), "retried");

  server_->AddFault("action=late_apply method=PUT");
  EXPECT_FALSE(PutNow(*store_, "b", "late").ok());
  ASSERT_TRUE(PutNow(*store_, "b", "retried").ok());
  server_->ApplyLate();  // the double does apply late
  EXPECT_EQ(server_->Peek("b"), "late");
}

TEST_F(S3StoreTest, CutBody_IsDataLoss) {
  Start();
  ASSERT_TRUE(PutNow(*store_, "a", std::string(100000, 'x')).ok());
  server_->AddFault("action=cut_body method=GET");
  EXPECT_TRUE(absl::IsDataLoss(GetNow(*store_, "a").status()));
  server_->AddFault("action=cut_body method=GET");
  EXPECT_TRUE(absl::IsDataLoss(GetNow(*store_, "a", ByteRange{10, 5000}).status()));
  server_->AddFault("action=cut_body method=LIST");
  EXPECT_TRUE(absl::IsDataLoss(ListNow(*store_, "").status()));
  EXPECT_TRUE(GetNow(*store_, "a").ok());
}

TEST_F(S3StoreTest, DamagedList_IsDataLossNotAnEmptyList) {
  Start();
  server_->AddFault("action=flip_bit method=LIST");  // in the middle of a tag
  const auto list = ListNow(*store_, "");
  EXPECT_TRUE(absl::IsDataLoss(list.status())) << list.status();
}

TEST_F(S3StoreTest, FlippedBit_ReachesTheCallerWhoseChecksumsFindIt) {
  Start();
  ASSERT_TRUE(PutNow(*store_, "a", "xxxx").ok());
  server_->AddFault("action=flip_bit method=GET");
  EXPECT_EQ(GetNow(*store_, "a")->body, "xxhx");
}

TEST_F(S3StoreTest, LostObject_IsNotFound) {
  Start();
  ASSERT_TRUE(PutNow(*store_, "a", "x").ok());
  server_->Lose("a");
  EXPECT_TRUE(absl::IsNotFound(GetNow(*store_, "a").status()));
}

TEST_F(S3StoreTest, ForbiddenForAWhile_PassesByItself) {
  Start();
  ASSERT_TRUE(PutNow(*store_, "a", "x").ok());
  server_->AddFault("action=status status=403 code=AccessDenied count=-1");
  EXPECT_TRUE(absl::IsPermissionDenied(GetNow(*store_, "a").status()));
  EXPECT_TRUE(absl::IsPermissionDenied(HeadNow(*store_, "a").status()));
  server_->ClearFaults();
  EXPECT_TRUE(GetNow(*store_, "a").ok());
}

// Above all it is not NOT_FOUND, which would make a lost file of keys a lost object.
TEST_F(S3StoreTest, Head_RefusedWithoutAReason_FindsTheReason) {
  Start({.clock_ahead = absl::Hours(5)});
  EXPECT_TRUE(absl::IsNotFound(HeadNow(*store_, "a").status()));
  server_->AddFault("action=status status=400 code=ExpiredToken count=2");
  EXPECT_TRUE(absl::IsPermissionDenied(HeadNow(*store_, "a").status()));
  // A server that contradicts itself must not keep us busy for ever.
  ASSERT_TRUE(PutNow(*store_, "empty", "").ok());
  server_->AddFault("action=status status=403 code=AccessDenied method=HEAD count=-1");
  EXPECT_TRUE(absl::IsUnavailable(HeadNow(*store_, "empty").status()));
}

TEST_F(S3StoreTest, StaleList_ShowsThePast) {
  Start();
  ASSERT_TRUE(PutNow(*store_, "a", "x").ok());
  server_->AddFault("action=stale_list method=LIST");
  ASSERT_TRUE(PutNow(*store_, "b", "x").ok());
  EXPECT_THAT(ListNow(*store_, "")->entries, SizeIs(1));
  EXPECT_THAT(ListNow(*store_, "")->entries, SizeIs(2));
  server_->AddFault("action=omit_from_list key=a");
  EXPECT_EQ(ListNow(*store_, "")->entries[0].name, "b");
}

TEST_F(S3StoreTest, ListPagesWithoutNames_AreFollowedWithinALimit) {
  Start();
  ASSERT_TRUE(PutNow(*store_, "a", "x").ok());
  server_->AddFault("action=empty_page method=LIST count=3");
  EXPECT_THAT(ListNow(*store_, "")->entries, SizeIs(1));
  server_->AddFault("action=empty_page method=LIST count=-1");
  EXPECT_TRUE(absl::IsUnavailable(ListNow(*store_, "").status()));
}

TEST_F(S3StoreTest, ServiceWithoutStartAfter_IsNotListedInCircles) {
  Start({.knows_start_after = false});
  ASSERT_TRUE(PutNow(*store_, "a", "x").ok());
  EXPECT_TRUE(absl::IsDataLoss(ListNow(*store_, "", "a").status()));
}

TEST_F(S3StoreTest, EtagStyle_IsLearntOnceFromAContradiction) {
  Start({.if_match_quoted = false});
  auto etag = PutNow(*store_, "head", "0");
  etag = PutNow(*store_, "head", "1", PutCondition::IfMatch(*etag));
  ASSERT_TRUE(etag.ok()) << etag.status();
  EXPECT_EQ(Count("PUT"), 3);  // quoted, then bare
  etag = PutNow(*store_, "head", "2", PutCondition::IfMatch(*etag));
  ASSERT_TRUE(etag.ok()) << etag.status();
  EXPECT_EQ(Count("PUT"), 4);
  const auto stale = PutNow(*store_, "head", "3", PutCondition::IfMatch("feed"));
  EXPECT_TRUE(absl::IsFailedPrecondition(stale.status()));
}

TEST_F(S3StoreTest, EtagStyle_OnceKnown_CostsNoQuestions) {
  Start({.if_match_bare = false});
  auto etag = PutNow(*store_, "head", "0");
  etag = PutNow(*store_, "head", "1", PutCondition::IfMatch(*etag));
  ASSERT_TRUE(etag.ok()) << etag.status();
  EXPECT_TRUE(absl::IsFailedPrecondition(
      PutNow(*store_, "head", "2", PutCondition::IfMatch("feed")).status()));
  EXPECT_EQ(Count("HEAD"), 0);
  EXPECT_TRUE(PutNow(*store_, "head", "2", PutCondition::IfMatch(*etag)).ok());
}

}  // namespace
}  // namespace diskd::object
