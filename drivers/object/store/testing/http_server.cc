// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/store/testing/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include <cerrno>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/errno_status.h"

namespace diskd::object {
namespace {

constexpr size_t kReadBytes = 64 << 10;
constexpr int kBacklog = 256;
constexpr absl::Duration kSilenceMax = absl::Minutes(10);

}  // namespace

std::optional<ServerRequest> ParseRequestHead(const std::string& head, size_t* body_bytes) {
  if (!absl::EndsWith(head, "\r\n\r\n")) return std::nullopt;
  const std::vector<absl::string_view> lines =
      absl::StrSplit(absl::string_view(head).substr(0, head.size() - 4), "\r\n");
  const std::vector<absl::string_view> first = absl::StrSplit(lines[0], ' ');
  if (first.size() != 3 || first[2] != "HTTP/1.1" || !absl::StartsWith(first[1], "/")) {
    return std::nullopt;
  }
  ServerRequest request;
  request.method = std::string(first[0]);
  const std::pair<absl::string_view, absl::string_view> target =
      absl::StrSplit(first[1], absl::MaxSplits('?', 1));
  request.path = std::string(target.first);
  request.query = std::string(target.second);
  for (size_t i = 1; i < lines.size(); ++i) {
    const size_t colon = lines[i].find(':');
    if (colon == absl::string_view::npos || colon == 0 ||
        absl::StrContains(lines[i].substr(0, colon), ' ')) {
      return std::nullopt;
    }
    const std::string name = absl::AsciiStrToLower(lines[i].substr(0, colon));
    const std::string value(absl::StripAsciiWhitespace(lines[i].substr(colon + 1)));
    if (!request.headers.emplace(name, value).second) return std::nullopt;
  }
  *body_bytes = 0;
  if (request.headers.count("transfer-encoding") != 0) return std::nullopt;
  const auto length = request.headers.find("content-length");
  uint64_t bytes = 0;
  if (length != request.headers.end()) {
    if (!absl::SimpleAtoi(length->second, &bytes) || bytes > kServerBodyBytesMax) {
      return std::nullopt;
    }
    *body_bytes = bytes;
  }
  return request;
}

// The bytes of one connection, plain or TLS.
class HttpServer::Connection {
 public:
  Connection(int fd, SSL_CTX* context) : fd_(fd) {
    if (context == nullptr) return;
    ssl_ = SSL_new(context);
    SSL_set_fd(ssl_, fd);
    failed_ = SSL_accept(ssl_) != 1;
  }
  ~Connection() {
    if (ssl_ != nullptr) SSL_free(ssl_);
    ERR_clear_error();
  }

  // The next request, or nullopt: end, error or nonsense.
  std::optional<ServerRequest> Receive() {
    size_t end;
    while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
      if (buffer_.size() > kServerHeaderBytesMax || !More()) return std::nullopt;
    }
    size_t body_bytes = 0;
    auto request = ParseRequestHead(buffer_.substr(0, end + 4), &body_bytes);
    if (!request.has_value()) return std::nullopt;
    buffer_.erase(0, end + 4);
    while (buffer_.size() < body_bytes) {
      if (!More()) return std::nullopt;
    }
    request->body = buffer_.substr(0, body_bytes);
    buffer_.erase(0, body_bytes);
    request->tls = ssl_ != nullptr;
    return request;
  }

  bool Send(absl::string_view bytes) {
    while (!bytes.empty() && !failed_) {
      const ssize_t sent = ssl_ != nullptr
                               ? SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size()))
                               : send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent < 0 && ssl_ == nullptr && errno == EINTR) continue;
      if (sent <= 0) {
        failed_ = true;
      } else {
        bytes.remove_prefix(sent);
      }
    }
    return !failed_;
  }

  // The close() that follows sends a reset, not an orderly end.
  void ResetOnClose() {
    const linger hard = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
  }

  // Until the client closes.
  void AwaitEnd() {
    pollfd poll_fd = {.fd = fd_, .events = POLLIN};
    poll(&poll_fd, 1, static_cast<int>(absl::ToInt64Milliseconds(kSilenceMax)));
  }

 private:
  bool More() {
    if (failed_) return false;
    char data[kReadBytes];
    const ssize_t got =
        ssl_ != nullptr ? SSL_read(ssl_, data, sizeof(data)) : recv(fd_, data, sizeof(data), 0);
    if (got < 0 && ssl_ == nullptr && errno == EINTR) return true;
    if (got <= 0) return false;
    buffer_.append(data, got);
    return true;
  }

  const int fd_;
  SSL* ssl_ = nullptr;
  bool failed_ = false;
  std::string buffer_;
};

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(Handler handler,
                                                              std::optional<Tls> tls) {
  SSL_CTX* context = nullptr;
  if (tls.has_value()) {
    context = SSL_CTX_new(TLS_server_method());
    if (SSL_CTX_use_certificate_chain_file(context, tls->certificate_file.c_str()) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, tls->key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
      SSL_CTX_free(context);
      return absl::InvalidArgumentError(
          absl::StrCat("no usable certificate and key in ", tls->certificate_file));
    }
  }
  Fd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t size = sizeof(address);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (!listener.valid() || bind(listener.get(), generic, size) != 0 ||
      listen(listener.get(), kBacklog) != 0 || getsockname(listener.get(), generic, &size) != 0) {
    if (context != nullptr) SSL_CTX_free(context);
    return ErrnoStatus(errno, "listen on 127.0.0.1");
  }
  return std::unique_ptr<HttpServer>(
      new HttpServer(std::move(handler), std::move(listener), ntohs(address.sin_port), context));
}

HttpServer::HttpServer(Handler handler, Fd listener, int port, void* tls_context)
    : handler_(std::move(handler)),
      listener_(std::move(listener)),
      port_(port),
      tls_context_(tls_context),
      acceptor_(&HttpServer::Accept, this) {}

HttpServer::~HttpServer() {
  stop_.Notify();
  shutdown(listener_.get(), SHUT_RDWR);
  acceptor_.join();
  absl::MutexLock lock(&mutex_);
  for (const int fd : open_) shutdown(fd, SHUT_RDWR);
  const auto none = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return open_.empty(); };
  mutex_.Await(absl::Condition(&none));
  if (tls_context_ != nullptr) SSL_CTX_free(static_cast<SSL_CTX*>(tls_context_));
}

void HttpServer::Accept() {
  while (true) {
    const int fd = accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (stop_.HasBeenNotified()) {
      if (fd >= 0) close(fd);
      return;
    }
    if (fd < 0) continue;
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    absl::MutexLock lock(&mutex_);
    if (open_.size() >= kServerConnectionsMax) {
      close(fd);
      continue;
    }
    open_.insert(fd);
    std::thread([this, fd] { Serve(fd); }).detach();  // ~HttpServer waits for open_ to empty
  }
}

void HttpServer::Serve(int fd) {
  sigset_t pipe;  // SSL_write has no MSG_NOSIGNAL
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
  std::function<void()> afterwards;
  {
    Connection connection(fd, static_cast<SSL_CTX*>(tls_context_));
    while (auto request = connection.Receive()) {
      ServerReply reply = handler_(*request);
      afterwards = std::move(reply.afterwards);
      if (reply.delay > absl::ZeroDuration() && !Wait(reply.delay)) break;
      if (reply.wire == ServerReply::Wire::kReset) {
        connection.ResetOnClose();
        break;
      }
      if (reply.wire == ServerReply::Wire::kSilent) {
        connection.AwaitEnd();
        break;
      }
      std::string head = absl::StrCat("HTTP/1.1 ", reply.status, " Status\r\n");
      for (const auto& [name, value] : reply.headers) {
        absl::StrAppend(&head, name, ": ", value, "\r\n");
      }
      if (reply.status != 204)
        absl::StrAppend(&head, "Content-Length: ", reply.body.size(), "\r\n");
      absl::StrAppend(&head, "\r\n");
      absl::string_view body = reply.body;
      if (request->method == "HEAD") body = "";
      if (reply.wire == ServerReply::Wire::kCut) body = body.substr(0, body.size() / 2);
      if (!connection.Send(head)) break;
      if (reply.body_delay > absl::ZeroDuration() && !Wait(reply.body_delay)) break;
      if (!connection.Send(body) || reply.wire != ServerReply::Wire::kWhole) break;
    }
    // The number may be given to another connection as soon as it is closed.
    absl::MutexLock lock(&mutex_);
    close(fd);
    if (!afterwards) {
      open_.erase(fd);
      return;
    }
    open_.erase(fd);
    open_.insert(-fd - 1);  // still counts as running
  }
  afterwards();
  absl::MutexLock lock(&mutex_);
  open_.erase(-fd - 1);
}

}  // namespace diskd::object
