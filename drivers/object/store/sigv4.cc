// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/store/sigv4.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "drivers/object/store/encoding.h"

namespace diskd::object {
namespace {

std::string Hmac(absl::string_view key, absl::string_view data) {
  unsigned char out[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(data.data()), data.size(), out, &size);
  return std::string(reinterpret_cast<const char*>(out), size);
}

}  // namespace

std::string AmzDate(absl::Time time) {
  return absl::FormatTime("%Y%m%dT%H%M%SZ", time, absl::UTCTimeZone());
}

std::string Signer::Authorization(const RequestToSign& request, const Credentials& credentials,
                                  absl::Time time) {
  auto headers = request.headers;
  std::sort(headers.begin(), headers.end());
  std::string canonical_headers;
  std::string names;
  for (const auto& [name, value] : headers) {
    absl::StrAppend(&canonical_headers, name, ":", absl::StripAsciiWhitespace(value), "\n");
    absl::StrAppend(&names, names.empty() ? "" : ";", name);
  }
  const std::string canonical =
      absl::StrCat(request.method, "\n", request.path, "\n", request.query, "\n", canonical_headers,
                   "\n", names, "\n", request.payload_sha256);

  const std::string date = AmzDate(time);
  const std::string day = date.substr(0, 8);
  const std::string scope = absl::StrCat(day, "/", region_, "/s3/aws4_request");
  const std::string to_sign =
      absl::StrCat("AWS4-HMAC-SHA256\n", date, "\n", scope, "\n", Sha256Hex({canonical}));
  const std::string key = KeyOf(credentials.secret_key, day);
  return absl::StrCat("AWS4-HMAC-SHA256 Credential=", credentials.access_key, "/", scope,
                      ",SignedHeaders=", names, ",Signature=", HexEncode(Hmac(key, to_sign)));
}

std::string Signer::KeyOf(absl::string_view secret_key, absl::string_view day) {
  const absl::MutexLock lock(&mutex_);
  if (day_ != day || secret_key_ != secret_key) {
    key_ = absl::StrCat("AWS4", secret_key);
    for (const absl::string_view step : {day, absl::string_view(region_), absl::string_view("s3"),
                                         absl::string_view("aws4_request")}) {
      key_ = Hmac(key_, step);
    }
    secret_key_ = std::string(secret_key);
    day_ = std::string(day);
  }
  return key_;
}

}  // namespace diskd::object
