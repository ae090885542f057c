// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/store/s3_endpoint.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "drivers/object/store/object_name.h"

namespace diskd::object {
namespace {

constexpr size_t kBucketBytesMin = 3;
constexpr size_t kBucketBytesMax = 63;
constexpr size_t kHostBytesMax = 253;
constexpr size_t kRegionBytesMax = 64;

bool All(absl::string_view text, absl::string_view extra) {
  return std::all_of(text.begin(), text.end(), [extra](unsigned char c) {
    return absl::ascii_isalnum(c) || absl::StrContains(extra, static_cast<char>(c));
  });
}

absl::Status CheckBucket(absl::string_view bucket) {
  if (bucket.size() < kBucketBytesMin || bucket.size() > kBucketBytesMax || !All(bucket, "-._") ||
      !absl::ascii_isalnum(static_cast<unsigned char>(bucket.front()))) {
    return absl::InvalidArgumentError(absl::StrCat(
        "bucket \"", bucket, "\": 3 to 63 letters of [a-zA-Z0-9._-], the first a letter or digit"));
  }
  return absl::OkStatus();
}

// "host", "host:port", "[v6]:port"; sets the parts.
bool SplitAuthority(absl::string_view authority, std::string* host, int* port) {
  absl::string_view digits;
  if (absl::StartsWith(authority, "[")) {
    const size_t end = authority.find(']');
    if (end == absl::string_view::npos || !All(authority.substr(1, end - 1), ":.")) return false;
    *host = std::string(authority.substr(0, end + 1));
    digits = authority.substr(end + 1);
  } else {
    const size_t colon = std::min(authority.find(':'), authority.size());
    *host = std::string(authority.substr(0, colon));
    if (host->empty() || host->size() > kHostBytesMax || !All(*host, "-._")) return false;
    digits = authority.substr(colon);
  }
  if (digits.empty()) return true;
  return absl::ConsumePrefix(&digits, ":") && digits.size() <= 5 && All(digits, "") &&
         absl::SimpleAtoi(digits, port) && *port > 0 && *port < 65536;
}

}  // namespace

absl::StatusOr<S3Endpoint> ResolveEndpoint(const S3Options& options) {
  RETURN_IF_ERROR(CheckBucket(options.bucket));
  if (!options.prefix.empty()) RETURN_IF_ERROR(CheckName(options.prefix));
  if (options.region.empty() || options.region.size() > kRegionBytesMax ||
      !All(options.region, "-_")) {
    return absl::InvalidArgumentError(
        absl::StrCat("region \"", options.region, "\": letters of [a-zA-Z0-9_-] only"));
  }
  const std::string given = options.endpoint.empty()
                                ? absl::StrCat("https://s3.", options.region, ".amazonaws.com")
                                : options.endpoint;
  absl::string_view rest = given;
  S3Endpoint endpoint;
  endpoint.tls = !absl::StartsWithIgnoreCase(rest, "http://");
  const size_t scheme = absl::string_view(endpoint.tls ? "https://" : "http://").size();
  std::string host;
  const int default_port = endpoint.tls ? 443 : 80;
  int port = default_port;
  if (endpoint.tls && !absl::StartsWithIgnoreCase(rest, "https://")) rest = "";
  if (rest.size() > scheme) rest.remove_prefix(scheme);
  absl::ConsumeSuffix(&rest, "/");
  if (!SplitAuthority(rest, &host, &port)) {
    // Not shown: it may hold a password.
    return absl::InvalidArgumentError(
        "endpoint: want http://HOST[:PORT] or https://HOST[:PORT], without user, path or query");
  }
  absl::AsciiStrToLower(&host);
  const bool virtual_host =
      options.addressing == S3Options::Addressing::kVirtualHost ||
      (options.addressing == S3Options::Addressing::kAuto && options.endpoint.empty());
  if (virtual_host && endpoint.tls && absl::StrContains(options.bucket, ".")) {
    return absl::InvalidArgumentError(absl::StrCat(
        "bucket \"", options.bucket,
        "\": a dot does not work with virtual-host addressing over TLS; use addressing=path"));
  }
  endpoint.host = virtual_host ? absl::StrCat(options.bucket, ".", host) : host;
  if (port != default_port) absl::StrAppend(&endpoint.host, ":", port);
  if (!virtual_host) endpoint.base_path = absl::StrCat("/", options.bucket);
  return endpoint;
}

}  // namespace diskd::object
