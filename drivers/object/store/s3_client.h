// SPDX-License-Identifier: Apache-2.0
//
// Signed requests to one S3 service: credentials and their renewal, the server's clock, a pool of
// connections per lane. What the requests mean is the store's affair.
#ifndef DISKD_DRIVERS_OBJECT_STORE_S3_CLIENT_H_
#define DISKD_DRIVERS_OBJECT_STORE_S3_CLIENT_H_

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "drivers/object/env/store.h"
#include "drivers/object/store/credentials.h"
#include "drivers/object/store/encoding.h"
#include "drivers/object/store/http_client.h"
#include "drivers/object/store/s3_endpoint.h"
#include "drivers/object/store/s3_options.h"
#include "drivers/object/store/sigv4.h"

namespace diskd::object {

struct S3Request {
  std::string method;
  std::string key;  // empty: the bucket
  QueryParameters query;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::shared_ptr<const std::string> body;
  size_t answer_bytes_max = 0;

  std::string What() const { return absl::StrCat(method, " ", key.empty() ? "list" : key); }
};

// Thread-safe. Callbacks run on a thread of the request's lane; the destructor ends every request
// that is under way with an error and waits for its callback.
class S3Client {
 public:
  using AnswerDone = std::function<void(absl::StatusOr<HttpAnswer>)>;

  // `ca_pem`: the authorities to trust, or empty for the system's.
  S3Client(const S3Options& options, S3Endpoint endpoint, const std::string& ca_pem,
           std::unique_ptr<CredentialSource> credentials);

  // Any answer of the server, whatever its status; an error if there was none. A request that was
  // refused for outdated credentials, or for our clock, is sent once more.
  void Send(Lane lane, const std::shared_ptr<const S3Request>& request, AnswerDone done) {
    Send(lane, request, std::move(done), /*renewed=*/false);
  }
  // Delivers an error that comes to light before a request exists the way that answers come.
  void Refuse(Lane lane, const absl::Status& status, AnswerDone done) {
    Of(lane).Start([status] { return status; }, std::move(done));
  }

 private:
  HttpClient& Of(Lane lane) { return *lanes_[static_cast<size_t>(lane)]; }
  void Send(Lane lane, const std::shared_ptr<const S3Request>& request, AnswerDone done,
            bool renewed);
  absl::StatusOr<HttpRequest> Sign(const S3Request& request, Credentials* used);
  // What the server refused can be cured: worth one more attempt.
  bool Renew(const HttpAnswer& answer, const Credentials& used);

  const S3Endpoint endpoint_;
  Signer signer_;
  const std::unique_ptr<CredentialSource> credentials_;
  std::atomic<int64_t> clock_skew_seconds_ = 0;
  std::array<std::unique_ptr<HttpClient>, kLanes> lanes_;  // last: their threads use the rest
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_STORE_S3_CLIENT_H_
