// SPDX-License-Identifier: Apache-2.0
#include "agent/volume/page_token.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "agent/volume/names.h"

namespace diskd::agent {
namespace {

constexpr char kVersion[] = "1/";

}  // namespace

std::string MakePageToken(const std::string& last_id) {
  return absl::WebSafeBase64Escape(absl::StrCat(kVersion, last_id));
}

absl::StatusOr<std::string> ParsePageToken(const std::string& token) {
  if (token.empty()) return token;
  std::string plain;
  if (absl::WebSafeBase64Unescape(token, &plain)) {
    absl::string_view id = plain;
    if (absl::ConsumePrefix(&id, kVersion) && IsVolumeId(id)) return std::string(id);
  }
  return absl::InvalidArgumentError(
      "page token is not one this agent gave: begin again without a token");
}

}  // namespace diskd::agent
