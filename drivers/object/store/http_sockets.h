// SPDX-License-Identifier: Apache-2.0
//
// The transfers that libcurl has under way for one thread, and their sockets. Only those on which
// something happens are looked at, so an answer costs the same however many others are waited for.
// That thread's, but for Wake().
#ifndef DISKD_DRIVERS_OBJECT_STORE_HTTP_SOCKETS_H_
#define DISKD_DRIVERS_OBJECT_STORE_HTTP_SOCKETS_H_

#include <curl/curl.h>

#include <cstdint>
#include <optional>

#include "absl/time/time.h"
#include "base/fd.h"

namespace diskd::object {

class HttpSockets {
 public:
  struct Ended {
    CURL* easy;
    CURLcode code;
  };

  // Keeps up to `connections_max` connections open. Ends the process if there is no descriptor
  // left for it, as for a thread that can't be started.
  explicit HttpSockets(int connections_max);
  ~HttpSockets();
  HttpSockets(const HttpSockets&) = delete;
  HttpSockets& operator=(const HttpSockets&) = delete;

  // Does not own it. Begins with the next Work().
  void Add(CURL* easy);
  // Also what has not ended; its connection is closed then.
  void Remove(CURL* easy);
  // Does what can be done, and waits for up to `limit` until something can. `connecting`: some
  // transfers have no connection yet.
  void Work(absl::Duration limit, bool connecting);
  // A transfer that has ended, to be removed.
  std::optional<Ended> Next();
  // Has Work() return, the next one if none is running. Any thread.
  void Wake();

 private:
  // libcurl's.
  static int OnSocket(CURL*, curl_socket_t socket, int what, void* self, void* known);
  static int OnTimer(CURLM*, long milliseconds, void* self);

  void Act(int socket, uint32_t events);
  void RunAll();
  int WaitMilliseconds(absl::Duration limit) const;

  const Fd epoll_;
  const Fd wake_;  // an eventfd
  CURLM* const multi_;
  absl::Duration due_ = absl::InfiniteDuration();  // libcurl's timer
  absl::Duration run_all_at_;                      // while some are connecting
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_STORE_HTTP_SOCKETS_H_
