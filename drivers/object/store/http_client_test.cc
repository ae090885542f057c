// SPDX-License-Identifier: Apache-2.0
//
// Time-outs of one request, and what is left of it on the wire.
#include "drivers/object/store/http_client.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <list>
#include <memory>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "base/fd.h"
#include "drivers/object/store/testing/http_server.h"

namespace diskd::object {
namespace {

// A server's end of one connection, byte by byte.
class Wire {
 public:
  Wire() : listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(listener_.get(), 1), 0);
    EXPECT_EQ(getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
  }
  std::string url() const { return absl::StrCat("http://127.0.0.1:", port_, "/a"); }
  void Accept() {
    connection_ = Fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    ASSERT_TRUE(connection_.valid());
  }
  ssize_t Read(size_t bytes) {
    std::string part(bytes, '\0');
    return recv(connection_.get(), part.data(), part.size(), 0);
  }
  void Write(const std::string& text) {
    EXPECT_EQ(send(connection_.get(), text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }

 private:
  const Fd listener_;
  int port_ = 0;
  Fd connection_;
};

HttpClient::Prepare Put(const std::string& url, size_t bytes) {
  return [=] {
    HttpRequest request;
    request.method = "PUT";
    request.url = url;
    request.body = std::make_shared<const std::string>(bytes, 'x');
    return request;
  };
}

struct Outcome {
  absl::Notification ended;
  absl::StatusOr<HttpAnswer> answer = absl::UnknownError("none");
  HttpClient::Done Callback() {
    return [this](absl::StatusOr<HttpAnswer> result) {
      answer = std::move(result);
      ended.Notify();
    };
  }
};

TEST(HttpClientTest, RequestThatIsGivenUp_IsResetAndNotSentLater) {
  Wire wire;
  HttpClientOptions options;
  options.idle_timeout = absl::Milliseconds(200);
  HttpClient client(options);
  Outcome put;
  client.Start(Put(wire.url(), 32 << 20), put.Callback());
  wire.Accept();
  put.ended.WaitForNotification();
  EXPECT_FALSE(put.answer.ok());
  ssize_t got;
  do got = wire.Read(1 << 20);
  while (got > 0);
  EXPECT_EQ(got, -1) << "the kernel went on sending, and ended in order";
  EXPECT_EQ(errno, ECONNRESET);
}

TEST(HttpClientTest, BodyThatGoesOutSlowly_IsNotCutOff) {
  constexpr size_t kBody = 2 << 20;
  Wire wire;
  HttpClientOptions options;
  options.attempt_timeout = absl::Milliseconds(100);
  HttpClient client(options);
  Outcome put;
  client.Start(Put(wire.url(), kBody), put.Callback());
  wire.Accept();
  const absl::Time began = absl::Now();
  for (size_t taken = 0; taken < kBody;) {
    const ssize_t got = wire.Read(64 << 10);
    ASSERT_GT(got, 0);
    taken += got;
    absl::SleepFor(absl::Milliseconds(10));  // a slow connection
  }
  ASSERT_GT(absl::Now() - began, options.attempt_timeout);
  wire.Write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  put.ended.WaitForNotification();
  ASSERT_TRUE(put.answer.ok()) << put.answer.status();
  EXPECT_EQ(put.answer->status, 200);
}

// Answers nobody: its queue of connections is full, so that the kernel drops who tries.
class DeadAddress {
 public:
  DeadAddress(const char* address, int port)
      : listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(static_cast<uint16_t>(port));
    EXPECT_EQ(inet_pton(AF_INET, address, &at.sin_addr), 1);
    EXPECT_EQ(bind(listener_.get(), reinterpret_cast<sockaddr*>(&at), sizeof(at)), 0);
    EXPECT_EQ(listen(listener_.get(), 0), 0);
    for (int i = 0; i < 4; ++i) {
      waiting_.emplace_back(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      (void)connect(waiting_.back().get(), reinterpret_cast<sockaddr*>(&at), sizeof(at));
    }
  }

 private:
  const Fd listener_;
  std::vector<Fd> waiting_;
};

TEST(HttpClientTest, NameWithAnAddressThatIsDead_IsReachedByAnother) {
  const auto server = HttpServer::Start([](const ServerRequest&) { return ServerReply(); });
  ASSERT_TRUE(server.ok()) << server.status();
  const int port = (*server)->port();
  const DeadAddress dead("127.0.0.2", port);
  for (const char* others : {"127.0.0.2", "127.0.0.3,127.0.0.4"}) {  // silent; refusing
    HttpClientOptions options;
    options.connect_timeout = absl::Seconds(4);
    options.resolve = {absl::StrCat("store.test:", port, ":", others, ",127.0.0.1")};
    HttpClient client(options);
    std::list<Outcome> gets(3);
    for (Outcome& get : gets) {
      client.Start(
          [port] {
            HttpRequest request;
            request.method = "GET";
            request.url = absl::StrCat("http://store.test:", port, "/");
            return request;
          },
          get.Callback());
    }
    for (Outcome& get : gets) {
      get.ended.WaitForNotification();
      EXPECT_TRUE(get.answer.ok()) << others << ": " << get.answer.status();
    }
  }
}

TEST(HttpClientTest, TimeOuts_CountByTheClientsClockAlone) {
  const auto server = HttpServer::Start([](const ServerRequest&) {
    ServerReply reply;
    reply.wire = ServerReply::Wire::kSilent;
    return reply;
  });
  ASSERT_TRUE(server.ok()) << server.status();
  std::atomic<int64_t> seconds = 1;
  HttpClientOptions options;
  options.clock = [&seconds] { return absl::Seconds(seconds.load()); };
  const auto get = [&server] {
    HttpRequest request;
    request.method = "GET";
    request.url = absl::StrCat("http://127.0.0.1:", (*server)->port(), "/");
    return request;
  };
  absl::Notification begun;
  absl::Notification ended;
  absl::Notification taken;
  absl::Status status;
  HttpClient client(options);
  client.Start(
      [&] {
        begun.Notify();
        return get();
      },
      [&](const absl::StatusOr<HttpAnswer>& answer) {
        status = answer.status();
        ended.Notify();
      });
  begun.WaitForNotification();
  // Another request wakes the client: it can't know that this clock has jumped.
  client.Start(
      [&]() -> absl::StatusOr<HttpRequest> {
        seconds += absl::ToInt64Seconds(kAttemptTimeout) + 1;
        return absl::CancelledError("only to wake it");
      },
      [&](const absl::StatusOr<HttpAnswer>&) { taken.Notify(); });
  taken.WaitForNotification();
  EXPECT_TRUE(ended.WaitForNotificationWithTimeout(kConnectTimeout));
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
}

// Requests to a server that answers none of them, by a clock that stands still.
class SlowLane {
 public:
  explicit SlowLane(HttpClientOptions options) {
    options.clock = [this] { return absl::Seconds(seconds_.load()); };
    auto server = HttpServer::Start([this](const ServerRequest&) {
      const absl::MutexLock lock(&mutex_);
      ++arrived_;
      ServerReply reply;
      reply.wire = ServerReply::Wire::kSilent;
      return reply;
    });
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    client_ = std::make_unique<HttpClient>(std::move(options));
  }

  void StartGets(int count) {
    for (int i = 0; i < count; ++i) {
      client_->Start([this] { return Begin(); },
                     [this](const absl::StatusOr<HttpAnswer>&) {
                       const absl::MutexLock lock(&mutex_);
                       --in_flight_;
                       ++ended_;
                     });
    }
  }
  // The client can't know that this clock has jumped: a request wakes it.
  void Pass(absl::Duration time) {
    seconds_ += absl::ToInt64Seconds(time);
    client_->Start([] { return absl::CancelledError("only to wake it"); },
                   [](const absl::StatusOr<HttpAnswer>&) {});
  }
  bool AwaitArrived(int count) { return Await(&arrived_, count); }
  bool AwaitEnded(int count) { return Await(&ended_, count); }
  int most_in_flight() {
    const absl::MutexLock lock(&mutex_);
    return most_in_flight_;
  }

 private:
  HttpRequest Begin() {
    const absl::MutexLock lock(&mutex_);
    most_in_flight_ = std::max(most_in_flight_, ++in_flight_);
    HttpRequest request;
    request.method = "GET";
    request.url = absl::StrCat("http://127.0.0.1:", server_->port(), "/");
    return request;
  }
  bool Await(const int* number, int least) {
    const absl::MutexLock lock(&mutex_);
    const auto enough = [number, least] { return *number >= least; };
    return mutex_.AwaitWithTimeout(absl::Condition(&enough), kConnectTimeout);
  }

  std::atomic<int64_t> seconds_ = 1;
  absl::Mutex mutex_;
  int arrived_ = 0;
  int in_flight_ = 0;
  int most_in_flight_ = 0;
  int ended_ = 0;
  std::unique_ptr<HttpServer> server_;
  std::unique_ptr<HttpClient> client_;  // last: its thread uses the rest
};

TEST(HttpClientTest, SlowRequests_LeaveTheirPlacesUpToALimit) {
  HttpClientOptions options;
  options.in_flight_max = 2;
  options.slow_max = 3;
  SlowLane lane(options);
  lane.StartGets(10);
  const absl::Duration slow = kPatience + absl::Seconds(1);
  for (const int arrived : {2, 4, 5}) {
    ASSERT_TRUE(lane.AwaitArrived(arrived)) << arrived;
    lane.Pass(slow);
  }
  // Were there a place for one more, it would be taken before these time out.
  lane.Pass(kIdleTimeout);
  EXPECT_TRUE(lane.AwaitEnded(5));
  EXPECT_EQ(lane.most_in_flight(), 5);
}

TEST(HttpClientTest, SlowRequests_OfALaneThatHasNoneBeside_KeepTheirPlaces) {
  HttpClientOptions options;
  options.in_flight_max = 2;
  SlowLane lane(options);
  lane.StartGets(4);
  ASSERT_TRUE(lane.AwaitArrived(2));
  lane.Pass(kPatience + absl::Seconds(1));
  lane.Pass(kIdleTimeout);
  EXPECT_TRUE(lane.AwaitEnded(2));
  EXPECT_EQ(lane.most_in_flight(), 2);
}

}  // namespace
}  // namespace diskd::object
