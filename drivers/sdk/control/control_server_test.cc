// SPDX-License-Identifier: Apache-2.0
#include "drivers/sdk/control/control_server.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <thread>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/packet_socket.h"
#include "drivers/sdk/testing/temp_dir.h"
#include "gtest/gtest.h"

namespace diskd::sdk {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(20);

class RecordingHandler final : public ControlHandler {
 public:
  void Handle(const driver::v1::Request& request, std::vector<Fd> fds,
              ControlReply& reply) override {
    ++requests;
    descriptors += static_cast<int>(fds.size());
    reply.response.set_message("handled");
    reply.stop = request.has_shutdown();
    if (request.has_descriptors()) reply.fds = {STDERR_FILENO};
  }
  int requests = 0;
  int descriptors = 0;
};

class ControlServerTest : public testing::Test {
 protected:
  void SetUp() override {
    auto listener = ListenPacketSocket(path_);
    ASSERT_TRUE(listener.ok()) << listener.status();
    listener_ = *std::move(listener);
    server_ = std::thread([this] { result_ = RunControlServer(listener_.get(), handler_); });
    Connect();
  }
  void TearDown() override {
    driver::v1::Request request;
    request.mutable_shutdown();
    Connect();
    EXPECT_EQ(Call(request.SerializeAsString()).message(), "handled");
    server_.join();
    EXPECT_TRUE(result_.ok()) << result_;
  }
  void Connect() {
    client_.reset();
    auto client = ConnectPacketSocket(path_);
    ASSERT_TRUE(client.ok()) << client.status();
    client_ = *std::move(client);
  }
  driver::v1::Response Call(const std::string& payload, const std::vector<int>& fds = {}) {
    driver::v1::Response response;
    EXPECT_TRUE(SendPacket(client_.get(), payload, fds).ok());
    auto packet = ReceivePacket(client_.get(), kTimeout);
    EXPECT_TRUE(packet.ok()) << packet.status();
    if (!packet.ok()) return response;
    EXPECT_TRUE(response.ParseFromString(packet->payload));
    received_ = std::move(packet->fds);
    return response;
  }
  static std::string Ping() {
    driver::v1::Request request;
    request.mutable_ping();
    return request.SerializeAsString();
  }

  TempDir dir_;
  const std::string path_ = dir_.path() + "/control.sock";
  Fd listener_, client_;
  std::vector<Fd> received_;
  RecordingHandler handler_;
  absl::Status result_;
  std::thread server_;
};

TEST_F(ControlServerTest, Malformed_GetsAnErrorAndTheConnectionGoesOn) {
  const driver::v1::Response response = Call("\xff\xff\xff\xffgarbage");
  EXPECT_EQ(response.code(), static_cast<int>(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(Call(Ping()).message(), "handled");
  EXPECT_EQ(handler_.requests, 1);
}

TEST_F(ControlServerTest, Oversized_GetsAnErrorAndTheConnectionGoesOn) {
  const std::string huge(kMaxPacketBytes + 1000, 'x');
  ASSERT_EQ(send(client_.get(), huge.data(), huge.size(), 0), static_cast<ssize_t>(huge.size()));
  auto packet = ReceivePacket(client_.get(), kTimeout);
  ASSERT_TRUE(packet.ok()) << packet.status();
  driver::v1::Response response;
  ASSERT_TRUE(response.ParseFromString(packet->payload));
  EXPECT_EQ(response.code(), static_cast<int>(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(Call(Ping()).message(), "handled");
}

TEST_F(ControlServerTest, Disconnect_LetsTheNextClientIn) {
  EXPECT_EQ(Call(Ping()).message(), "handled");
  Connect();
  EXPECT_EQ(Call(Ping()).message(), "handled");
}

TEST_F(ControlServerTest, DisconnectBeforeTheAnswer_LetsTheNextClientIn) {
  ASSERT_TRUE(SendPacket(client_.get(), Ping()).ok());
  Connect();
  EXPECT_EQ(Call(Ping()).message(), "handled");
}

TEST_F(ControlServerTest, Descriptors_TravelBothWays) {
  driver::v1::Request request;
  request.mutable_descriptors();
  Call(request.SerializeAsString(), {client_.get(), client_.get()});
  EXPECT_EQ(handler_.descriptors, 2);
  ASSERT_EQ(received_.size(), 1u);
  EXPECT_GE(fcntl(received_[0].get(), F_GETFD), 0);
}

}  // namespace
}  // namespace diskd::sdk
