// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/store/http_transfer.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace diskd::object {
namespace {

constexpr size_t kErrorBodyBytesMax = 64 << 10;
constexpr int64_t kUploadBufferBytes = 512 << 10;
constexpr size_t kReceiveBufferBytesMin = 16 << 10;
constexpr size_t kReceiveBufferBytesMax = 256 << 10;
// Servers close idle connections; one that is about to be closed must not get a PUT.
constexpr int64_t kIdleConnectionSeconds = 15;

// A slow connection shared by many volumes would otherwise cut every body off, again and again.
absl::Duration TimeFor(const HttpRequest& request) {
  const size_t body = request.body == nullptr ? 0 : request.body->size();
  return absl::Seconds(body / kLeastBytesPerSecond);
}

}  // namespace

HttpTransfer::HttpTransfer(HttpRequest request, HttpClient::Done done,
                           const HttpClientOptions& options, int* connecting)
    : easy_(curl_easy_init()),
      request_(std::move(request)),
      done_(std::move(done)),
      options_(options),
      connecting_(connecting),
      attempt_limit_(options.attempt_timeout + TimeFor(request_)),
      deadline_(options.clock() + attempt_limit_),
      idle_deadline_(options.clock() + options.connect_timeout + options.idle_timeout) {
  Count(/*connecting=*/true);
  SetUp();
}

HttpTransfer::~HttpTransfer() {
  Count(/*connecting=*/false);
  curl_easy_cleanup(easy_);
  curl_slist_free_all(headers_);
  curl_slist_free_all(resolve_);
}

void HttpTransfer::Count(bool connecting) {
  *connecting_ += static_cast<int>(connecting) - static_cast<int>(counted_);
  counted_ = connecting;
}

bool HttpTransfer::StillSending() {
  curl_socket_t socket = CURL_SOCKET_BAD;
  int queued = 0;
  if (options_.clock() >= deadline_ ||
      curl_easy_getinfo(easy_, CURLINFO_ACTIVESOCKET, &socket) != CURLE_OK ||
      socket == CURL_SOCKET_BAD || ioctl(socket, SIOCOUTQ, &queued) != 0 || queued == queued_) {
    return false;
  }
  queued_ = queued;
  Touch();
  return true;
}

absl::Status HttpTransfer::TimeoutStatus() const {
  return absl::DeadlineExceededError(absl::StrCat(
      Name(), deadline_ < idle_deadline_ ? ": not finished within " : ": nothing came or went for ",
      absl::FormatDuration(deadline_ < idle_deadline_ ? attempt_limit_ : options_.idle_timeout)));
}

void HttpTransfer::SetUp() {
  const auto set = [this](CURLoption option, auto value) {
    curl_easy_setopt(easy_, option, value);
  };
  set(CURLOPT_URL, request_.url.c_str());
  set(CURLOPT_PATH_AS_IS, 1L);
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_PROXY, "");
  set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_TCP_NODELAY, 1L);
  set(CURLOPT_TCP_KEEPALIVE, 1L);
  set(CURLOPT_MAXAGE_CONN, static_cast<long>(kIdleConnectionSeconds));
  set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  set(CURLOPT_BUFFERSIZE,
      static_cast<long>(
          std::clamp(request_.answer_bytes_max, kReceiveBufferBytesMin, kReceiveBufferBytesMax)));
  set(CURLOPT_CONNECTTIMEOUT_MS,
      static_cast<long>(std::max<int64_t>(1, absl::ToInt64Milliseconds(options_.connect_timeout))));
  // A resolver that gets no answer would hold up all transfers while its thread is waited for.
  set(CURLOPT_QUICK_EXIT, 1L);
  set(CURLOPT_SOCKOPTFUNCTION, &OnSocket);
  set(CURLOPT_SOCKOPTDATA, this);
  set(CURLOPT_NOPROGRESS, 0L);
  set(CURLOPT_XFERINFOFUNCTION, &OnProgress);
  set(CURLOPT_XFERINFODATA, this);
  set(CURLOPT_ERRORBUFFER, error_);
  if (!options_.ca_pem.empty()) {
    const curl_blob pem{const_cast<char*>(options_.ca_pem.data()), options_.ca_pem.size(),
                        CURL_BLOB_NOCOPY};
    set(CURLOPT_CAINFO_BLOB, &pem);
    set(CURLOPT_CAINFO, static_cast<const char*>(nullptr));
    set(CURLOPT_CAPATH, static_cast<const char*>(nullptr));
  }
  for (const std::string& entry : options_.resolve) {
    resolve_ = curl_slist_append(resolve_, entry.c_str());
  }
  if (resolve_ != nullptr) set(CURLOPT_RESOLVE, resolve_);
  set(CURLOPT_HEADERFUNCTION, &OnHeader);
  set(CURLOPT_HEADERDATA, this);
  set(CURLOPT_WRITEFUNCTION, &OnBody);
  set(CURLOPT_WRITEDATA, this);
  set(CURLOPT_PREREQFUNCTION, &OnSend);
  set(CURLOPT_PREREQDATA, this);
  if (request_.method == "HEAD") {
    set(CURLOPT_NOBODY, 1L);
  } else if (request_.method == "PUT") {
    set(CURLOPT_UPLOAD, 1L);
    set(CURLOPT_UPLOAD_BUFFERSIZE, static_cast<long>(kUploadBufferBytes));
    set(CURLOPT_INFILESIZE_LARGE,
        static_cast<curl_off_t>(request_.body == nullptr ? 0 : request_.body->size()));
    set(CURLOPT_READFUNCTION, &OnRead);
    set(CURLOPT_READDATA, this);
  } else if (request_.method != "GET") {
    set(CURLOPT_CUSTOMREQUEST, request_.method.c_str());
  }
  for (const auto& [name, value] : request_.headers) {
    headers_ = curl_slist_append(headers_, absl::StrCat(name, ": ", value).c_str());
  }
  // No waiting for "100 Continue": a refused upload is rare, a round trip is not.
  headers_ = curl_slist_append(headers_, "Expect:");
  set(CURLOPT_HTTPHEADER, headers_);
}

absl::StatusOr<HttpAnswer> HttpTransfer::Result(CURLcode code) {
  if (code == CURLE_ABORTED_BY_CALLBACK && shut_out_) {
    return absl::UnavailableError(absl::StrCat(Name(), ": too late to be sent"));
  }
  if (code == CURLE_ABORTED_BY_CALLBACK && sent_ > 1) {
    return absl::UnavailableError(absl::StrCat(Name(), ": connection closed before the answer"));
  }
  if (!fault_.empty()) return absl::DataLossError(absl::StrCat(Name(), ": ", fault_));
  switch (code) {
    case CURLE_OK:
      break;
    case CURLE_OPERATION_TIMEDOUT:  // only the connect time-out is libcurl's
      return absl::UnavailableError(absl::StrCat(Name(), ": no connection: ", Reason(code)));
    case CURLE_PARTIAL_FILE:
    case CURLE_WEIRD_SERVER_REPLY:
      return absl::DataLossError(absl::StrCat(Name(), ": answer cut off: ", Reason(code)));
    default:
      return absl::UnavailableError(absl::StrCat(Name(), ": ", Reason(code)));
  }
  long status = 0;
  curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &status);
  answer_.status = static_cast<int>(status);
  return std::move(answer_);
}

std::string HttpTransfer::Reason(CURLcode code) const {
  return error_[0] != '\0' ? error_ : curl_easy_strerror(code);
}

// libcurl repeats a request by itself when a reused connection turns out to be closed. The
// server may have carried it out all the same, and a conditional PUT would then report its own
// success as somebody else's.
int HttpTransfer::OnSend(void* self, char*, char*, int, int) {
  auto* transfer = static_cast<HttpTransfer*>(self);
  transfer->Touch();
  transfer->Count(/*connecting=*/false);
  transfer->unanswered_since_ = transfer->options_.clock();
  const bool may_repeat = transfer->request_.method == "GET" || transfer->request_.method == "HEAD";
  if (may_repeat) return CURL_PREREQFUNC_OK;
  const auto& gate = transfer->options_.gate;
  transfer->shut_out_ = gate != nullptr && !gate->open();
  return ++transfer->sent_ > 1 || transfer->shut_out_ ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

// What the kernel has of a request that was given up, or of a process that has died, is thrown
// away with the connection; it would be sent for minutes otherwise, and a PUT that nobody waits
// for any more would land (docs/object-lease.md, A2).
int HttpTransfer::OnSocket(void* self, curl_socket_t socket, curlsocktype) {
  auto* transfer = static_cast<HttpTransfer*>(self);
  const auto& options = transfer->options_;
  transfer->Count(/*connecting=*/true);  // again, where a connection that was kept has broken
  const linger discard{.l_onoff = 1, .l_linger = 0};
  const auto silent_ms =
      static_cast<unsigned>(std::max<int64_t>(1, absl::ToInt64Milliseconds(options.idle_timeout)));
  const bool set =
      setsockopt(socket, SOL_SOCKET, SO_LINGER, &discard, sizeof(discard)) == 0 &&
      setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &silent_ms, sizeof(silent_ms)) == 0;
  return set ? CURL_SOCKOPT_OK : CURL_SOCKOPT_ERROR;
}

int HttpTransfer::OnProgress(void* self, curl_off_t, curl_off_t received, curl_off_t,
                             curl_off_t sent) {
  auto* transfer = static_cast<HttpTransfer*>(self);
  if (received + sent != transfer->progress_) transfer->Touch();
  transfer->progress_ = received + sent;
  return 0;  // and no meter of libcurl's
}

size_t HttpTransfer::OnHeader(char* data, size_t, size_t size, void* self) {
  auto* transfer = static_cast<HttpTransfer*>(self);
  transfer->Touch();
  transfer->unanswered_since_ = absl::InfiniteDuration();
  transfer->header_bytes_ += size;
  if (transfer->header_bytes_ > kHeaderBytesMax) {
    transfer->fault_ = "answer with too many headers";
    return 0;
  }
  const absl::string_view line(data, size);
  if (absl::StartsWith(line, "HTTP/")) transfer->answer_.headers.clear();  // after a 1xx
  const size_t colon = line.find(':');
  if (colon == absl::string_view::npos) return size;
  transfer->answer_.headers[absl::AsciiStrToLower(line.substr(0, colon))] =
      std::string(absl::StripAsciiWhitespace(line.substr(colon + 1)));
  return size;
}

size_t HttpTransfer::OnBody(char* data, size_t, size_t size, void* self) {
  auto* transfer = static_cast<HttpTransfer*>(self);
  long status = 0;
  curl_easy_getinfo(transfer->easy_, CURLINFO_RESPONSE_CODE, &status);
  const size_t limit = status < 300 ? transfer->request_.answer_bytes_max : kErrorBodyBytesMax;
  std::string& body = transfer->answer_.body;
  if (body.size() + size > limit) {
    transfer->fault_ = absl::StrCat("answer longer than the ", limit, " bytes asked for");
    return 0;
  }
  if (body.empty()) body.reserve(std::min(limit, transfer->ExpectedBytes()));
  body.append(data, size);
  return size;
}

size_t HttpTransfer::ExpectedBytes() const {
  curl_off_t length = -1;
  curl_easy_getinfo(easy_, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
  return length > 0 ? static_cast<size_t>(length) : 0;
}

size_t HttpTransfer::OnRead(char* out, size_t, size_t size, void* self) {
  auto* transfer = static_cast<HttpTransfer*>(self);
  if (transfer->request_.body == nullptr) return 0;
  const std::string& body = *transfer->request_.body;
  const size_t part = std::min(size, body.size() - transfer->body_sent_);
  body.copy(out, part, transfer->body_sent_);
  transfer->body_sent_ += part;
  return part;
}

}  // namespace diskd::object
