// SPDX-License-Identifier: Apache-2.0
//
// Keys, clocks, connections and limits of an S3 store; what its answers mean is in
// s3_store_test.cc.
#include "drivers/object/store/s3_client.h"

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
#include "drivers/object/store/http_client.h"
#include "drivers/object/store/testing/certificate.h"
#include "drivers/object/store/testing/http_server.h"
#include "drivers/object/store/testing/s3_on_double.h"

namespace diskd::object {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

using S3ClientTest = S3OnDouble;

TEST_F(S3ClientTest, RotatedKeysInTheFile_AreTakenOverWithoutAnError) {
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

TEST_F(S3ClientTest, KeysMissingOrDamagedMeanwhile_OneRefusalIsAllThatItCosts) {
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
  std::filesystem::remove(path);
  server_->AddFault("action=status status=403 code=InvalidObjectState");
  EXPECT_TRUE(absl::IsPermissionDenied(GetNow(**store, "a").status()));
  EXPECT_TRUE(GetNow(**store, "a").ok());
  std::ofstream(path) << "aws_access_key_id=only";
  server_->AddFault("action=status status=403 code=InvalidObjectState");
  EXPECT_TRUE(absl::IsPermissionDenied(GetNow(**store, "a").status()));
  EXPECT_TRUE(PutNow(**store, "b", "x", PutCondition::IfAbsent()).ok());
}

TEST_F(S3ClientTest, SessionToken_IsSentAndSigned) {
  const Credentials keys = {"AK", "secret", "session/token=="};
  Start({.credentials = keys});
  auto store = OpenS3Store(options_, FixedCredentials(keys));
  ASSERT_TRUE(store.ok());
  EXPECT_TRUE(PutNow(**store, "a", "x").ok());
}

TEST_F(S3ClientTest, ServersClockIsAhead_IsLearnt) {
  Start({.clock_ahead = absl::Hours(5)});
  const auto put = PutNow(*store_, "a", "x");
  EXPECT_TRUE(put.ok()) << put.status();
  EXPECT_TRUE(PutNow(*store_, "b", "x").ok());
  EXPECT_EQ(Count("PUT"), 3);
}

TEST_F(S3ClientTest, WrongSecret_IsPermissionDeniedAndShowsNoSecret) {
  Start();
  const Credentials wrong = {S3DoubleOptions().credentials.access_key, "wrong-secret-value", "tok"};
  auto store = OpenS3Store(options_, FixedCredentials(wrong));
  ASSERT_TRUE(store.ok());
  const auto put = PutNow(**store, "a", "x");
  EXPECT_TRUE(absl::IsPermissionDenied(put.status())) << put.status();
  EXPECT_THAT(Message(put.status()), Not(HasSubstr("wrong-secret-value")));
}

TEST_F(S3ClientTest, SlowAnswers_TimeOut) {
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

TEST_F(S3ClientTest, NobodyListens_IsUnavailable) {
  Start();
  server_.reset();
  const auto get = GetNow(*store_, "a");
  EXPECT_TRUE(absl::IsUnavailable(get.status())) << get.status();
}

TEST_F(S3ClientTest, Destructor_EndsWhatHangs) {
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

TEST_F(S3ClientTest, Idle_UsesNoProcessorAndSendsNothing) {
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

TEST_F(S3ClientTest, LaneLimit_HoldsAndReadsDoNotWaitBehindUploads) {
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

TEST_F(S3ClientTest, ReadsThatGetNoAnswer_DoNotHoldUpOthers) {
  Start();
  ASSERT_TRUE(PutNow(*store_, "a", "x").ok());
  options_.patience = absl::Milliseconds(50);
  Reopen();
  server_->AddFault("action=silent_after method=GET key=hangs count=-1");
  constexpr int kHanging = 2 * kReadsInFlight;
  std::atomic<int> ended = 0;
  for (int i = 0; i < kHanging; ++i) {
    store_->Get(Lane::kRead, absl::StrCat("hangs", i), std::nullopt,
                [&ended](const absl::StatusOr<GetResult>&) { ++ended; });
  }
  const auto got = GetNow(*store_, "a");
  EXPECT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(ended, 0) << "it had to wait for one of them to time out";
  store_.reset();
  EXPECT_EQ(ended, kHanging);
}

TEST_F(S3ClientTest, VirtualHostAddressing_ReachesTheBucket) {
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

TEST_F(S3ClientTest, Tls_TrustsTheGivenAuthorityOnly) {
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
