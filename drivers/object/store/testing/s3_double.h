// SPDX-License-Identifier: Apache-2.0
//
// An S3 service in memory for tests: one bucket; GET with ranges, HEAD, PUT with conditions,
// DELETE, list v2. Checks signatures strictly and misbehaves on request.
#ifndef DISKD_DRIVERS_OBJECT_STORE_TESTING_S3_DOUBLE_H_
#define DISKD_DRIVERS_OBJECT_STORE_TESTING_S3_DOUBLE_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "drivers/object/store/credentials.h"
#include "drivers/object/store/testing/http_server.h"
#include "drivers/object/store/testing/s3_fault.h"

namespace diskd::object {

// Lasting traits of the service.
struct S3DoubleOptions {
  std::string bucket = "bucket";
  std::string region = "us-east-1";
  Credentials credentials = {"AKDOUBLE", "double/secret+key=", ""};

  enum class Condition : uint8_t {
    kHonoured,
    kIgnored,  // the header is overlooked: every racer wins
    kRacy,     // check and write are two steps: several may win
    kRefused,  // 501
  };
  Condition if_none_match = Condition::kHonoured;
  Condition if_match = Condition::kHonoured;
  bool if_match_quoted = true;  // knows "etag"
  bool if_match_bare = true;    // knows etag
  bool knows_start_after = true;
  int page_keys = 1000;
  absl::Duration clock_ahead = absl::ZeroDuration();
  std::optional<HttpServer::Tls> tls;
  bool faults_over_http = false;  // PUT /-/fault, /-/clear, /-/late, /-/lose/KEY; GET /-/counts
};

class S3Double {
 public:
  static absl::StatusOr<std::unique_ptr<S3Double>> Start(S3DoubleOptions options);
  ~S3Double();

  std::string endpoint() const;
  int port() const { return server_->port(); }

  void AddFault(S3Fault fault);
  // ParseS3Fault's language; aborts at a mistake in the test.
  void AddFault(const std::string& text);
  void ClearFaults();
  // Carries out the held requests of kLateApply now, in the order they came, and waits for them.
  void ApplyLate();
  void SetCredentials(Credentials credentials);
  // Past the protocol.
  void Lose(const std::string& key);
  void Place(const std::string& key, std::string body);
  std::optional<std::string> Peek(const std::string& key) const;
  // Requests seen, by method (lists are "LIST"); refused ones too.
  std::map<std::string, int> Counts() const;
  // The greatest number of requests handled at one time.
  int MostAtOnce() const;

 private:
  struct Object {
    std::shared_ptr<const std::string> body;
    std::string etag;
  };
  explicit S3Double(S3DoubleOptions options) : options_(std::move(options)) {}

  ServerReply Handle(const ServerRequest& request);
  ServerReply HandleSigned(const ServerRequest& request, const std::string& key, bool is_bucket);
  ServerReply Control(const ServerRequest& request);
  bool Address(const ServerRequest& request, std::string* key, bool* is_bucket) const;
  std::optional<S3Fault> TakeFault(const std::string& method, const std::string& key);
  ServerReply Faulty(const S3Fault& fault, const ServerRequest& request, const std::string& key,
                     bool is_bucket);
  ServerReply HoldForLater(const S3Fault& fault, const ServerRequest& request,
                           const std::string& key);
  ServerReply Apply(const ServerRequest& request, const std::string& key, bool is_bucket,
                    const S3Fault* fault);
  ServerReply Get(const ServerRequest& request, const std::string& key);
  ServerReply Put(const ServerRequest& request, const std::string& key);
  ServerReply Delete(const std::string& key);
  ServerReply List(const ServerRequest& request, const S3Fault* fault);
  // Empty: go on; else the refusal.
  std::optional<ServerReply> CheckConditions(const ServerRequest& request, const std::string& key)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsRacy(const ServerRequest& request) const;

  const S3DoubleOptions options_;
  mutable absl::Mutex mutex_;
  std::map<std::string, Object> objects_ ABSL_GUARDED_BY(mutex_);
  std::vector<S3Fault> faults_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, int> counts_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, int> faults_met_ ABSL_GUARDED_BY(mutex_);  // by action
  Credentials credentials_ ABSL_GUARDED_BY(mutex_);
  int late_ ABSL_GUARDED_BY(mutex_) = 0;  // held requests
  bool late_now_ ABSL_GUARDED_BY(mutex_) = false;
  int at_once_ ABSL_GUARDED_BY(mutex_) = 0;
  int most_at_once_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::unique_ptr<HttpServer> server_;  // last: its threads use the rest
};

// An S3 error answer.
ServerReply S3ErrorReply(int status, const std::string& code, const std::string& message = "");

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_STORE_TESTING_S3_DOUBLE_H_
