// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/store/http_client.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "drivers/object/store/http_sockets.h"
#include "drivers/object/store/http_transfer.h"

namespace diskd::object {

HttpClient::HttpClient(HttpClientOptions options)
    : options_(std::move(options)),
      sockets_(std::make_unique<HttpSockets>(options_.in_flight_max + options_.slow_max)) {
  thread_ = std::thread(&HttpClient::Loop, this);
  pthread_setname_np(thread_.native_handle(),
                     absl::StrCat("store-", options_.name).substr(0, 15).c_str());
}

HttpClient::~HttpClient() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  sockets_->Wake();
  thread_.join();
}

void HttpClient::Start(Prepare prepare, Done done) {
  bool first;
  {
    absl::MutexLock lock(&mutex_);
    first = submitted_.empty();
    submitted_.push_back({std::move(prepare), std::move(done)});
  }
  if (first) sockets_->Wake();
}

void HttpClient::Loop() {
  // OpenSSL writes to sockets that the server may have closed.
  sigset_t pipe;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
  while (TakeWaiting()) {
    StartTransfers();
    sockets_->Work(Idle(), connecting_ > 0);
    FinishTransfers();
    ExpireTransfers();
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
    auto transfer = std::make_unique<HttpTransfer>(*std::move(request), std::move(next.done),
                                                   options_, &connecting_);
    CURL* const easy = transfer->easy();
    expire_at_ = std::min(expire_at_, EarliestEnd(*transfer, options_.clock()));
    transfers_.emplace(easy, std::move(transfer));
    sockets_->Add(easy);
  }
}

void HttpClient::FinishTransfers() {
  while (const std::optional<HttpSockets::Ended> ended = sockets_->Next()) {
    const auto node = transfers_.extract(ended->easy);
    sockets_->Remove(ended->easy);
    node.mapped()->Finish(ended->code);
  }
}

void HttpClient::ExpireTransfers() {
  const absl::Duration now = options_.clock();
  if (now < expire_at_) return;
  expire_at_ = absl::InfiniteDuration();
  for (auto it = transfers_.begin(); it != transfers_.end();) {
    if (it->second->deadline() > now || it->second->StillSending()) {
      expire_at_ = std::min(expire_at_, EarliestEnd(*it->second, now));
      ++it;
      continue;
    }
    const std::unique_ptr<HttpTransfer> transfer = std::move(it->second);
    it = transfers_.erase(it);
    sockets_->Remove(transfer->easy());
    transfer->Fail(transfer->TimeoutStatus());
  }
}

absl::Duration HttpClient::EarliestEnd(const HttpTransfer& transfer, absl::Duration now) const {
  return std::min(transfer.deadline(), now + options_.idle_timeout);
}

bool HttpClient::HasRoom() const {
  const auto room = static_cast<size_t>(options_.in_flight_max);
  if (transfers_.size() < room) return true;
  const absl::Duration now = options_.clock();
  const auto slow = std::count_if(transfers_.begin(), transfers_.end(), [now](const auto& entry) {
    return entry.second->slow_at() <= now;
  });
  const auto beside = static_cast<size_t>(std::min<int64_t>(slow, options_.slow_max));
  return transfers_.size() - beside < room;
}

absl::Duration HttpClient::Idle() const {
  const absl::Duration now = options_.clock();
  absl::Duration next = expire_at_;
  if (!waiting_.empty()) {
    // A finished transfer makes room, which nothing wakes us for.
    if (HasRoom()) return absl::ZeroDuration();
    // So does one that becomes slow.
    for (const auto& [easy, transfer] : transfers_) {
      if (transfer->slow_at() > now) next = std::min(next, transfer->slow_at());
    }
  }
  return next - now;
}

void HttpClient::FailAll() {
  const absl::Status closed = absl::UnavailableError("the store is being closed");
  for (auto& [easy, transfer] : transfers_) {
    sockets_->Remove(easy);
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
