// SPDX-License-Identifier: Apache-2.0
//
// One request of an HttpClient under way, as libcurl sees it. Lives on the client's thread.
#ifndef DISKD_DRIVERS_OBJECT_STORE_HTTP_TRANSFER_H_
#define DISKD_DRIVERS_OBJECT_STORE_HTTP_TRANSFER_H_

#include <curl/curl.h>

#include <algorithm>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "drivers/object/store/http_client.h"

namespace diskd::object {

class HttpTransfer {
 public:
  // Counts in `connecting` while it has no connection.
  HttpTransfer(HttpRequest request, HttpClient::Done done, const HttpClientOptions& options,
               int* connecting);
  ~HttpTransfer();
  HttpTransfer(const HttpTransfer&) = delete;
  HttpTransfer& operator=(const HttpTransfer&) = delete;

  CURL* easy() const { return easy_; }
  // What libcurl has passed to the kernel goes out long after on a slow connection. True: it does,
  // since the last time that this was asked.
  bool StillSending();
  // By the client's clock.
  absl::Duration deadline() const { return std::min(deadline_, idle_deadline_); }
  // From when on it is slow, if its answer does not begin before.
  absl::Duration slow_at() const { return unanswered_since_ + options_.patience; }

  void Finish(CURLcode code) { done_(Result(code)); }
  void Fail(absl::Status status) { done_(std::move(status)); }
  absl::Status TimeoutStatus() const;

 private:
  std::string Name() const { return absl::StrCat(request_.method, " ", request_.url); }
  void Touch() { idle_deadline_ = options_.clock() + options_.idle_timeout; }

  void SetUp();
  void Count(bool connecting);
  absl::StatusOr<HttpAnswer> Result(CURLcode code);
  std::string Reason(CURLcode code) const;
  size_t ExpectedBytes() const;

  // libcurl's.
  static int OnSend(void* self, char*, char*, int, int);
  static int OnSocket(void* self, curl_socket_t socket, curlsocktype);
  static int OnProgress(void* self, curl_off_t, curl_off_t received, curl_off_t, curl_off_t sent);
  static size_t OnHeader(char* data, size_t, size_t size, void* self);
  static size_t OnBody(char* data, size_t, size_t size, void* self);
  static size_t OnRead(char* out, size_t, size_t size, void* self);

  CURL* const easy_;
  const HttpRequest request_;
  const HttpClient::Done done_;
  const HttpClientOptions& options_;
  int* const connecting_;
  bool counted_ = false;  // in that
  const absl::Duration attempt_limit_;
  const absl::Duration deadline_;
  absl::Duration idle_deadline_;
  absl::Duration unanswered_since_ = absl::InfiniteDuration();
  curl_off_t progress_ = 0;  // bytes of bodies, both ways
  int queued_ = 0;           // bytes in the kernel, when it was last asked
  curl_slist* headers_ = nullptr;
  curl_slist* resolve_ = nullptr;
  HttpAnswer answer_;
  std::string fault_;
  size_t header_bytes_ = 0;
  size_t body_sent_ = 0;
  int sent_ = 0;
  bool shut_out_ = false;
  char error_[CURL_ERROR_SIZE] = {};
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_STORE_HTTP_TRANSFER_H_
