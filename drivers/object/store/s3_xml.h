// SPDX-License-Identifier: Apache-2.0
//
// The two XML documents an S3 server answers us with. Input is not trusted: size, depth, text
// length and key count are bounded, and document types (entities) are refused.
#ifndef DISKD_DRIVERS_OBJECT_STORE_S3_XML_H_
#define DISKD_DRIVERS_OBJECT_STORE_S3_XML_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace diskd::object {

inline constexpr size_t kXmlBytesMax = 8 << 20;  // 1000 keys of 1024 encoded bytes need 3.5 MiB
inline constexpr int kListKeysMax = 1000;        // per page; S3's own limit

struct ListedObject {
  std::string key;
  std::string etag;  // without quotes
  uint64_t bytes = 0;
};

struct ListPage {
  std::vector<ListedObject> objects;
  bool truncated = false;
  std::string next_token;  // not empty when truncated
};

struct S3Error {
  std::string code;  // "NoSuchKey"
  std::string message;
};

// A ListBucketResult of a request with encoding-type=url. DATA_LOSS for anything else, so that a
// cut or foreign answer is never taken for an empty list.
absl::StatusOr<ListPage> ParseListPage(absl::string_view xml);

// An Error document; an empty code if it isn't one (proxies answer HTML).
S3Error ParseS3Error(absl::string_view xml);

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_STORE_S3_XML_H_
