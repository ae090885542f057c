// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/store/s3_answer.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "drivers/object/store/s3_xml.h"

namespace diskd::object {
namespace {

constexpr size_t kMessageBytesMax = 300;
constexpr size_t kEtagBytesMax = 256;

absl::string_view HeaderOf(const HttpAnswer& answer, const std::string& name) {
  const auto it = answer.headers.find(name);
  return it == answer.headers.end() ? absl::string_view() : absl::string_view(it->second);
}

// Printable, and not a page of HTML.
std::string Shown(absl::string_view text) {
  std::string out(text.substr(0, kMessageBytesMax));
  std::replace_if(
      out.begin(), out.end(), [](unsigned char c) { return !absl::ascii_isprint(c); }, '?');
  return out;
}

absl::StatusCode CodeOf400(absl::string_view code) {
  if (code == "BadDigest" || code == "XAmzContentSHA256Mismatch" || code == "IncompleteBody" ||
      code == "InvalidDigest") {
    return absl::StatusCode::kDataLoss;
  }
  if (code == "ExpiredToken" || code == "InvalidToken" || code == "TokenRefreshRequired" ||
      absl::StartsWith(code, "KMS.")) {
    return absl::StatusCode::kPermissionDenied;
  }
  // Quotas of Minio and of OpenStack Swift; our objects are far below any store's limit.
  if (code == "XMinioAdminBucketQuotaExceeded" || code == "QuotaExceeded" ||
      code == "EntityTooLarge") {
    return absl::StatusCode::kResourceExhausted;
  }
  if (code.empty() || code == "RequestTimeout" || code == "SlowDown") {
    return absl::StatusCode::kUnavailable;
  }
  return absl::StatusCode::kInvalidArgument;
}

absl::StatusCode CodeOf404(absl::string_view code) {
  // NoSuchBucket, or a proxy's page: nothing that says anything about the object.
  return code == "NoSuchKey" ? absl::StatusCode::kNotFound : absl::StatusCode::kUnavailable;
}

absl::StatusCode CodeOf(int status, absl::string_view code) {
  switch (status) {
    case 400:
      return CodeOf400(code);
    case 401:
      return absl::StatusCode::kPermissionDenied;
    case 403:
      return code == "QuotaExceeded" ? absl::StatusCode::kResourceExhausted
                                     : absl::StatusCode::kPermissionDenied;
    case 404:
      return CodeOf404(code);
    case 408:
    case 429:
      return absl::StatusCode::kUnavailable;
    case 409:
      return absl::StatusCode::kAborted;
    case 412:
      return absl::StatusCode::kFailedPrecondition;
    case 501:
      return absl::StatusCode::kUnimplemented;
    case 507:
      return absl::StatusCode::kResourceExhausted;
    default:
      break;
  }
  // Without S3's code it is the answer of a proxy or a load balancer, which says nothing about the
  // request. 307 is what AWS answers until DNS knows where a bucket is.
  if (status >= 500 || code.empty()) return absl::StatusCode::kUnavailable;
  if (status / 100 == 3 && code != "PermanentRedirect") return absl::StatusCode::kUnavailable;
  return absl::StatusCode::kInvalidArgument;
}

std::string Advice(int status, absl::string_view code, const HttpAnswer& answer) {
  if (status / 100 == 3 || code == "AuthorizationHeaderMalformed") {
    const absl::string_view region = HeaderOf(answer, "x-amz-bucket-region");
    if (!region.empty()) return absl::StrCat("; the bucket is in region ", Shown(region));
    const std::string to = Shown(HeaderOf(answer, "location"));
    return absl::StrCat("; ", to.empty() ? "" : absl::StrCat("it sends us to ", to, ": "),
                        "is the region or the endpoint right?");
  }
  const bool asks_to_wait = status == 408 || status == 429 || status >= 500;
  if (code.empty() && !asks_to_wait && CodeOf(status, code) == absl::StatusCode::kUnavailable) {
    return "; this is no answer of S3: is the endpoint right, or a proxy in between?";
  }
  if (code == "SignatureDoesNotMatch") return "; is the secret key right?";
  if (code == "RequestTimeTooSkewed") return "; set this machine's clock";
  if (code == "NoSuchBucket") return "; create the bucket first";
  return "";
}

}  // namespace

absl::Status StatusOfAnswer(const HttpAnswer& answer, absl::string_view what) {
  const S3Error error = ParseS3Error(answer.body);
  std::string message = absl::StrCat(what, ": HTTP ", answer.status);
  if (!error.code.empty()) absl::StrAppend(&message, " ", Shown(error.code));
  if (!error.message.empty()) absl::StrAppend(&message, " (", Shown(error.message), ")");
  absl::StrAppend(&message, Advice(answer.status, error.code, answer));
  absl::Status status(CodeOf(answer.status, error.code), message);
  int64_t seconds = 0;
  if (absl::SimpleAtoi(HeaderOf(answer, "retry-after"), &seconds) && seconds > 0) {
    const absl::Duration wait = std::min(absl::Seconds(seconds), kRetryAfterMax);
    status.SetPayload(kRetryAfterPayload,
                      absl::Cord(absl::StrCat(absl::ToInt64Milliseconds(wait))));
  }
  return status;
}

absl::StatusOr<std::string> EtagOf(const HttpAnswer& answer, absl::string_view what) {
  absl::string_view etag = HeaderOf(answer, "etag");
  if (absl::ConsumePrefix(&etag, "\"")) absl::ConsumeSuffix(&etag, "\"");
  if (etag.empty() || etag.size() > kEtagBytesMax) {
    return absl::DataLossError(absl::StrCat(what, ": answer without a usable ETag"));
  }
  return std::string(etag);
}

absl::StatusOr<HeadResult> SizeAndEtagOf(const HttpAnswer& answer, absl::string_view what) {
  HeadResult result;
  ASSIGN_OR_RETURN(result.etag, EtagOf(answer, what));
  if (!absl::SimpleAtoi(HeaderOf(answer, "content-length"), &result.object_bytes)) {
    return absl::DataLossError(absl::StrCat(what, ": answer without Content-Length"));
  }
  return result;
}

absl::StatusOr<GetResult> ReadAnswer(HttpAnswer answer, const std::optional<ByteRange>& range,
                                     absl::string_view what) {
  if (answer.status != 200 && answer.status != 206) {
    return StatusOfAnswer(answer, what);
  }
  GetResult result;
  ASSIGN_OR_RETURN(result.etag, EtagOf(answer, what));
  // Without either, a connection that breaks looks like the end of the object.
  if (HeaderOf(answer, "content-length").empty() &&
      HeaderOf(answer, "transfer-encoding") != "chunked") {
    return absl::DataLossError(absl::StrCat(what, ": answer of unknown length"));
  }
  result.body = std::move(answer.body);
  if (answer.status == 200) {  // the whole object, although a range may have been asked for
    result.object_bytes = result.body.size();
    if (range.has_value()) {
      const size_t begin = std::min<uint64_t>(range->offset, result.body.size());
      result.body = result.body.substr(begin, range->length);
    }
    return result;
  }
  const auto sent = ParseContentRange(HeaderOf(answer, "content-range"));
  if (!range.has_value() || !sent.has_value() || sent->first != range->offset ||
      sent->last != std::min(range->offset + range->length, sent->total) - 1 ||
      result.body.size() != sent->last - sent->first + 1) {
    return absl::DataLossError(absl::StrCat(what, ": the store sent another range (\"",
                                            Shown(HeaderOf(answer, "content-range")), "\", ",
                                            result.body.size(), " bytes)"));
  }
  result.object_bytes = sent->total;
  return result;
}

std::optional<ContentRange> ParseContentRange(absl::string_view value) {
  ContentRange range;
  if (!absl::ConsumePrefix(&value, "bytes ")) return std::nullopt;
  const size_t dash = value.find('-');
  const size_t slash = value.find('/');
  if (dash == absl::string_view::npos || slash == absl::string_view::npos || slash < dash) {
    return std::nullopt;
  }
  if (!absl::SimpleAtoi(value.substr(0, dash), &range.first) ||
      !absl::SimpleAtoi(value.substr(dash + 1, slash - dash - 1), &range.last) ||
      !absl::SimpleAtoi(value.substr(slash + 1), &range.total) || range.first > range.last ||
      range.last >= range.total) {
    return std::nullopt;
  }
  return range;
}

std::optional<absl::Duration> ClockSkew(const HttpAnswer& answer, absl::Time now) {
  if (answer.status != 403 || ParseS3Error(answer.body).code != "RequestTimeTooSkewed") {
    return std::nullopt;
  }
  absl::Time server;
  if (!absl::ParseTime("%a, %d %b %Y %H:%M:%S GMT", HeaderOf(answer, "date"), &server, nullptr)) {
    return std::nullopt;
  }
  return server - now;
}

}  // namespace diskd::object
