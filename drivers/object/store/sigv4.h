// SPDX-License-Identifier: Apache-2.0
//
// AWS Signature Version 4 of requests, in its Authorization header form.
#ifndef DISKD_DRIVERS_OBJECT_STORE_SIGV4_H_
#define DISKD_DRIVERS_OBJECT_STORE_SIGV4_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "drivers/object/store/credentials.h"

namespace diskd::object {

struct RequestToSign {
  std::string method;
  std::string path;   // as sent: percent-encoded once, begins with '/'
  std::string query;  // as sent: CanonicalQuery()
  // Every header that is to be signed, names in lower case, no duplicates; has `host`,
  // `x-amz-date` and `x-amz-content-sha256`.
  std::vector<std::pair<std::string, std::string>> headers;
  std::string payload_sha256;  // hex
};

// "20130524T000000Z", the value of x-amz-date.
std::string AmzDate(absl::Time time);

// Thread-safe.
class Signer {
 public:
  explicit Signer(std::string region) : region_(std::move(region)) {}

  // The value of the Authorization header.
  std::string Authorization(const RequestToSign& request, const Credentials& credentials,
                            absl::Time time);

 private:
  // The key of a day is derived in four steps, most of what a signature costs: the last is kept.
  std::string KeyOf(absl::string_view secret_key, absl::string_view day);

  const std::string region_;
  absl::Mutex mutex_;
  std::string secret_key_ ABSL_GUARDED_BY(mutex_);
  std::string day_ ABSL_GUARDED_BY(mutex_);
  std::string key_ ABSL_GUARDED_BY(mutex_);  // of these
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_STORE_SIGV4_H_
