// SPDX-License-Identifier: Apache-2.0
//
// The part of the double that behaves.
#include <openssl/evp.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "drivers/object/store/encoding.h"
#include "drivers/object/store/testing/s3_double.h"

namespace diskd::object {
namespace {

constexpr absl::Duration kRacyGap = absl::Milliseconds(20);

std::string Md5Hex(const std::string& data) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(data.data(), data.size(), digest, &size, EVP_md5(), nullptr);
  return HexEncode({reinterpret_cast<const char*>(digest), size});
}

std::optional<std::string> HeaderOf(const ServerRequest& request, const std::string& name) {
  const auto it = request.headers.find(name);
  if (it == request.headers.end()) return std::nullopt;
  return it->second;
}

// "bytes=a-b", "bytes=a-", "bytes=-n" of an object of `total` bytes; false if it can't be met.
bool ParseRange(absl::string_view value, uint64_t total, uint64_t* first, uint64_t* last) {
  if (!absl::ConsumePrefix(&value, "bytes=")) return false;
  const std::vector<absl::string_view> ends = absl::StrSplit(value, '-');
  if (ends.size() != 2 || total == 0) return false;
  uint64_t number = 0;
  if (ends[0].empty()) {
    if (!absl::SimpleAtoi(ends[1], &number) || number == 0) return false;
    *first = total - std::min(number, total);
    *last = total - 1;
    return true;
  }
  if (!absl::SimpleAtoi(ends[0], first) || *first >= total) return false;
  *last = total - 1;
  if (ends[1].empty()) return true;
  if (!absl::SimpleAtoi(ends[1], &number) || number < *first) return false;
  *last = std::min(number, total - 1);
  return true;
}

std::string XmlText(absl::string_view text) {
  return absl::StrReplaceAll(text, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}});
}

}  // namespace

ServerReply S3Double::Apply(const ServerRequest& request, const std::string& key, bool is_bucket,
                            const S3Fault* fault) {
  if (is_bucket) {
    if (request.method == "GET") return List(request, fault);
    return S3ErrorReply(405, "MethodNotAllowed");
  }
  if (request.method == "GET" || request.method == "HEAD") return Get(request, key);
  if (request.method == "PUT") return Put(request, key);
  if (request.method == "DELETE") return Delete(key);
  return S3ErrorReply(405, "MethodNotAllowed");
}

ServerReply S3Double::Get(const ServerRequest& request, const std::string& key) {
  absl::MutexLock lock(&mutex_);
  const auto it = objects_.find(key);
  if (it == objects_.end()) return S3ErrorReply(404, "NoSuchKey", key);
  const std::string& body = *it->second.body;
  ServerReply reply;
  reply.headers.emplace_back("ETag", absl::StrCat("\"", it->second.etag, "\""));
  const auto range = HeaderOf(request, "range");
  if (!range.has_value()) {
    reply.body = body;
    return reply;
  }
  uint64_t first = 0;
  uint64_t last = 0;
  if (!ParseRange(*range, body.size(), &first, &last)) {
    ServerReply refusal = S3ErrorReply(416, "InvalidRange");
    refusal.headers.emplace_back("Content-Range", absl::StrCat("bytes */", body.size()));
    return refusal;
  }
  reply.status = 206;
  reply.headers.emplace_back("Content-Range",
                             absl::StrCat("bytes ", first, "-", last, "/", body.size()));
  reply.body = body.substr(first, last - first + 1);
  return reply;
}

bool S3Double::IsRacy(const ServerRequest& request) const {
  using Condition = S3DoubleOptions::Condition;
  return (options_.if_none_match == Condition::kRacy && HeaderOf(request, "if-none-match")) ||
         (options_.if_match == Condition::kRacy && HeaderOf(request, "if-match"));
}

std::optional<ServerReply> S3Double::CheckConditions(const ServerRequest& request,
                                                     const std::string& key) {
  using Condition = S3DoubleOptions::Condition;
  const auto it = objects_.find(key);
  const auto absent = HeaderOf(request, "if-none-match");
  if (absent.has_value() && options_.if_none_match != Condition::kIgnored) {
    if (options_.if_none_match == Condition::kRefused || *absent != "*") {
      return S3ErrorReply(501, "NotImplemented", "If-None-Match");
    }
    if (it != objects_.end()) return S3ErrorReply(412, "PreconditionFailed", "If-None-Match");
  }
  const auto match = HeaderOf(request, "if-match");
  if (match.has_value() && options_.if_match != Condition::kIgnored) {
    if (options_.if_match == Condition::kRefused) {
      return S3ErrorReply(501, "NotImplemented", "If-Match");
    }
    if (it == objects_.end()) return S3ErrorReply(404, "NoSuchKey", key);
    const std::string quoted = absl::StrCat("\"", it->second.etag, "\"");
    if (!(options_.if_match_quoted && *match == quoted) &&
        !(options_.if_match_bare && *match == it->second.etag)) {
      return S3ErrorReply(412, "PreconditionFailed", "If-Match");
    }
  }
  return std::nullopt;
}

ServerReply S3Double::Put(const ServerRequest& request, const std::string& key) {
  if (IsRacy(request)) {
    {
      absl::MutexLock lock(&mutex_);
      if (auto refusal = CheckConditions(request, key)) return *refusal;
    }
    server_->Wait(kRacyGap);
    absl::MutexLock lock(&mutex_);
    objects_[key] = {std::make_shared<std::string>(request.body), Md5Hex(request.body)};
  } else {
    absl::MutexLock lock(&mutex_);
    if (auto refusal = CheckConditions(request, key)) return *refusal;
    objects_[key] = {std::make_shared<std::string>(request.body), Md5Hex(request.body)};
  }
  ServerReply reply;
  reply.headers.emplace_back("ETag", absl::StrCat("\"", Md5Hex(request.body), "\""));
  return reply;
}

ServerReply S3Double::Delete(const std::string& key) {
  absl::MutexLock lock(&mutex_);
  objects_.erase(key);
  ServerReply reply;
  reply.status = 204;
  return reply;
}

ServerReply S3Double::List(const ServerRequest& request, const S3Fault* fault) {
  std::map<std::string, std::string> query;
  for (const absl::string_view part : absl::StrSplit(request.query, '&', absl::SkipEmpty())) {
    const std::pair<absl::string_view, absl::string_view> pair =
        absl::StrSplit(part, absl::MaxSplits('=', 1));
    query[std::string(pair.first)] = PercentDecode(pair.second).value_or("");
  }
  if (query["list-type"] != "2") return S3ErrorReply(501, "NotImplemented", "list v1");
  int max_keys = options_.page_keys;
  if (query.count("max-keys") != 0 && !absl::SimpleAtoi(query["max-keys"], &max_keys)) {
    return S3ErrorReply(400, "InvalidArgument", "max-keys");
  }
  max_keys = std::min(max_keys, options_.page_keys);
  std::string after = options_.knows_start_after ? query["start-after"] : "";
  const std::string& token = query["continuation-token"];
  if (!token.empty()) after = std::max(after, token.substr(1));  // "T" + the last key

  std::map<std::string, uint64_t> keys;
  if (fault != nullptr && fault->action == S3Fault::Action::kStaleList) {
    keys = fault->list;
  } else {
    absl::MutexLock lock(&mutex_);
    for (const auto& [key, object] : objects_) keys[key] = object.body->size();
  }
  const bool omit = fault != nullptr && fault->action == S3Fault::Action::kOmitFromList;
  const bool empty_page = fault != nullptr && fault->action == S3Fault::Action::kEmptyPage;
  std::string contents;
  std::string last = after;
  int listed = 0;
  bool truncated = empty_page;
  for (auto it = keys.upper_bound(after); it != keys.end() && !empty_page; ++it) {
    if (!absl::StartsWith(it->first, query["prefix"])) continue;
    if (omit && absl::StrContains(it->first, fault->key)) continue;
    if (listed == max_keys) {
      truncated = true;
      break;
    }
    ++listed;
    last = it->first;
    const std::string shown =
        query["encoding-type"] == "url" ? PercentEncode(it->first, true) : XmlText(it->first);
    absl::StrAppend(&contents, "<Contents><Key>", shown, "</Key><ETag>&quot;x&quot;</ETag><Size>",
                    it->second, "</Size></Contents>");
  }
  ServerReply reply;
  reply.headers.emplace_back("Content-Type", "application/xml");
  reply.body = absl::StrCat(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult "
      "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>",
      options_.bucket, "</Name><Prefix>", XmlText(query["prefix"]), "</Prefix><KeyCount>", listed,
      "</KeyCount><IsTruncated>", truncated ? "true" : "false", "</IsTruncated>",
      query["encoding-type"] == "url" ? "<EncodingType>url</EncodingType>" : "", contents);
  if (truncated) {
    absl::StrAppend(&reply.body, "<NextContinuationToken>", XmlText(absl::StrCat("T", last)),
                    "</NextContinuationToken>");
  }
  absl::StrAppend(&reply.body, "</ListBucketResult>");
  return reply;
}

}  // namespace diskd::object
