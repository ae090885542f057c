// SPDX-License-Identifier: Apache-2.0
//
// One lane of HTTP requests to one server: a thread, its connections, and a limit of requests in
// flight; what is above the limit waits in order. A lane may let go on beside them what gets no
// answer: a server that hangs for some names would else hold up all others. libcurl does the
// protocol.
#ifndef DISKD_DRIVERS_OBJECT_STORE_HTTP_CLIENT_H_
#define DISKD_DRIVERS_OBJECT_STORE_HTTP_CLIENT_H_

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "drivers/object/env/send_gate.h"

namespace diskd::object {

inline constexpr absl::Duration kConnectTimeout = absl::Seconds(5);
inline constexpr absl::Duration kPatience = absl::Seconds(2);         // for an answer to begin
inline constexpr absl::Duration kIdleTimeout = absl::Seconds(20);     // no byte in or out
inline constexpr absl::Duration kAttemptTimeout = absl::Seconds(90);  // all of one request, and
inline constexpr size_t kLeastBytesPerSecond = 16 << 10;              // ... its upload at this rate
inline constexpr size_t kHeaderBytesMax = 64 << 10;                   // of one answer
inline constexpr size_t kWaitingMax = 1 << 16;                        // requests of one lane

struct HttpRequest {
  std::string method;  // GET HEAD PUT DELETE
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers;
  std::shared_ptr<const std::string> body;  // PUT only
  size_t answer_bytes_max = 0;              // of the answer's body
};

struct HttpAnswer {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
};

struct HttpClientOptions {
  std::string name;  // of the lane, for the thread
  int in_flight_max = 8;
  // Requests that were sent and whose answer has not begun for longer than `patience` leave their
  // places to others; so many at most at the same time.
  int slow_max = 0;
  absl::Duration patience = kPatience;
  absl::Duration connect_timeout = kConnectTimeout;
  absl::Duration idle_timeout = kIdleTimeout;
  absl::Duration attempt_timeout = kAttemptTimeout;
  std::string ca_pem;                // authorities to trust; empty: the system's
  std::vector<std::string> resolve;  // "HOST:PORT:ADDRESS", in place of DNS
  // What the time-outs count by; only differences mean anything. Wall clocks are set back.
  std::function<absl::Duration()> clock = BootTime;
  // Of PUT and DELETE, which end with UNAVAILABLE while it is shut; nullptr: always open.
  std::shared_ptr<const SendGate> gate;
};

class HttpSockets;
class HttpTransfer;

// Thread-safe. The destructor ends every request with UNAVAILABLE and waits for its `done`.
class HttpClient {
 public:
  // Makes the request at the moment it is sent (signatures carry the time). Runs on the client's
  // thread; an error goes to `done` as it is.
  using Prepare = std::function<absl::StatusOr<HttpRequest>()>;
  // Any answer, whatever its status. Otherwise: DATA_LOSS (cut off, or longer than allowed),
  // DEADLINE_EXCEEDED, UNAVAILABLE (connection refused, broken, not trusted). A PUT or
  // DELETE is sent at most once, also where libcurl would repeat it. Runs on the client's thread.
  using Done = std::function<void(absl::StatusOr<HttpAnswer>)>;

  explicit HttpClient(HttpClientOptions options);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  void Start(Prepare prepare, Done done);

 private:
  struct Waiting {
    Prepare prepare;
    Done done;
  };

  void Loop();
  bool TakeWaiting();  // false: stopping
  void StartTransfers();
  void FinishTransfers();
  void ExpireTransfers();
  // Before it is sent a transfer has longer than after that.
  absl::Duration EarliestEnd(const HttpTransfer& transfer, absl::Duration now) const;
  // Whether one more may be sent.
  bool HasRoom() const;
  // Until a time-out, or until another request may be sent.
  absl::Duration Idle() const;
  void FailAll();

  const HttpClientOptions options_;
  const std::unique_ptr<HttpSockets> sockets_;  // the thread's

  absl::Mutex mutex_;
  std::deque<Waiting> submitted_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  // Of the thread.
  std::deque<Waiting> waiting_;
  std::map<void*, std::unique_ptr<HttpTransfer>> transfers_;  // by CURL easy handle
  int connecting_ = 0;                                        // of these
  // No transfer has a deadline before.
  absl::Duration expire_at_ = absl::InfiniteDuration();

  std::thread thread_;  // last: starts when the rest is there
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_STORE_HTTP_CLIENT_H_
