// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/store/http_sockets.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <mutex>

#include "drivers/object/env/send_gate.h"

namespace diskd::object {
namespace {

constexpr int kEventsAtOnce = 64;
constexpr absl::Duration kWaitMax = absl::Minutes(1);
constexpr absl::Duration kConnectTurn = absl::Milliseconds(200);

CURLM* NewMulti() {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  return curl_multi_init();
}

}  // namespace

HttpSockets::HttpSockets(int connections_max)
    : epoll_(epoll_create1(EPOLL_CLOEXEC)),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      multi_(NewMulti()) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;  // each write is told once; nobody has to read it
  event.data.fd = wake_.get();
  if (multi_ == nullptr || epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event) != 0) {
    perror("diskd: no connections to the store");
    abort();
  }
  curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, static_cast<long>(connections_max));
  curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &OnSocket);
  curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
  curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &OnTimer);
  curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
}

HttpSockets::~HttpSockets() { curl_multi_cleanup(multi_); }

void HttpSockets::Add(CURL* easy) { curl_multi_add_handle(multi_, easy); }

void HttpSockets::Remove(CURL* easy) { curl_multi_remove_handle(multi_, easy); }

void HttpSockets::Wake() { eventfd_write(wake_.get(), 1); }

void HttpSockets::Work(absl::Duration limit, bool connecting) {
  if (connecting) limit = std::min(limit, kConnectTurn);
  std::array<epoll_event, kEventsAtOnce> events;
  const int ready = epoll_wait(epoll_.get(), events.data(), kEventsAtOnce, WaitMilliseconds(limit));
  for (int i = 0; i < ready; ++i) {
    if (events[i].data.fd != wake_.get()) Act(events[i].data.fd, events[i].events);
  }
  const absl::Duration now = BootTime();
  if (due_ <= now) {
    due_ = absl::InfiniteDuration();  // before: it may be set again
    int running;
    curl_multi_socket_action(multi_, CURL_SOCKET_TIMEOUT, 0, &running);
  }
  if (!connecting || run_all_at_ > now) return;
  run_all_at_ = now + kConnectTurn;
  RunAll();
}

// When an address of a name does not answer, or refuses, libcurl 7.88 begins with the next one only
// when it is called again for that transfer, and asks neither a socket nor its timer for that. No
// other function runs a transfer that nothing has happened to.
void HttpSockets::RunAll() {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  int running;
  curl_multi_socket_all(multi_, &running);
#pragma GCC diagnostic pop
}

void HttpSockets::Act(int socket, uint32_t events) {
  int what = 0;
  if ((events & EPOLLIN) != 0) what |= CURL_CSELECT_IN;
  if ((events & EPOLLOUT) != 0) what |= CURL_CSELECT_OUT;
  if ((events & (EPOLLERR | EPOLLHUP)) != 0) what |= CURL_CSELECT_ERR;
  int running;
  curl_multi_socket_action(multi_, socket, what, &running);
}

std::optional<HttpSockets::Ended> HttpSockets::Next() {
  int left;
  while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg == CURLMSG_DONE) return Ended{message->easy_handle, message->data.result};
  }
  return std::nullopt;
}

int HttpSockets::WaitMilliseconds(absl::Duration limit) const {
  const absl::Duration wait = std::min({limit, due_ - BootTime(), kWaitMax});
  if (wait <= absl::ZeroDuration()) return 0;
  return static_cast<int>(absl::ToInt64Milliseconds(wait)) + 1;  // never before its end
}

int HttpSockets::OnSocket(CURL*, curl_socket_t socket, int what, void* self, void* known) {
  const auto* sockets = static_cast<HttpSockets*>(self);
  const int epoll = sockets->epoll_.get();
  epoll_event event{};
  event.data.fd = socket;
  if ((what & CURL_POLL_IN) != 0) event.events |= EPOLLIN;
  if ((what & CURL_POLL_OUT) != 0) event.events |= EPOLLOUT;
  if (event.events == 0) {
    epoll_ctl(epoll, EPOLL_CTL_DEL, socket, nullptr);
    return 0;
  }
  // libcurl does not say of each socket that it has closed it. What can't be watched ends with its
  // transfer's time-outs.
  const int likely = known != nullptr ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
  const int other = known != nullptr ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
  if (epoll_ctl(epoll, likely, socket, &event) != 0) epoll_ctl(epoll, other, socket, &event);
  curl_multi_assign(sockets->multi_, socket, self);
  return 0;
}

int HttpSockets::OnTimer(CURLM*, long milliseconds, void* self) {
  auto* sockets = static_cast<HttpSockets*>(self);
  sockets->due_ =
      milliseconds < 0 ? absl::InfiniteDuration() : BootTime() + absl::Milliseconds(milliseconds);
  return 0;
}

}  // namespace diskd::object
