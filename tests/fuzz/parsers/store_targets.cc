// SPDX-License-Identifier: Apache-2.0
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "drivers/object/store/credentials.h"
#include "drivers/object/store/encoding.h"
#include "drivers/object/store/object_name.h"
#include "drivers/object/store/s3_answer.h"
#include "drivers/object/store/s3_endpoint.h"
#include "drivers/object/store/s3_xml.h"
#include "tests/fuzz/parsers/target.h"

namespace diskd::fuzz {
namespace {

using namespace ::diskd::object;  // NOLINT(build/namespaces): all of this is about it

bool List(absl::string_view bytes) {
  const absl::StatusOr<ListPage> page = ParseListPage(bytes);
  if (!page.ok()) return false;
  Require(page->objects.size() <= size_t{kListKeysMax}, "a page is bounded");
  Require(!page->truncated || !page->next_token.empty(), "a cut list can be gone on with");
  return true;
}

bool Error(absl::string_view bytes) { return !ParseS3Error(bytes).code.empty(); }

// "STATUS\nname: value\n...\n\nbody", as the HTTP library gives it to us.
bool Answer(absl::string_view bytes) {
  HttpAnswer answer;
  const size_t end = bytes.find("\n\n");
  const absl::string_view head = bytes.substr(0, end);
  if (end != absl::string_view::npos) answer.body = std::string(bytes.substr(end + 2));
  bool first = true;
  for (const absl::string_view line : absl::StrSplit(head, '\n')) {
    const std::pair<std::string, std::string> field =
        absl::StrSplit(line, absl::MaxSplits(": ", 1));
    if (first) {
      for (const char c : line.substr(0, 3)) answer.status = answer.status * 10 + (c & 15) % 10;
    } else {
      answer.headers[absl::AsciiStrToLower(field.first)] = field.second;
    }
    first = false;
  }
  const absl::Status status = StatusOfAnswer(answer, "x");
  Require(!absl::IsNotFound(status) || answer.status == 404, "nothing but a 404 means absence");
  (void)EtagOf(answer, "x");
  (void)ClockSkew(answer, absl::FromUnixSeconds(1700000000));
  const absl::StatusOr<HeadResult> size = SizeAndEtagOf(answer, "x");
  Require(!size.ok() || !size->etag.empty(), "an entity tag is not empty");
  bool taken = false;
  for (const auto& range : {std::optional<ByteRange>(), std::optional<ByteRange>({4, 8}),
                            std::optional<ByteRange>({1 << 20, 1})}) {
    const absl::StatusOr<GetResult> got = ReadAnswer(answer, range, "x");
    taken |= got.ok();
    if (!got.ok() || !range.has_value()) continue;
    Require(got->body.size() <= range->length, "no more than was asked for");
    const uint64_t want =
        range->offset >= got->object_bytes
            ? 0
            : std::min<uint64_t>(range->length, got->object_bytes - range->offset);
    Require(got->body.size() == want, "all that was asked for");
  }
  return taken;
}

bool Range(absl::string_view bytes) {
  const auto range = ParseContentRange(bytes);
  if (!range.has_value()) return false;
  Require(range->first <= range->last && range->last < range->total, "a range is in its object");
  return true;
}

bool Names(absl::string_view bytes) {
  if (CheckName(bytes).ok()) {
    Require(bytes.size() <= kMaxNameBytes && !bytes.empty(), "names are bounded");
    Require(!absl::StrContains(absl::StrCat("/", bytes, "/"), "/../"), "a name stays in its store");
    Require(CheckPrefix(bytes).ok(), "a name is a beginning of one");
  }
  return CheckPrefix(bytes).ok();
}

bool Percent(absl::string_view bytes) {
  const auto plain = PercentDecode(bytes);
  if (plain.has_value()) {
    Require(PercentDecode(PercentEncode(*plain, true)) == plain, "encoding can be undone");
  }
  Require(PercentDecode(PercentEncode(bytes, false)) == std::string(bytes),
          "encoding can be undone");
  return plain.has_value();
}

bool Keys(absl::string_view bytes) {
  const absl::StatusOr<Credentials> keys = ParseCredentials(bytes, "default", "a file");
  Require(!keys.ok() || (!keys->access_key.empty() && !keys->secret_key.empty()),
          "keys are not empty");
  return keys.ok();
}

bool Endpoint(absl::string_view bytes) {
  S3Options options;
  const std::pair<std::string, std::string> parts = absl::StrSplit(bytes, absl::MaxSplits('\n', 1));
  options.endpoint = parts.first;
  options.bucket = parts.second;
  const absl::StatusOr<S3Endpoint> endpoint = ResolveEndpoint(options);
  if (!endpoint.ok()) return false;
  Require(endpoint->host.find_first_of("\r\n /") == std::string::npos, "a host is no header");
  Require(endpoint->base_path.find_first_of("\r\n ") == std::string::npos, "a path is no header");
  return true;
}

std::vector<std::string> ListSeeds() {
  const std::string object =
      "<Contents><Key>a%2Fb</Key><LastModified>2026-11-21T10:00:00.000Z</LastModified>"
      "<ETag>&quot;0123&quot;</ETag><Size>17</Size></Contents>";
  const std::string begin =
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult "
      "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name>"
      "<EncodingType>url</EncodingType>";
  return {absl::StrCat(begin, "<IsTruncated>false</IsTruncated>", object, object,
                       "</ListBucketResult>"),
          absl::StrCat(begin,
                       "<IsTruncated>true</IsTruncated><NextContinuationToken>t</"
                       "NextContinuationToken>",
                       object, "</ListBucketResult>")};
}

}  // namespace

std::vector<Target> StoreTargets() {
  return {
      {"s3_list", List, ListSeeds},
      {"s3_error", Error,
       [] {
         return std::vector<std::string>{
             "<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code><Message>gone</Message>"
             "<RequestId>1</RequestId></Error>"};
       }},
      {"s3_answer", Answer,
       [] {
         return std::vector<std::string>{
             "206\netag: \"ab\"\ncontent-range: bytes 4-11/12\ncontent-length: 8\n\nabcdefgh",
             "200\netag: \"ab\"\ncontent-length: 12\n\nabcdefghijkl",
             "416\ncontent-range: bytes */12\n\n<Error><Code>InvalidRange</Code></Error>",
             "404\n\n<Error><Code>NoSuchKey</Code></Error>",
             "503\nretry-after: 3\n\n<Error><Code>SlowDown</Code></Error>",
             "403\ndate: Sat, 21 Nov 2026 10:00:00 GMT\n\n"
             "<Error><Code>RequestTimeTooSkewed</Code></Error>"};
       }},
      {"content_range", Range,
       [] {
         return std::vector<std::string>{"bytes 0-9/443", "bytes */443"};
       }},
      {"store_name", Names, [] { return std::vector<std::string>{"ab/c-d_e.f/00000001"}; }},
      {"percent", Percent,
       [] {
         return std::vector<std::string>{"a%2Fb+c", "%zz", "%"};
       }},
      {"credentials", Keys,
       [] {
         return std::vector<std::string>{
             "# keys\n[default]\naws_access_key_id = A\naws_secret_access_key=S\n"
             "aws_session_token = T\n[other]\naws_access_key_id = B\n",
             "aws_access_key_id=A\naws_secret_access_key=S"};
       }},
      {"endpoint", Endpoint,
       [] {
         return std::vector<std::string>{"http://127.0.0.1:9000\nbucket", "\nmy.bucket",
                                         "https://[::1]:443\nbucket", "s3.example\nb-1"};
       }},
  };
}

}  // namespace diskd::fuzz
