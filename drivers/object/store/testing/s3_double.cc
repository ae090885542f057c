// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/store/testing/s3_double.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "drivers/object/store/encoding.h"
#include "drivers/object/store/testing/s3_signature.h"

namespace diskd::object {
namespace {

constexpr char kControl[] = "/-/";

absl::string_view HeaderOf(const ServerRequest& request, const std::string& name) {
  const auto it = request.headers.find(name);
  return it == request.headers.end() ? absl::string_view() : absl::string_view(it->second);
}

std::string MethodOf(const ServerRequest& request, bool is_bucket) {
  return is_bucket && request.method == "GET" ? "LIST" : request.method;
}

}  // namespace

ServerReply S3ErrorReply(int status, const std::string& code, const std::string& message) {
  ServerReply reply;
  reply.status = status;
  reply.headers.emplace_back("Content-Type", "application/xml");
  reply.body = absl::StrCat("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>", code,
                            "</Code><Message>", message, "</Message></Error>");
  return reply;
}

absl::StatusOr<std::unique_ptr<S3Double>> S3Double::Start(S3DoubleOptions options) {
  const std::optional<HttpServer::Tls> tls = options.tls;
  std::unique_ptr<S3Double> self(new S3Double(std::move(options)));
  self->SetCredentials(self->options_.credentials);
  auto server = HttpServer::Start(
      [raw = self.get()](const ServerRequest& request) { return raw->Handle(request); }, tls);
  if (!server.ok()) return server.status();
  self->server_ = *std::move(server);
  return self;
}

S3Double::~S3Double() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  server_.reset();
}

std::string S3Double::endpoint() const {
  return absl::StrCat(options_.tls.has_value() ? "https" : "http", "://127.0.0.1:", port());
}

void S3Double::AddFault(S3Fault fault) {
  absl::MutexLock lock(&mutex_);
  if (fault.action == S3Fault::Action::kStaleList) {
    for (const auto& [key, object] : objects_) fault.list[key] = object.body->size();
  }
  faults_.push_back(std::move(fault));
}

void S3Double::AddFault(const std::string& text) {
  absl::StatusOr<S3Fault> fault = ParseS3Fault(text);
  if (!fault.ok()) {
    std::fprintf(stderr, "%s\n", std::string(fault.status().message()).c_str());
    std::abort();
  }
  AddFault(*std::move(fault));
}

void S3Double::ClearFaults() {
  absl::MutexLock lock(&mutex_);
  faults_.clear();
}

void S3Double::ApplyLate() {
  absl::MutexLock lock(&mutex_);
  late_now_ = true;
  const auto done = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return late_ == 0; };
  mutex_.Await(absl::Condition(&done));
  late_now_ = false;
}

void S3Double::SetCredentials(Credentials credentials) {
  absl::MutexLock lock(&mutex_);
  credentials_ = std::move(credentials);
}

void S3Double::Lose(const std::string& key) {
  absl::MutexLock lock(&mutex_);
  objects_.erase(key);
}

void S3Double::Place(const std::string& key, std::string body) {
  absl::MutexLock lock(&mutex_);
  objects_[key] = {std::make_shared<const std::string>(std::move(body)), "placed"};
}

std::optional<std::string> S3Double::Peek(const std::string& key) const {
  absl::MutexLock lock(&mutex_);
  const auto it = objects_.find(key);
  if (it == objects_.end()) return std::nullopt;
  return *it->second.body;
}

std::map<std::string, int> S3Double::Counts() const {
  absl::MutexLock lock(&mutex_);
  return counts_;
}

int S3Double::MostAtOnce() const {
  absl::MutexLock lock(&mutex_);
  return most_at_once_;
}

// Path style or virtual host; false for another bucket.
bool S3Double::Address(const ServerRequest& request, std::string* key, bool* is_bucket) const {
  absl::string_view path = request.path;
  absl::ConsumePrefix(&path, "/");
  if (!absl::StartsWith(HeaderOf(request, "host"), absl::StrCat(options_.bucket, "."))) {
    if (!absl::ConsumePrefix(&path, options_.bucket)) return false;
    if (!path.empty() && !absl::ConsumePrefix(&path, "/")) return false;
  }
  const auto decoded = PercentDecode(path);
  if (!decoded.has_value()) return false;
  *key = *decoded;
  *is_bucket = key->empty();
  return true;
}

ServerReply S3Double::Handle(const ServerRequest& request) {
  if (options_.faults_over_http && absl::StartsWith(request.path, kControl)) {
    return Control(request);
  }
  {
    absl::MutexLock lock(&mutex_);
    most_at_once_ = std::max(most_at_once_, ++at_once_);
  }
  std::string key;
  bool is_bucket = false;
  ServerReply reply = Address(request, &key, &is_bucket)
                          ? HandleSigned(request, key, is_bucket)
                          : S3ErrorReply(404, "NoSuchBucket", "no such bucket");
  reply.headers.emplace_back(
      "Date", absl::FormatTime("%a, %d %b %Y %H:%M:%S GMT", absl::Now() + options_.clock_ahead,
                               absl::UTCTimeZone()));
  // Here rather than in the server, so that the wait counts as work in MostAtOnce().
  if (reply.delay > absl::ZeroDuration()) {
    server_->Wait(std::exchange(reply.delay, absl::ZeroDuration()));
  }
  absl::MutexLock lock(&mutex_);
  --at_once_;
  return reply;
}

ServerReply S3Double::HandleSigned(const ServerRequest& request, const std::string& key,
                                   bool is_bucket) {
  const std::string method = MethodOf(request, is_bucket);
  Credentials credentials;
  {
    absl::MutexLock lock(&mutex_);
    ++counts_[method];
    credentials = credentials_;
  }
  std::string why;
  const std::string refusal = CheckSignature(request, credentials, options_.region,
                                             absl::Now() + options_.clock_ahead, &why);
  if (!refusal.empty()) {
    const bool bad_request = refusal == "XAmzContentSHA256Mismatch" || refusal == "InvalidToken";
    return S3ErrorReply(bad_request ? 400 : 403, refusal, why);
  }
  const std::optional<S3Fault> fault = TakeFault(method, key);
  if (!fault.has_value()) return Apply(request, key, is_bucket, nullptr);
  return Faulty(*fault, request, key, is_bucket);
}

std::optional<S3Fault> S3Double::TakeFault(const std::string& method, const std::string& key) {
  absl::MutexLock lock(&mutex_);
  for (auto it = faults_.begin(); it != faults_.end(); ++it) {
    // For omit_from_list `key` says what is left out, not which request it is.
    const bool any_key = it->action == S3Fault::Action::kOmitFromList;
    if (!it->method.empty() && it->method != method) continue;
    if (!any_key && !absl::StrContains(key, it->key)) continue;
    if (it->skip > 0) {
      --it->skip;
      continue;
    }
    S3Fault fault = *it;
    ++faults_met_[std::string(S3FaultName(fault.action))];
    if (it->count > 0 && --it->count == 0) faults_.erase(it);
    return fault;
  }
  return std::nullopt;
}

ServerReply S3Double::Faulty(const S3Fault& fault, const ServerRequest& request,
                             const std::string& key, bool is_bucket) {
  using Action = S3Fault::Action;
  ServerReply reset;
  reset.wire = ServerReply::Wire::kReset;
  const auto refusal = [&fault] {
    ServerReply reply = S3ErrorReply(fault.status, fault.code, "injected");
    if (fault.code.empty()) reply.body = "<html><body>back soon</body></html>";
    if (fault.retry_after_seconds > 0) {
      reply.headers.emplace_back("Retry-After", absl::StrCat(fault.retry_after_seconds));
    }
    return reply;
  };
  if (fault.action == Action::kStatus) return refusal();
  if (fault.action == Action::kResetBefore) return reset;
  if (fault.action == Action::kLateApply) return HoldForLater(fault, request, key);

  ServerReply reply = Apply(request, key, is_bucket, &fault);
  switch (fault.action) {
    case Action::kStatusAfter:
      return refusal();
    case Action::kResetAfter:
      return reset;
    case Action::kSilentAfter:
      reply.wire = ServerReply::Wire::kSilent;
      break;
    case Action::kDelay:
      reply.delay = fault.delay;
      break;
    case Action::kSlowBody:
      reply.body_delay = fault.delay;
      break;
    case Action::kCutBody:
      reply.wire = ServerReply::Wire::kCut;
      break;
    case Action::kClose:
      reply.wire = ServerReply::Wire::kClose;
      break;
    case Action::kFlipBit:
      if (!reply.body.empty()) reply.body[reply.body.size() / 2] ^= 0x10;
      break;
    case Action::kWrongEtag:
      for (auto& [name, value] : reply.headers) {
        if (name == "ETag") value = "\"00000000000000000000000000000000\"";
      }
      break;
    default:
      break;
  }
  return reply;
}

ServerReply S3Double::HoldForLater(const S3Fault& fault, const ServerRequest& request,
                                   const std::string& key) {
  {
    absl::MutexLock lock(&mutex_);
    ++late_;
  }
  ServerReply reply;
  reply.wire = ServerReply::Wire::kReset;
  reply.afterwards = [this, request, key, deadline = absl::Now() + fault.delay] {
    {
      absl::MutexLock lock(&mutex_);
      const auto due = [this]()
                           ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return late_now_ || stopping_; };
      mutex_.AwaitWithDeadline(absl::Condition(&due), deadline);
    }
    Apply(request, key, /*is_bucket=*/false, nullptr);
    absl::MutexLock lock(&mutex_);
    --late_;
  };
  return reply;
}

ServerReply S3Double::Control(const ServerRequest& request) {
  absl::string_view command = request.path;
  absl::ConsumePrefix(&command, kControl);
  ServerReply reply;
  if (command == "fault") {
    absl::StatusOr<S3Fault> fault = ParseS3Fault(request.body);
    if (!fault.ok()) return S3ErrorReply(400, "BadFault", std::string(fault.status().message()));
    AddFault(*std::move(fault));
  } else if (command == "clear") {
    ClearFaults();
  } else if (command == "late") {
    ApplyLate();
  } else if (absl::ConsumePrefix(&command, "lose/")) {
    Lose(std::string(command));
  } else if (command == "counts") {
    for (const auto& [method, count] : Counts()) {
      absl::StrAppend(&reply.body, method, " ", count, "\n");
    }
    const absl::MutexLock lock(&mutex_);
    for (const auto& [action, count] : faults_met_) {
      absl::StrAppend(&reply.body, "fault ", action, " ", count, "\n");
    }
  } else {
    return S3ErrorReply(404, "NoSuchCommand");
  }
  return reply;
}

}  // namespace diskd::object
