// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/store/s3_client.h"

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "drivers/object/store/s3_answer.h"

namespace diskd::object {
namespace {

constexpr char kUnsignedPayload[] = "UNSIGNED-PAYLOAD";
constexpr char kEmptySha256[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

// TLS has its own checksums; without it the server must be able to see a damaged body.
std::string PayloadSha256(const std::string* body, bool tls) {
  if (body == nullptr) return kEmptySha256;
  return tls ? kUnsignedPayload : Sha256Hex({*body});
}

}  // namespace

S3Client::S3Client(const S3Options& options, S3Endpoint endpoint, const std::string& ca_pem,
                   std::unique_ptr<CredentialSource> credentials)
    : endpoint_(std::move(endpoint)),
      signer_(options.region),
      credentials_(std::move(credentials)) {
  const auto lane = [&options, &ca_pem](std::string name, int in_flight, int slow_max = 0) {
    return std::make_unique<HttpClient>(
        HttpClientOptions{.name = std::move(name),
                          .in_flight_max = in_flight,
                          .slow_max = slow_max,
                          .patience = options.patience,
                          .connect_timeout = options.connect_timeout,
                          .idle_timeout = options.idle_timeout,
                          .attempt_timeout = options.attempt_timeout,
                          .ca_pem = ca_pem,
                          .resolve = options.resolve,
                          .gate = options.gate});
  };
  lanes_ = {lane("read", options.reads_in_flight, kSlowReadsMax),
            lane("upload", options.uploads_in_flight), lane("collect", options.collects_in_flight),
            lane("lease", kLeasesInFlight)};
}

absl::StatusOr<HttpRequest> S3Client::Sign(const S3Request& request, Credentials* used) {
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
  to_sign.payload_sha256 = PayloadSha256(request.body.get(), endpoint_.tls);
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
  const std::string authorization = signer_.Authorization(to_sign, *used, now);
  out.headers = std::move(to_sign.headers);
  out.headers.emplace_back("authorization", authorization);
  return out;
}

bool S3Client::Renew(const HttpAnswer& answer, const Credentials& used) {
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

void S3Client::Send(Lane lane, const std::shared_ptr<const S3Request>& request, AnswerDone done,
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

}  // namespace diskd::object
