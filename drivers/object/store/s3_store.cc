// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/store/s3_store.h"

#include <algorithm>
#include <atomic>
#include <fstream>
#include <iterator>
#include <limits>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "drivers/object/store/object_name.h"
#include "drivers/object/store/s3_answer.h"
#include "drivers/object/store/s3_client.h"
#include "drivers/object/store/s3_endpoint.h"
#include "drivers/object/store/s3_xml.h"

namespace diskd::object {
namespace {

constexpr int kListPagesMax = 16;  // empty pages in a row that one List goes through

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
      : key_prefix_(options.prefix.empty() ? "" : absl::StrCat(options.prefix, "/")),
        etag_style_(options.etag_style),
        client_(options, std::move(endpoint), ca_pem, std::move(credentials)) {}

  void Put(Lane lane, const std::string& name, std::shared_ptr<const std::string> body,
           PutCondition condition, PutDone done) override;
  void Get(Lane lane, const std::string& name, std::optional<ByteRange> range,
           GetDone done) override;
  void Head(Lane lane, const std::string& name, HeadDone done) override;
  void List(Lane lane, const std::string& prefix, const std::string& after, ListDone done) override;
  void Delete(Lane lane, const std::string& name, DeleteDone done) override;

 private:
  // `explain`: ask with a GET why a HEAD was refused.
  void SendHead(Lane lane, const std::string& name, bool explain, const HeadDone& done);
  void SendPut(const std::shared_ptr<PutCall>& call, S3Options::EtagStyle style);
  void PutAnswered(const std::shared_ptr<PutCall>& call, S3Options::EtagStyle style,
                   absl::StatusOr<HttpAnswer> answer);
  void SendList(const std::shared_ptr<ListCall>& call, const std::string& token);
  void ListAnswered(const std::shared_ptr<ListCall>& call, absl::StatusOr<HttpAnswer> answer);
  absl::StatusOr<ListResult> ToResult(const ListCall& call, const ListPage& page) const;

  const std::string key_prefix_;
  std::atomic<S3Options::EtagStyle> etag_style_;
  S3Client client_;  // last: its threads use the rest
};

void S3Store::Put(Lane lane, const std::string& name, std::shared_ptr<const std::string> body,
                  PutCondition condition, PutDone done) {
  if (absl::Status status = CheckName(name); !status.ok()) {
    client_.Refuse(lane, status,
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
  client_.Send(lane, request, [this, call, style](absl::StatusOr<HttpAnswer> answer) {
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
    client_.Refuse(lane, status,
                   [done](const absl::StatusOr<HttpAnswer>& answer) { done(answer.status()); });
    return;
  }
  const std::string what = request->What();
  client_.Send(
      lane, request, [this, lane, name, range, what, done](absl::StatusOr<HttpAnswer> answer) {
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
    client_.Refuse(lane, status,
                   [done](const absl::StatusOr<HttpAnswer>& answer) { done(answer.status()); });
    return;
  }
  SendHead(lane, name, /*explain=*/true, done);
}

void S3Store::SendHead(Lane lane, const std::string& name, bool explain, const HeadDone& done) {
  auto request =
      std::make_shared<S3Request>(S3Request{.method = "HEAD", .key = key_prefix_ + name});
  const std::string what = request->What();
  client_.Send(lane, request,
               [this, lane, name, what, explain, done](const absl::StatusOr<HttpAnswer>& answer) {
                 if (!answer.ok()) return done(answer.status());
                 if (answer->status / 100 == 2) return done(SizeAndEtagOf(*answer, what));
                 if (answer->status / 100 != 4) return done(StatusOfAnswer(*answer, what));
                 // A HEAD's refusal has no body: is it the object that is missing, or the bucket;
                 // are the keys wrong, or the clock?
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
    client_.Refuse(lane, status,
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
  client_.Send(lane, request, [this, call](absl::StatusOr<HttpAnswer> answer) {
    ListAnswered(call, std::move(answer));
  });
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
    client_.Refuse(lane, status,
                   [done](const absl::StatusOr<HttpAnswer>& answer) { done(answer.status()); });
    return;
  }
  auto request =
      std::make_shared<S3Request>(S3Request{.method = "DELETE", .key = key_prefix_ + name});
  request->answer_bytes_max = kXmlBytesMax;
  const std::string what = request->What();
  client_.Send(lane, request, [what, done](const absl::StatusOr<HttpAnswer>& answer) {
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
