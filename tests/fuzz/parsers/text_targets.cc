// SPDX-License-Identifier: Apache-2.0
#include "agent/supervisor/driver_users.h"
#include "agent/volume/names.h"
#include "agent/volume/page_token.h"
#include "client/lib/size.h"
#include "drivers/object/store/testing/s3_signature.h"
#include "tests/fuzz/parsers/target.h"

namespace diskd::fuzz {
namespace {

constexpr char kUserMap[] = "0 0 4294967295\n";

bool Size(absl::string_view bytes) {
  const absl::StatusOr<uint64_t> size = client::ParseSize(bytes);
  if (!size.ok()) return false;
  Require(*size > 0 && *size % 512 == 0, "a size is of whole sectors");
  (void)client::FormatSize(*size);
  return true;
}

bool Name(absl::string_view bytes) {
  if (!agent::CheckName(bytes).ok()) return false;
  Require(bytes.size() <= agent::kMaxNameBytes && bytes.find('/') == absl::string_view::npos &&
              bytes != "." && bytes != "..",
          "a name is one component of a path");
  return true;
}

bool Token(absl::string_view bytes) {
  const absl::StatusOr<std::string> id = agent::ParsePageToken(std::string(bytes));
  if (!id.ok() || id->empty()) return false;
  Require(agent::IsVolumeId(*id), "a token names a volume");
  Require(*agent::ParsePageToken(agent::MakePageToken(*id)) == *id, "a token can be made again");
  return true;
}

bool Users(absl::string_view bytes) {
  const size_t line = bytes.find('\n');
  const absl::string_view map = line == absl::string_view::npos ? kUserMap : bytes.substr(line + 1);
  const absl::StatusOr<agent::DriverUsers> users =
      agent::DriverUsers::Parse(bytes.substr(0, line), map);
  if (users.ok()) (void)users->Of("vol-0000000000000001");
  return users.ok();
}

bool Request(absl::string_view bytes) {
  size_t body = 0;
  const auto request = object::ParseRequestHead(std::string(bytes), &body);
  if (!request.has_value()) return false;
  std::string why;
  const std::string refusal = object::CheckSignature(
      *request, {"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", ""}, "us-east-1",
      absl::FromUnixSeconds(1369353600), &why);
  Require(!refusal.empty(), "no signature without the key");
  return true;
}

std::vector<std::string> RequestSeeds() {
  return {
      "GET /bucket/?list-type=2&prefix=a%2Fb HTTP/1.1\r\nHost: 127.0.0.1:9000\r\n"
      "x-amz-date: 20130524T000000Z\r\nx-amz-content-sha256: UNSIGNED-PAYLOAD\r\n"
      "Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20130524/us-east-1/s3/aws4_request, "
      "SignedHeaders=host;x-amz-content-sha256;x-amz-date, "
      "Signature=0123456789012345678901234567890123456789012345678901234567890123\r\n\r\n",
      "PUT /bucket/key HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nIf-None-Match: *\r\n\r\n"};
}

}  // namespace

std::vector<Target> TextTargets() {
  return {
      {"size", Size,
       [] {
         return std::vector<std::string>{"10GiB", "512 MiB", "1.5TiB", "10G", "1048576B"};
       }},
      {"volume_name", Name,
       [] {
         return std::vector<std::string>{"data-1", "a.b_c"};
       }},
      {"page_token", Token,
       [] { return std::vector<std::string>{agent::MakePageToken("vol-0123456789abcdef")}; }},
      {"driver_users", Users,
       [] {
         return std::vector<std::string>{"1900000000:65536", "root", "1:1\n0 0 10\n"};
       }},
      {"s3_request", Request, RequestSeeds},
  };
}

}  // namespace diskd::fuzz
