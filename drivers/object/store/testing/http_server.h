// SPDX-License-Identifier: Apache-2.0
//
// A small HTTP/1.1 server for tests: blocking, a thread per connection, every size bounded. It can
// answer wrongly on purpose. Loopback only, a port of the kernel's choice.
#ifndef DISKD_DRIVERS_OBJECT_STORE_TESTING_HTTP_SERVER_H_
#define DISKD_DRIVERS_OBJECT_STORE_TESTING_HTTP_SERVER_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "base/fd.h"

namespace diskd::object {

inline constexpr size_t kServerHeaderBytesMax = 64 << 10;
inline constexpr size_t kServerBodyBytesMax = 64 << 20;
inline constexpr size_t kServerConnectionsMax = 256;

struct ServerRequest {
  std::string method;
  std::string path;                            // as sent
  std::string query;                           // as sent
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
  bool tls = false;
};

struct ServerReply {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;

  enum class Wire : uint8_t {
    kWhole,
    kCut,     // half of the body, then the connection is closed
    kReset,   // nothing, and a TCP reset
    kSilent,  // nothing until the client leaves or the server stops
    kClose,   // whole, then closed without saying so before
  };
  Wire wire = Wire::kWhole;
  absl::Duration delay = absl::ZeroDuration();       // before the first byte
  absl::Duration body_delay = absl::ZeroDuration();  // between header and body
  std::function<void()> afterwards;                  // when the connection is done with
};

// The request head up to and with the empty line; nullopt if it is none of HTTP/1.1's, has a
// header twice, or is ambiguous about the body's length.
std::optional<ServerRequest> ParseRequestHead(const std::string& head, size_t* body_bytes);

class HttpServer {
 public:
  // Called by many threads at once.
  using Handler = std::function<ServerReply(const ServerRequest&)>;
  struct Tls {
    std::string certificate_file;  // PEM
    std::string key_file;          // PEM
  };

  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(Handler handler,
                                                           std::optional<Tls> tls = {});
  // Closes every connection and waits for the handlers.
  ~HttpServer();

  int port() const { return port_; }
  // Sleeps; false if the server stopped meanwhile.
  bool Wait(absl::Duration time) const { return !stop_.WaitForNotificationWithTimeout(time); }

 private:
  class Connection;

  HttpServer(Handler handler, Fd listener, int port, void* tls_context);
  void Accept();
  void Serve(int fd);

  const Handler handler_;
  const Fd listener_;
  const int port_;
  void* const tls_context_;  // SSL_CTX or null
  absl::Notification stop_;
  absl::Mutex mutex_;
  std::set<int> open_ ABSL_GUARDED_BY(mutex_);
  std::thread acceptor_;
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_STORE_TESTING_HTTP_SERVER_H_
