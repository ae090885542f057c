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
#include "drivers/object/store/testing/store_under_test.h"

namespace diskd::object {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

class S3StoreTest : public ::testing::Test {
 protected:
  void Start(S3DoubleOptions options = {}) {
    auto server = S3Double::Start(std::move(options));
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    options_ = OptionsFor(*server_);
    store_ = OpenOn(*server_, options_);
  }
  void Reopen() { store_ = OpenOn(*server_, options_); }
  int Count(const std::string& method) { return server_->Counts()[method]; }
  std::string Message(const absl::Status& status) { return std::string(status.message()); }

  std::unique_ptr<S3Double> server_;
  S3Options options_;
  std::unique_ptr<Store> store_;
};

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

TEST_F(S3StoreTest, RotatedKeysInTheFile_AreTakenOverWithoutAnError) {
  Start();
  const ScratchDir scratch;
  const std::string path = scratch.path() + "/credentials";
  const auto write = [&path](const Credentials& keys) {
    std::ofstream(path) << "[default]\naws_access_key_id = " << keys.access_key
                        << "\naws_secret_access_key = " << keys.secret_key << "\n";
  };
  write(S3DoubleOptions().credentials);
  auto store = OpenS3Store(options_, FileCredentials(path));
  ASSERT_TRUE(store.ok()) << store.status();
  ASSERT_TRUE(PutNow(**store, "a", "1").ok());
  const Credentials fresh = {"AKNEW", "another-secret", ""};
  server_->SetCredentials(fresh);
  EXPECT_TRUE(absl::IsPermissionDenied(PutNow(**store, "a", "2").status()));
  write(fresh);
  EXPECT_TRUE(PutNow(**store, "a", "3").ok());
  EXPECT_EQ(server_->Peek("a"), "3");
}

// Above all it is not NOT_FOUND, which would make a lost file of keys a lost object.
TEST_F(S3StoreTest, KeysMissingOrDamagedMeanwhile_IsPermissionDeniedAndPasses) {
  Start();
  ASSERT_TRUE(PutNow(*store_, "a", "x").ok());
  const ScratchDir scratch;
  const std::string path = scratch.path() + "/credentials";
  const Credentials keys = S3DoubleOptions().credentials;
  const std::string good = absl::StrCat("aws_access_key_id=", keys.access_key,
                                        "\naws_secret_access_key=", keys.secret_key, "\n");
  std::ofstream(path) << good;
  auto store = OpenS3Store(options_, FileCredentials(path));
  ASSERT_TRUE(store.ok()) << store.status();
  server_->AddFault("action=status status=403 code=AccessDenied");
  std::filesystem::remove(path);
  EXPECT_TRUE(absl::IsPermissionDenied(GetNow(**store, "a").status()));
  EXPECT_TRUE(absl::IsPermissionDenied(GetNow(**store, "a").status()));
  std::ofstream(path) << "aws_access_key_id=only";
  EXPECT_TRUE(
      absl::IsPermissionDenied(PutNow(**store, "b", "x", PutCondition::IfAbsent()).status()));
  std::ofstream(path) << good;
  EXPECT_TRUE(GetNow(**store, "a").ok());
}

TEST_F(S3StoreTest, SessionToken_IsSentAndSigned) {
  const Credentials keys = {"AK", "secret", "session/token=="};
  Start({.credentials = keys});
  auto store = OpenS3Store(options_, FixedCredentials(keys));
  ASSERT_TRUE(store.ok());
  EXPECT_TRUE(PutNow(**store, "a", "x").ok());
}

TEST_F(S3StoreTest, ServersClockIsAhead_IsLearnt) {
  Start({.clock_ahead = absl::Hours(5)});
  const auto put = PutNow(*store_, "a", "x");
  EXPECT_TRUE(put.ok()) << put.status();
  EXPECT_TRUE(PutNow(*store_, "b", "x").ok());
  EXPECT_EQ(Count("PUT"), 3);
}

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

TEST_F(S3StoreTest, WrongSecret_IsPermissionDeniedAndShowsNoSecret) {
  Start();
  const Credentials wrong = {S3DoubleOptions().credentials.access_key, "wrong-secret-value", "tok"};
  auto store = OpenS3Store(options_, FixedCredentials(wrong));
  ASSERT_TRUE(store.ok());
  const auto put = PutNow(**store, "a", "x");
  EXPECT_TRUE(absl::IsPermissionDenied(put.status())) << put.status();
  EXPECT_THAT(Message(put.status()), Not(HasSubstr("wrong-secret-value")));
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

TEST_F(S3StoreTest, SlowAnswers_TimeOut) {
  Start();
  ASSERT_TRUE(PutNow(*store_, "a", std::string(100000, 'x')).ok());
  options_.attempt_timeout = absl::Milliseconds(200);
  Reopen();
  server_->AddFault("action=silent_after method=PUT");
  const auto put = PutNow(*store_, "b", "applied");
  EXPECT_TRUE(absl::IsDeadlineExceeded(put.status())) << put.status();
  EXPECT_EQ(server_->Peek("b"), "applied");

  options_.attempt_timeout = kAttemptTimeout;
  options_.connect_timeout = absl::Milliseconds(100);
  options_.idle_timeout = absl::Milliseconds(100);
  Reopen();
  server_->AddFault("action=slow_body method=GET delay_ms=60000");
  const auto get = GetNow(*store_, "a");
  EXPECT_TRUE(absl::IsDeadlineExceeded(get.status())) << get.status();
  EXPECT_THAT(Message(get.status()), HasSubstr("nothing came"));
}

TEST_F(S3StoreTest, NobodyListens_IsUnavailable) {
  Start();
  server_.reset();
  const auto get = GetNow(*store_, "a");
  EXPECT_TRUE(absl::IsUnavailable(get.status())) << get.status();
}

TEST_F(S3StoreTest, Destructor_EndsWhatHangs) {
  Start();
  server_->AddFault("action=silent_after method=GET count=-1");
  absl::BlockingCounter done(5);
  std::atomic<int> unavailable = 0;
  for (int i = 0; i < 5; ++i) {
    store_->Get(Lane::kRead, "a", std::nullopt, [&](const absl::StatusOr<GetResult>& got) {
      if (absl::IsUnavailable(got.status())) ++unavailable;
      done.DecrementCount();
    });
  }
  store_.reset();
  done.Wait();
  EXPECT_EQ(unavailable, 5);
}

TEST_F(S3StoreTest, Idle_UsesNoProcessorAndSendsNothing) {
  Start();
  ASSERT_TRUE(PutNow(*store_, "a", "x").ok());
  const auto cpu = [] {
    timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return absl::DurationFromTimespec(used);
  };
  const absl::Duration before = cpu();
  absl::SleepFor(absl::Milliseconds(400));
  EXPECT_LT(cpu() - before, absl::Milliseconds(100));
  EXPECT_EQ(Count("PUT"), 1);
  EXPECT_EQ(server_->Counts().size(), 1);
}

TEST_F(S3StoreTest, LaneLimit_HoldsAndReadsDoNotWaitBehindUploads) {
  Start();
  ASSERT_TRUE(PutNow(*store_, "a", "x").ok());
  options_.uploads_in_flight = 3;
  Reopen();
  // Uploads that stay until the store is closed: the lane is full and a queue stands behind it.
  server_->AddFault("action=silent_after method=PUT count=-1");
  constexpr int kUploads = 12;
  std::atomic<int> ended = 0;
  for (int i = 0; i < kUploads; ++i) {
    store_->Put(Lane::kUpload, absl::StrCat("u", i), std::make_shared<const std::string>("x"),
                PutCondition::None(), [&ended](const absl::StatusOr<Etag>&) { ++ended; });
  }
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(GetNow(*store_, "a").ok());
  EXPECT_EQ(ended, 0);
  store_.reset();
  EXPECT_EQ(ended, kUploads);
  EXPECT_LE(Count("PUT"), 1 + 3);
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

TEST_F(S3StoreTest, VirtualHostAddressing_ReachesTheBucket) {
  Start();
  options_.addressing = S3Options::Addressing::kVirtualHost;
  options_.endpoint = absl::StrCat("http://s3.example.test:", server_->port());
  options_.resolve = {absl::StrCat("bucket.s3.example.test:", server_->port(), ":127.0.0.1")};
  options_.prefix = "some/prefix";
  Reopen();
  const auto put = PutNow(*store_, "a", "x");
  ASSERT_TRUE(put.ok()) << put.status();
  EXPECT_EQ(server_->Peek("some/prefix/a"), "x");
  EXPECT_EQ(ListNow(*store_, "")->entries[0].name, "a");
}

TEST_F(S3StoreTest, Tls_TrustsTheGivenAuthorityOnly) {
  const ScratchDir scratch;
  const HttpServer::Tls tls = MakeCertificate(scratch.path());
  Start({.tls = tls});
  const auto untrusted = PutNow(*store_, "a", "x");
  EXPECT_TRUE(absl::IsUnavailable(untrusted.status())) << untrusted.status();
  EXPECT_THAT(Message(untrusted.status()), HasSubstr("certificate"));
  options_.ca_file = scratch.path() + "/none.pem";
  EXPECT_TRUE(absl::IsInvalidArgument(
      OpenS3Store(options_, FixedCredentials(S3DoubleOptions().credentials)).status()));
  const std::string passing = scratch.path() + "/passing.pem";
  std::filesystem::copy_file(tls.certificate_file, passing);
  options_.ca_file = passing;
  Reopen();
  std::filesystem::remove(passing);  // read when the store was opened
  const std::string body(3 << 20, 'x');
  ASSERT_TRUE(PutNow(*store_, "a", body).ok());
  EXPECT_TRUE(GetNow(*store_, "a")->body == body);
}

}  // namespace
}  // namespace diskd::object
