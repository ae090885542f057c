// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/store/s3_store.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <fstream>
#include <iterator>
#include <limits>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "drivers/object/store/encoding.h"
#include "drivers/object/store/object_name.h"
#include "drivers/object/store/s3_answer.h"
#include "drivers/object/store/s3_endpoint.h"
#include "drivers/object/store/s3_xml.h"
#include "drivers/object/store/sigv4.h"

namespace diskd::object {
namespace {

constexpr int kLanes = 3;
constexpr int kListPagesMax = 16;  // empty pages in a row that one List goes through
constexpr char kUnsignedPayload[] = "UNSIGNED-PAYLOAD";

struct S3Request {
  std::string method;
  std::string key;  // empty: the bucket
  QueryParameters query;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::shared_ptr<const std::string> body;
  size_t answer_bytes_max = 0;

  std::string What() const { return absl::StrCat(method, " ", key.empty() ? "list" : key); }
};

struct PutCall {
  Lane lane;
  std::string name;
  std::shared_ptr<const std::string> body;
  PutCondition condition;
  Store::PutDone done;
};

struct ListCall {
  Lane lane;
  std::string prefix;  // with the store's
  std::string after;   // with the store's, or empty
  Store::ListDone done;
  int pages = 0;
};

class S3Store : public Store {
 public:
  S3Store(const S3Options& options, S3Endpoint endpoint, const std::string& ca_pem,
          std::unique_ptr<CredentialSource> credentials)
      : endpoint_(std::move(endpoint)),
        region_(options.region),
        key_prefix_(options.prefix.empty() ? "" : absl::StrCat(options.prefix, "/")),
        credentials_(std::move(credentials)),
        etag_style_(options.etag_style) {
    const auto lane = [&options, &ca_pem](std::string name, int in_flight) {
      return std::make_unique<HttpClient>(
          HttpClientOptions{.name = std::move(name),
                            .in_flight_max = in_flight,
                            .connect_timeout = options.connect_timeout,
                            .idle_timeout = options.idle_timeout,
                            .attempt_timeout = options.attempt_timeout,
                            .ca_pem = ca_pem,
                            .resolve = options.resolve});
    };
    lanes_ = {lane("read", options.reads_in_flight), lane("upload", options.uploads_in_flight),
              lane("collect", options.collects_in_flight)};
  }

  void Put(Lane lane, const std::string& name, std::shared_ptr<const std::string> body,
           PutCondition condition, PutDone done) override;
  void Get(Lane lane, const std::string& name, std::optional<ByteRange> range,
           GetDone done) override;
  void Head(Lane lane, const std::string& name, HeadDone done) override;
  void List(Lane lane, const std::string& prefix, const std::string& after, ListDone done) override;
  void Delete(Lane lane, const std::string& name, DeleteDone done) override;

 private:
  using AnswerDone = std::function<void(absl::StatusOr<HttpAnswer>)>;

  HttpClient& Of(Lane lane) { return *lanes_[static_cast<size_t>(lane)]; }

  // Any answer of the server; renews credentials, or the notion of its clock, once.
  void Send(Lane lane, const std::shared_ptr<const S3Request>& request, AnswerDone done,
            bool renewed = false);
  absl::StatusOr<HttpRequest> Sign(const S3Request& request, Credentials* used);
  // What the server refused can be cured: worth one more attempt.
  bool Renew(const HttpAnswer& answer, const Credentials& used);
  // An error that comes to light before a request exists.
  void Refuse(Lane lane, const absl::Status& status, AnswerDone done) {
    Of(lane).Start([status] { return status; }, std::move(done));
  }

  // `explain`: ask with a GET why a HEAD was refused.
  void SendHead(Lane lane, const std::string& name, bool explain, const HeadDone& done);
  void SendPut(const std::shared_ptr<PutCall>& call, S3Options::EtagStyle style);
  void PutAnswered(const std::shared_ptr<PutCall>& call, S3Options::EtagStyle style,
                   absl::StatusOr<HttpAnswer> answer);
  void SendList(const std::shared_ptr<ListCall>& call, const std::string& token);
  void ListAnswered(const std::shared_ptr<ListCall>& call, absl::StatusOr<HttpAnswer> answer);
  absl::StatusOr<ListResult> ToResult(const ListCall& call, const ListPage& page) const;

  const S3Endpoint endpoint_;
  const std::string region_;
  const std::string key_prefix_;
  const std::unique_ptr<CredentialSource> credentials_;
  std::atomic<S3Options::EtagStyle> etag_style_;
  std::atomic<int64_t> clock_skew_seconds_ = 0;
  std::array<std::unique_ptr<HttpClient>, kLanes> lanes_;  // last: their threads use the rest
};

absl::StatusOr<HttpRequest> S3Store::Sign(const S3Request& request, Credentials* used) {
  absl::StatusOr<Credentials> keys = credentials_->Get();
  if (!keys.ok()) {
    // Whatever is wrong with a file of keys, it must not look like a missing object.
    return absl::PermissionDeniedError(absl::StrCat(request.What(), ": ", keys.status().message()));
  }
  *used = *std::move(keys);
  const absl::Time now = absl::Now() + absl::Seconds(clock_skew_seconds_.load());
  const bool bare_bucket = request.key.empty() && !endpoint_.base_path.empty();
  RequestToSign to_sign = {.method = request.method,
                           .path = absl::StrCat(endpoint_.base_path, bare_bucket ? "" : "/",
                                                PercentEncode(request.key, /*keep_slash=*/true)),
                           .query = CanonicalQuery(request.query),
                           .headers = request.headers};
  // TLS has its own checksums; without it the server must be able to see a damaged body.
  to_sign.payload_sha256 =
      endpoint_.tls && request.body != nullptr
          ? kUnsignedPayload
          : Sha256Hex({request.body == nullptr ? absl::string_view() : *request.body});
  to_sign.headers.emplace_back("host", endpoint_.host);
  to_sign.headers.emplace_back("x-amz-content-sha256", to_sign.payload_sha256);
  to_sign.headers.emplace_back("x-amz-date", AmzDate(now));
  if (!used->session_token.empty()) {
    to_sign.headers.emplace_back("x-amz-security-token", used->session_token);
  }
  HttpRequest out;
  out.method = request.method;
  out.url = absl::StrCat(endpoint_.tls ? "https://" : "http://", endpoint_.host, to_sign.path,
                         to_sign.query.empty() ? "" : "?", to_sign.query);
  out.body = request.body;
  out.answer_bytes_max = request.answer_bytes_max;
  const std::string authorization = Authorization(to_sign, *used, region_, now);
  out.headers = std::move(to_sign.headers);
  out.headers.emplace_back("authorization", authorization);
  return out;
}

bool S3Store::Renew(const HttpAnswer& answer, const Credentials& used) {
  if (const auto skew = ClockSkew(answer, absl::Now()); skew.has_value()) {
    clock_skew_seconds_ = absl::ToInt64Seconds(*skew);
    return true;
  }
  const bool refused =
      answer.status == 401 || answer.status == 403 ||
      (answer.status == 400 && absl::IsPermissionDenied(StatusOfAnswer(answer, "")));
  if (!refused) return false;
  credentials_->Refresh();
  const absl::StatusOr<Credentials> fresh = credentials_->Get();
  return fresh.ok() && !(*fresh == used);
}

void S3Store::Send(Lane lane, const std::shared_ptr<const S3Request>& request, AnswerDone done,
                   bool renewed) {
  auto used = std::make_shared<Credentials>();
  auto prepare = [this, request, used] { return Sign(*request, used.get()); };
  Of(lane).Start(std::move(prepare), [this, lane, request, used, renewed,
                                      done = std::move(done)](absl::StatusOr<HttpAnswer> answer) {
    if (answer.ok() && !renewed && Renew(*answer, *used)) {
      Send(lane, request, done, /*renewed=*/true);
    } else {
      done(std::move(answer));
    }
  });
}

void S3Store::Put(Lane lane, const std::string& name, std::shared_ptr<const std::string> body,
                  PutCondition condition, PutDone done) {
  if (absl::Status status = CheckName(name); !status.ok()) {
    Refuse(lane, status,
           [done](const absl::StatusOr<HttpAnswer>& answer) { done(answer.status()); });
    return;
  }
  auto call = std::make_shared<PutCall>(
      PutCall{lane, name, std::move(body), std::move(condition), std::move(done)});
  const S3Options::EtagStyle style = etag_style_;
  SendPut(call, style);
}

void S3Store::SendPut(const std::shared_ptr<PutCall>& call, S3Options::EtagStyle style) {
  auto request = std::make_shared<S3Request>(
      S3Request{.method = "PUT", .key = key_prefix_ + call->name, .body = call->body});
  if (call->condition.kind == PutCondition::Kind::kIfAbsent) {
    request->headers.emplace_back("if-none-match", "*");
  } else if (call->condition.kind == PutCondition::Kind::kIfMatch) {
    request->headers.emplace_back("if-match", style == S3Options::EtagStyle::kBare
                                                  ? call->condition.etag
                                                  : absl::StrCat("\"", call->condition.etag, "\""));
  }
  request->answer_bytes_max = kXmlBytesMax;
  const Lane lane = call->lane;
  Send(lane, request, [this, call, style](absl::StatusOr<HttpAnswer> answer) {
    PutAnswered(call, style, std::move(answer));
  });
}

void S3Store::PutAnswered(const std::shared_ptr<PutCall>& call, S3Options::EtagStyle style,
                          absl::StatusOr<HttpAnswer> answer) {
  if (!answer.ok()) return call->done(answer.status());
  const std::string what = absl::StrCat("PUT ", key_prefix_, call->name);
  const bool if_match = call->condition.kind == PutCondition::Kind::kIfMatch;
  if (answer->status / 100 == 2) {
    if (if_match) {
      etag_style_ = style == S3Options::EtagStyle::kAuto ? S3Options::EtagStyle::kQuoted : style;
    }
    return call->done(EtagOf(*answer, what));
  }
  absl::Status status = StatusOfAnswer(*answer, what);
  if (if_match && absl::IsNotFound(status)) {
    status = absl::FailedPreconditionError(status.message());
  }
  if (!absl::IsFailedPrecondition(status) || !if_match || style != S3Options::EtagStyle::kAuto) {
    return call->done(status);
  }
  // Quoted tags may be unknown to this server: ask whether the condition did hold.
  Head(call->lane, call->name, [this, call, status](const absl::StatusOr<HeadResult>& head) {
    if (!head.ok() || head->etag != call->condition.etag) return call->done(status);
    SendPut(call, S3Options::EtagStyle::kBare);
  });
}

void S3Store::Get(Lane lane, const std::string& name, std::optional<ByteRange> range,
                  GetDone done) {
  absl::Status status = CheckName(name);
  auto request = std::make_shared<S3Request>(S3Request{.method = "GET", .key = key_prefix_ + name});
  request->answer_bytes_max = kObjectBytesMax;
  if (range.has_value()) {
    if (range->length == 0 ||
        range->offset > std::numeric_limits<uint64_t>::max() - range->length) {
      status = absl::InvalidArgumentError(
          absl::StrCat("GET ", name, ": impossible range ", range->offset, "+", range->length));
    }
    request->headers.emplace_back(
        "range", absl::StrCat("bytes=", range->offset, "-", range->offset + range->length - 1));
    request->answer_bytes_max = std::min<uint64_t>(range->length, kObjectBytesMax);
  }
  if (!status.ok()) {
    Refuse(lane, status,
           [done](const absl::StatusOr<HttpAnswer>& answer) { done(answer.status()); });
    return;
  }
  const std::string what = request->What();
  Send(lane, request, [this, lane, name, range, what, done](absl::StatusOr<HttpAnswer> answer) {
    if (!answer.ok()) return done(answer.status());
    if (range.has_value() && answer->status == 416) {
      // Behind the end: the answer need not say how long the object is.
      SendHead(lane, name, /*explain=*/false, [done](const absl::StatusOr<HeadResult>& head) {
        if (!head.ok()) return done(head.status());
        done(GetResult{head->etag, head->object_bytes, ""});
      });
      return;
    }
    done(ReadAnswer(*std::move(answer), range, what));
  });
}

void S3Store::Head(Lane lane, const std::string& name, HeadDone done) {
  if (absl::Status status = CheckName(name); !status.ok()) {
    Refuse(lane, status,
           [done](const absl::StatusOr<HttpAnswer>& answer) { done(answer.status()); });
    return;
  }
  SendHead(lane, name, /*explain=*/true, done);
}

void S3Store::SendHead(Lane lane, const std::string& name, bool explain, const HeadDone& done) {
  auto request =
      std::make_shared<S3Request>(S3Request{.method = "HEAD", .key = key_prefix_ + name});
  const std::string what = request->What();
  Send(lane, request,
       [this, lane, name, what, explain, done](const absl::StatusOr<HttpAnswer>& answer) {
         if (!answer.ok()) return done(answer.status());
         if (answer->status / 100 == 2) return done(SizeAndEtagOf(*answer, what));
         if (answer->status / 100 != 4) return done(StatusOfAnswer(*answer, what));
         // A HEAD's refusal has no body: is it the object that is missing, or the bucket; are the
         // keys wrong, or the clock?
         if (!explain) return done(absl::UnavailableError(absl::StrCat(what, ": refused")));
         Get(lane, name, ByteRange{0, 1}, [done](const absl::StatusOr<GetResult>& got) {
           if (!got.ok()) return done(got.status());
           done(HeadResult{got->etag, got->object_bytes});
         });
       });
}

void S3Store::List(Lane lane, const std::string& prefix, const std::string& after, ListDone done) {
  absl::Status status = CheckPrefix(prefix);
  if (status.ok() && !after.empty()) status = CheckPrefix(after);
  if (!status.ok()) {
    Refuse(lane, status,
           [done](const absl::StatusOr<HttpAnswer>& answer) { done(answer.status()); });
    return;
  }
  SendList(
      std::make_shared<ListCall>(ListCall{
          lane, key_prefix_ + prefix, after.empty() ? "" : key_prefix_ + after, std::move(done)}),
      "");
}

void S3Store::SendList(const std::shared_ptr<ListCall>& call, const std::string& token) {
  auto request =
      std::make_shared<S3Request>(S3Request{.method = "GET",
                                            .query = {{"list-type", "2"},
                                                      {"encoding-type", "url"},
                                                      {"max-keys", absl::StrCat(kListKeysMax)},
                                                      {"prefix", call->prefix}},
                                            .answer_bytes_max = kXmlBytesMax});
  if (!call->after.empty()) request->query.emplace_back("start-after", call->after);
  if (!token.empty()) request->query.emplace_back("continuation-token", token);
  const Lane lane = call->lane;
  Send(lane, request,
       [this, call](absl::StatusOr<HttpAnswer> answer) { ListAnswered(call, std::move(answer)); });
}

void S3Store::ListAnswered(const std::shared_ptr<ListCall>& call,
                           absl::StatusOr<HttpAnswer> answer) {
  if (!answer.ok()) return call->done(answer.status());
  const std::string what = absl::StrCat("list ", call->prefix);
  if (answer->status != 200) {
    return call->done(StatusOfAnswer(*answer, what));
  }
  const absl::StatusOr<ListPage> page = ParseListPage(answer->body);
  if (!page.ok()) {
    return call->done(absl::DataLossError(absl::StrCat(what, ": ", page.status().message())));
  }
  if (page->objects.empty() && page->truncated) {
    // A caller can't go on from a page without names.
    if (++call->pages < kListPagesMax) return SendList(call, page->next_token);
    return call->done(absl::UnavailableError(
        absl::StrCat(what, ": ", kListPagesMax, " empty pages in a row, yet more to come")));
  }
  call->done(ToResult(*call, *page));
}

absl::StatusOr<ListResult> S3Store::ToResult(const ListCall& call, const ListPage& page) const {
  ListResult result;
  result.more = page.truncated;
  absl::string_view last = call.after;
  for (const ListedObject& object : page.objects) {
    if (!absl::StartsWith(object.key, call.prefix)) {
      return absl::DataLossError(
          absl::StrCat("list ", call.prefix, ": the store answers with names outside of it"));
    }
    if (object.key <= last) {
      return absl::DataLossError(absl::StrCat(
          "list ", call.prefix,
          ": names out of order; the store ignores start-after or does not sort (needed)"));
    }
    last = object.key;
    result.entries.push_back({object.key.substr(key_prefix_.size()), object.bytes});
  }
  return result;
}

void S3Store::Delete(Lane lane, const std::string& name, DeleteDone done) {
  if (absl::Status status = CheckName(name); !status.ok()) {
    Refuse(lane, status,
           [done](const absl::StatusOr<HttpAnswer>& answer) { done(answer.status()); });
    return;
  }
  auto request =
      std::make_shared<S3Request>(S3Request{.method = "DELETE", .key = key_prefix_ + name});
  request->answer_bytes_max = kXmlBytesMax;
  const std::string what = request->What();
  Send(lane, request, [what, done](const absl::StatusOr<HttpAnswer>& answer) {
    if (!answer.ok()) return done(answer.status());
    if (answer->status / 100 == 2) return done(absl::OkStatus());
    const absl::Status status = StatusOfAnswer(*answer, what);
    done(absl::IsNotFound(status) ? absl::OkStatus() : status);
  });
}

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> OpenS3Store(const S3Options& options,
                                                   std::unique_ptr<CredentialSource> credentials) {
  ASSIGN_OR_RETURN(S3Endpoint endpoint, ResolveEndpoint(options));
  if (options.reads_in_flight < 1 || options.uploads_in_flight < 1 ||
      options.collects_in_flight < 1) {
    return absl::InvalidArgumentError("every lane needs at least one request in flight");
  }
  // Read now: the process may become a user who can't.
  std::string ca_pem;
  if (!options.ca_file.empty()) {
    std::ifstream in(options.ca_file, std::ios::binary);
    ca_pem.assign(std::istreambuf_iterator<char>(in), {});
    if (!in || ca_pem.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("ca_file ", options.ca_file, " can't be read, or is empty"));
    }
  }
  RETURN_IF_ERROR(credentials->Get().status());
  return std::make_unique<S3Store>(options, std::move(endpoint), ca_pem, std::move(credentials));
}

}  // namespace diskd::object
