// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/store/s3_xml.h"

#include <expat.h>

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "drivers/object/store/encoding.h"

namespace diskd::object {
namespace {

constexpr size_t kDepthMax = 8;
constexpr size_t kTextBytesMax = 16 << 10;  // a key of 1024 bytes, each as %XX, and then some
constexpr size_t kNameBytesMax = 64;

// Calls back for every element with its path ("ListBucketResult/Contents/Key") and trimmed text.
class XmlWalk {
 public:
  using OnElement = std::function<bool(absl::string_view path, const std::string& text)>;

  // OK if `xml` is well-formed, within the limits and `on_end` never said false.
  static absl::Status Run(absl::string_view xml, const OnElement& on_start,
                          const OnElement& on_end) {
    if (xml.size() > kXmlBytesMax) return absl::DataLossError("XML answer larger than 8 MiB");
    const std::unique_ptr<XML_ParserStruct, decltype(&XML_ParserFree)> parser(
        XML_ParserCreate(nullptr), &XML_ParserFree);
    XmlWalk walk(parser.get(), on_start, on_end);
    XML_SetUserData(parser.get(), &walk);
    XML_SetElementHandler(parser.get(), &Start, &End);
    XML_SetCharacterDataHandler(parser.get(), &Text);
    XML_SetStartDoctypeDeclHandler(parser.get(), &Doctype);
    const auto result =
        XML_Parse(parser.get(), xml.data(), static_cast<int>(xml.size()), /*isFinal=*/1);
    if (!walk.fault_.empty()) return absl::DataLossError(walk.fault_);
    if (result != XML_STATUS_OK) {
      return absl::DataLossError(
          absl::StrCat("answer is not XML: ", XML_ErrorString(XML_GetErrorCode(parser.get()))));
    }
    return absl::OkStatus();
  }

 private:
  XmlWalk(XML_Parser parser, const OnElement& on_start, const OnElement& on_end)
      : parser_(parser), on_start_(on_start), on_end_(on_end) {}

  static XmlWalk* Of(void* self) { return static_cast<XmlWalk*>(self); }

  void Stop(absl::string_view fault) {
    if (fault_.empty()) fault_ = std::string(fault);
    XML_StopParser(parser_, XML_FALSE);
  }

  static void Start(void* self, const XML_Char* name, const XML_Char** attributes) {
    XmlWalk* walk = Of(self);
    if (walk->path_.size() >= kDepthMax) return walk->Stop("XML answer nested too deeply");
    if (absl::string_view(name).size() > kNameBytesMax) {
      return walk->Stop("XML answer with an overlong element name");
    }
    walk->path_.emplace_back(name);
    walk->text_.clear();
    if (!walk->on_start_(absl::StrJoin(walk->path_, "/"), walk->text_)) {
      walk->Stop("XML answer is of another kind or holds too much");
    }
  }

  static void End(void* self, const XML_Char* name) {
    XmlWalk* walk = Of(self);
    if (walk->path_.empty()) return;
    if (!walk->on_end_(absl::StrJoin(walk->path_, "/"), walk->text_)) {
      walk->Stop(absl::StrCat("XML answer with a bad ", name));
    }
    walk->path_.pop_back();
    walk->text_.clear();
  }

  static void Text(void* self, const XML_Char* text, int size) {
    XmlWalk* walk = Of(self);
    if (walk->text_.size() + size > kTextBytesMax) {
      return walk->Stop("XML answer with an overlong text");
    }
    walk->text_.append(text, size);
  }

  static void Doctype(void* self, const XML_Char*, const XML_Char*, const XML_Char*, int) {
    Of(self)->Stop("XML answer with a document type");
  }

  XML_Parser parser_;
  const OnElement& on_start_;
  const OnElement& on_end_;
  std::vector<std::string> path_;
  std::string text_;
  std::string fault_;
};

// Reads the elements of a ListBucketResult.
class ListReader {
 public:
  bool OnStart(absl::string_view path) {
    if (path == "ListBucketResult/Contents") {
      current_ = ListedObject();
      has_key_ = has_size_ = false;
    }
    return path.substr(0, path.find('/')) == "ListBucketResult";
  }

  bool OnEnd(absl::string_view path, const std::string& text) {
    path.remove_prefix(std::min(path.size(), absl::string_view("ListBucketResult").size()));
    if (path == "/Contents/Key") {
      has_key_ = true;
      encoded_keys_.push_back(text);
    } else if (path == "/Contents/ETag") {
      current_.etag = std::string(absl::StripAsciiWhitespace(text));
      if (current_.etag.size() >= 2 && current_.etag.front() == '"') {
        current_.etag = current_.etag.substr(1, current_.etag.size() - 2);
      }
    } else if (path == "/Contents/Size") {
      has_size_ = absl::SimpleAtoi(text, &current_.bytes);
      return has_size_;
    } else if (path == "/Contents") {
      page_.objects.push_back(current_);
      return has_key_ && has_size_ && encoded_keys_.size() == page_.objects.size() &&
             page_.objects.size() <= kListKeysMax;
    } else if (path == "/IsTruncated") {
      const absl::string_view value = absl::StripAsciiWhitespace(text);
      has_truncated_ = value == "true" || value == "false";
      page_.truncated = value == "true";
      return has_truncated_;
    } else if (path == "/NextContinuationToken") {
      page_.next_token = text;
    } else if (path == "/EncodingType") {
      url_encoded_ = absl::StripAsciiWhitespace(text) == "url";
    }
    return true;
  }

  absl::StatusOr<ListPage> Finish() {
    if (!has_truncated_) return absl::DataLossError("list answer without IsTruncated");
    if (page_.truncated && page_.next_token.empty()) {
      return absl::DataLossError("cut list answer without NextContinuationToken");
    }
    for (size_t i = 0; i < page_.objects.size(); ++i) {
      std::optional<std::string> key = encoded_keys_[i];
      // Servers that do not know encoding-type leave keys as they are.
      if (url_encoded_) key = PercentDecode(encoded_keys_[i]);
      if (!key.has_value() || key->empty()) {
        return absl::DataLossError("list answer with a badly encoded key");
      }
      page_.objects[i].key = *std::move(key);
    }
    return std::move(page_);
  }

 private:
  ListPage page_;
  ListedObject current_;
  std::vector<std::string> encoded_keys_;
  bool has_key_ = false;
  bool has_size_ = false;
  bool has_truncated_ = false;
  bool url_encoded_ = false;
};

}  // namespace

absl::StatusOr<ListPage> ParseListPage(absl::string_view xml) {
  ListReader reader;
  const absl::Status status = XmlWalk::Run(
      xml, [&](absl::string_view path, const std::string&) { return reader.OnStart(path); },
      [&](absl::string_view path, const std::string& text) { return reader.OnEnd(path, text); });
  if (!status.ok()) return status;
  return reader.Finish();
}

S3Error ParseS3Error(absl::string_view xml) {
  S3Error error;
  const absl::Status status = XmlWalk::Run(
      xml, [](absl::string_view, const std::string&) { return true; },
      [&](absl::string_view path, const std::string& text) {
        if (path == "Error/Code") error.code = text;
        if (path == "Error/Message") error.message = text;
        return true;
      });
  if (!status.ok()) return {};
  return error;
}

}  // namespace diskd::object
