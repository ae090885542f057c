// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/store/testing/s3_signature.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace diskd::object {
namespace {

constexpr absl::Duration kSkewMax = absl::Minutes(15);

std::string Digest(const std::string& data) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> out;
  SHA256(reinterpret_cast<const unsigned char*>(data.data()), data.size(), out.data());
  return std::string(out.begin(), out.end());
}

std::string Keyed(const std::string& key, const std::string& data) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> out;
  unsigned int size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(data.data()), data.size(), out.data(), &size);
  return std::string(out.begin(), out.begin() + size);
}

std::string Hex(const std::string& bytes) {
  std::string out;
  for (const unsigned char c : bytes) absl::StrAppend(&out, absl::Hex(c, absl::kZeroPad2));
  return out;
}

// Only what RFC 3986 leaves alone may stand bare, and nothing else may be escaped.
bool IsCanonicalText(absl::string_view text, absl::string_view also) {
  const auto bare = [also](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           absl::StrContains("-_.~", c) || absl::StrContains(also, c);
  };
  for (size_t i = 0; i < text.size(); ++i) {
    if (bare(text[i])) continue;
    if (text[i] != '%' || text.size() - i < 3) return false;
    const std::string digits = std::string(text.substr(i + 1, 2));
    if (digits.find_first_not_of("0123456789ABCDEF") != std::string::npos) return false;
    if (bare(static_cast<char>(std::stoi(digits, nullptr, 16)))) return false;
    i += 2;
  }
  return true;
}

bool IsCanonicalQuery(const std::string& query) {
  if (query.empty()) return true;
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const absl::string_view part : absl::StrSplit(query, '&')) {
    const std::vector<std::string> sides = absl::StrSplit(part, '=');
    if (sides.size() != 2 || !IsCanonicalText(sides[0], "") || !IsCanonicalText(sides[1], "")) {
      return false;
    }
    pairs.emplace_back(sides[0], sides[1]);
  }
  return std::is_sorted(pairs.begin(), pairs.end());
}

struct Parts {
  std::vector<std::string> scope;  // key, day, region, service, terminator
  std::vector<std::string> headers;
  std::string signature;
};

bool ParseAuthorization(absl::string_view value, Parts* parts) {
  if (!absl::ConsumePrefix(&value, "AWS4-HMAC-SHA256 ")) return false;
  for (absl::string_view field : absl::StrSplit(value, ',')) {
    field = absl::StripAsciiWhitespace(field);
    if (absl::ConsumePrefix(&field, "Credential=")) {
      parts->scope = absl::StrSplit(field, '/');
    } else if (absl::ConsumePrefix(&field, "SignedHeaders=")) {
      parts->headers = absl::StrSplit(field, ';');
    } else if (absl::ConsumePrefix(&field, "Signature=")) {
      parts->signature = std::string(field);
    } else {
      return false;
    }
  }
  return parts->scope.size() == 5 && parts->signature.size() == 64;
}

const std::string& HeaderOf(const ServerRequest& request, const std::string& name) {
  static const std::string kNone;
  const auto it = request.headers.find(name);
  return it == request.headers.end() ? kNone : it->second;
}

// What must be covered: what a proxy could otherwise change to our harm.
bool MustBeSigned(const std::string& name) {
  return name == "host" || name == "range" || name == "if-match" || name == "if-none-match" ||
         absl::StartsWith(name, "x-amz-");
}

std::string CheckPayload(const ServerRequest& request, std::string* why) {
  const std::string& stated = HeaderOf(request, "x-amz-content-sha256");
  if (stated == "UNSIGNED-PAYLOAD") {
    if (request.tls) return "";
    *why = "unsigned payload without TLS";
    return "AccessDenied";
  }
  if (stated == Hex(Digest(request.body))) return "";
  *why = "x-amz-content-sha256 is not the body's";
  return "XAmzContentSHA256Mismatch";
}

}  // namespace

std::string CheckSignature(const ServerRequest& request, const Credentials& expected,
                           const std::string& region, absl::Time now, std::string* why) {
  const auto fail = [why](const std::string& code, const std::string& reason) {
    *why = reason;
    return code;
  };
  Parts parts;
  if (!ParseAuthorization(HeaderOf(request, "authorization"), &parts)) {
    return fail("AccessDenied", "no or malformed Authorization");
  }
  if (parts.scope[0] != expected.access_key) return fail("InvalidAccessKeyId", "unknown key");
  if (HeaderOf(request, "x-amz-security-token") != expected.session_token) {
    return fail("InvalidToken", "session token");
  }
  const std::string& date = HeaderOf(request, "x-amz-date");
  std::tm fields = {};
  const char* end = strptime(date.c_str(), "%Y%m%dT%H%M%SZ", &fields);
  if (end == nullptr || *end != '\0' || date.size() != 16) {
    return fail("AccessDenied", "malformed x-amz-date");
  }
  const absl::Time time = absl::FromTimeT(timegm(&fields));
  if (absl::AbsDuration(time - now) > kSkewMax) return fail("RequestTimeTooSkewed", "clock");
  if (parts.scope[1] != date.substr(0, 8) || parts.scope[2] != region || parts.scope[3] != "s3" ||
      parts.scope[4] != "aws4_request") {
    return fail("AuthorizationHeaderMalformed", "scope");
  }
  if (!IsCanonicalText(request.path, "/") || !IsCanonicalQuery(request.query)) {
    return fail("SignatureDoesNotMatch", "path or query not canonical: " + request.path);
  }
  if (!std::is_sorted(parts.headers.begin(), parts.headers.end())) {
    return fail("SignatureDoesNotMatch", "signed headers not sorted");
  }
  std::string canonical = request.method + "\n" + request.path + "\n" + request.query + "\n";
  for (const std::string& name : parts.headers) {
    if (request.headers.count(name) == 0) return fail("SignatureDoesNotMatch", "no " + name);
    canonical += name + ":" + HeaderOf(request, name) + "\n";
  }
  for (const auto& [name, value] : request.headers) {
    if (MustBeSigned(name) &&
        std::find(parts.headers.begin(), parts.headers.end(), name) == parts.headers.end()) {
      return fail("SignatureDoesNotMatch", name + " is not signed");
    }
  }
  canonical +=
      "\n" + absl::StrJoin(parts.headers, ";") + "\n" + HeaderOf(request, "x-amz-content-sha256");
  std::string key = "AWS4" + expected.secret_key;
  for (size_t i = 1; i < parts.scope.size(); ++i) key = Keyed(key, parts.scope[i]);
  const std::string to_sign = "AWS4-HMAC-SHA256\n" + date + "\n" +
                              absl::StrJoin(parts.scope.begin() + 1, parts.scope.end(), "/") +
                              "\n" + Hex(Digest(canonical));
  if (Hex(Keyed(key, to_sign)) != parts.signature) {
    return fail("SignatureDoesNotMatch", "signature");
  }
  return CheckPayload(request, why);
}

}  // namespace diskd::object
