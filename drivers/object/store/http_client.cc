// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/store/http_client.h"

#include <curl/curl.h>
#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <mutex>

#include "absl/strings/str_cat.h"
#include "drivers/object/store/http_transfer.h"

namespace diskd::object {
namespace {

constexpr int kPollMsMax = 60000;

void InitCurlOnce() {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
}

}  // namespace

HttpClient::HttpClient(HttpClientOptions options)
    : options_(std::move(options)), multi_((InitCurlOnce(), curl_multi_init())) {
  curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS,
                    static_cast<long>(options_.in_flight_max + options_.slow_max));
  thread_ = std::thread(&HttpClient::Loop, this);
  pthread_setname_np(thread_.native_handle(),
                     absl::StrCat("store-", options_.name).substr(0, 15).c_str());
}

HttpClient::~HttpClient() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  curl_multi_wakeup(multi_);
  thread_.join();
  curl_multi_cleanup(multi_);
}

void HttpClient::Start(Prepare prepare, Done done) {
  {
    absl::MutexLock lock(&mutex_);
    submitted_.push_back({std::move(prepare), std::move(done)});
  }
  curl_multi_wakeup(multi_);
}

void HttpClient::Loop() {
  // OpenSSL writes to sockets that the server may have closed.
  sigset_t pipe;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
  while (TakeWaiting()) {
    StartTransfers();
    int running = 0;
    curl_multi_perform(multi_, &running);
    FinishTransfers();
    ExpireTransfers();
    curl_multi_poll(multi_, nullptr, 0, PollMilliseconds(), nullptr);
  }
  FailAll();
}

bool HttpClient::TakeWaiting() {
  absl::MutexLock lock(&mutex_);
  std::move(submitted_.begin(), submitted_.end(), std::back_inserter(waiting_));
  submitted_.clear();
  return !stopping_;
}

void HttpClient::StartTransfers() {
  while (waiting_.size() > kWaitingMax) {
    const Done done = std::move(waiting_.back().done);
    waiting_.pop_back();
    done(absl::UnavailableError(
        absl::StrCat("more than ", kWaitingMax, " requests wait for the store")));
  }
  while (!waiting_.empty() && HasRoom()) {
    Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    absl::StatusOr<HttpRequest> request = next.prepare();
    if (!request.ok()) {
      next.done(request.status());
      continue;
    }
    auto transfer =
        std::make_unique<HttpTransfer>(*std::move(request), std::move(next.done), options_);
    CURL* const easy = transfer->easy();
    transfers_.emplace(easy, std::move(transfer));
    curl_multi_add_handle(multi_, easy);
  }
}

void HttpClient::FinishTransfers() {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    CURL* const easy = message->easy_handle;
    const CURLcode code = message->data.result;  // gone after remove_handle
    const auto node = transfers_.extract(easy);
    curl_multi_remove_handle(multi_, easy);
    node.mapped()->Finish(code);
  }
}

void HttpClient::ExpireTransfers() {
  const absl::Duration now = options_.clock();
  for (auto it = transfers_.begin(); it != transfers_.end();) {
    if (it->second->deadline() > now || it->second->StillSending()) {
      ++it;
      continue;
    }
    const std::unique_ptr<HttpTransfer> transfer = std::move(it->second);
    it = transfers_.erase(it);
    curl_multi_remove_handle(multi_, transfer->easy());
    transfer->Fail(transfer->TimeoutStatus());
  }
}

bool HttpClient::HasRoom() const {
  const absl::Duration now = options_.clock();
  const auto slow = std::count_if(transfers_.begin(), transfers_.end(), [now](const auto& entry) {
    return entry.second->slow_at() <= now;
  });
  const auto beside = static_cast<size_t>(std::min<int64_t>(slow, options_.slow_max));
  return transfers_.size() - beside < static_cast<size_t>(options_.in_flight_max);
}

int HttpClient::PollMilliseconds() const {
  // A finished transfer makes room, which nothing wakes us for.
  if (!waiting_.empty() && HasRoom()) return 0;
  if (transfers_.empty()) return kPollMsMax;
  const absl::Duration now = options_.clock();
  absl::Duration next = absl::InfiniteDuration();
  for (const auto& [easy, transfer] : transfers_) {
    next = std::min(next, transfer->deadline());
    // So does one that becomes slow.
    if (!waiting_.empty() && transfer->slow_at() > now) next = std::min(next, transfer->slow_at());
  }
  const int64_t wait = absl::ToInt64Milliseconds(next - now) + 1;
  return static_cast<int>(std::clamp<int64_t>(wait, 0, kPollMsMax));
}

void HttpClient::FailAll() {
  const absl::Status closed = absl::UnavailableError("the store is being closed");
  for (auto& [easy, transfer] : transfers_) {
    curl_multi_remove_handle(multi_, easy);
    transfer->Fail(closed);
  }
  transfers_.clear();
  // A `done` may have started another request.
  while (true) {
    TakeWaiting();
    if (waiting_.empty()) return;
    const Done done = std::move(waiting_.front().done);
    waiting_.pop_front();
    done(closed);
  }
}

}  // namespace diskd::object
