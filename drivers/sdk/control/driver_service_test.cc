// SPDX-License-Identifier: Apache-2.0
#include "drivers/sdk/control/driver_service.h"

#include <fcntl.h>
#include <google/protobuf/stubs/logging.h>
#include <sys/socket.h>

#include <random>

#include "drivers/sdk/device/fuse_abi.h"
#include "drivers/sdk/features.h"
#include "drivers/sdk/testing/fake_driver.h"
#include "gtest/gtest.h"

namespace diskd::sdk {
namespace {

using driver::v1::Response;
using Control = driver::v1::Request;

int provisions = 0;
int open_drivers = 0;
bool impossible_geometry = false;
absl::Status health;

class CountedDriver final : public SyncDriver {
 public:
  explicit CountedDriver(uint64_t size) {
    geometry_.size_bytes = impossible_geometry ? size + 1 : size;
    ++open_drivers;
  }
  ~CountedDriver() override { --open_drivers; }
  Geometry geometry() const override { return geometry_; }
  absl::Status health() override { return diskd::sdk::health; }
  int Read(uint64_t, absl::Span<std::byte>) override { return 0; }
  int Write(uint64_t, absl::Span<const std::byte>, bool) override { return 0; }

 private:
  Geometry geometry_;
};

const DriverDefinition& TestDefinition() {
  static const DriverDefinition definition{
      .name = "test",
      .description = "for this test",
      .parameters = {{"colour", "of the bits"}},
      .provision =
          [](const VolumeConfig&) {
            ++provisions;
            return absl::OkStatus();
          },
      .open = [](const VolumeConfig& config) -> absl::StatusOr<std::unique_ptr<Driver>> {
        if (config.tell_opening != nullptr) {
          config.tell_opening({7, "waiting for a friend", absl::Minutes(20)});
        }
        return std::make_unique<CountedDriver>(config.size_bytes);
      },
  };
  return definition;
}

class DriverServiceTest : public testing::Test {
 protected:
  void SetUp() override {
    provisions = 0;
    impossible_geometry = false;
    health = absl::OkStatus();
    config_.set_volume_id("v1");
    config_.set_size_bytes(1 << 20);
    config_.set_state_dir("/nowhere");
    int fds[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    kernel_ = Fd(fds[0]);
    server_ = Fd(fds[1]);
  }

  Response Call(const Control& request, std::vector<Fd> fds = {}) {
    reply_ = {};
    service_.Handle(request, std::move(fds), reply_);
    return reply_.response;
  }
  absl::StatusCode Open() {
    Control request;
    *request.mutable_open()->mutable_config() = config_;
    return static_cast<absl::StatusCode>(Call(request).code());
  }
  absl::StatusCode Serve(driver::v1::Transport transport, bool resend = false) {
    Control request;
    request.mutable_serve()->set_transport(transport);
    request.mutable_serve()->set_resend(resend);
    std::vector<Fd> fds;
    if (server_.valid()) fds.push_back(std::move(server_));
    return static_cast<absl::StatusCode>(Call(request, std::move(fds)).code());
  }
  driver::v1::StatusResponse Status() {
    Control request;
    request.mutable_status();
    return Call(request).status();
  }

  driver::v1::VolumeConfig config_;
  Fd kernel_, server_;
  DriverService service_{TestDefinition()};
  ControlReply reply_;
};

TEST_F(DriverServiceTest, Open_GivesTheGeometry) {
  ASSERT_EQ(Open(), absl::StatusCode::kOk);
  EXPECT_EQ(reply_.response.open().geometry().size_bytes(), 1u << 20);
  EXPECT_TRUE(Status().opened());
  EXPECT_EQ(Status().volume_id(), "v1");
  EXPECT_EQ(Status().driver_name(), "test");
  EXPECT_EQ(Status().serving(), driver::v1::TRANSPORT_UNSPECIFIED);
}

TEST_F(DriverServiceTest, Open_TellsItsProgressToWhoAsksForIt) {
  Control request;
  *request.mutable_open()->mutable_config() = config_;
  request.mutable_open()->set_tell_progress(true);
  std::vector<Response> ahead;
  ControlReply reply;
  reply.send_ahead = [&ahead](const Response& response) { ahead.push_back(response); };
  service_.Handle(request, {}, reply);
  EXPECT_TRUE(reply.response.has_open());
  ASSERT_EQ(ahead.size(), 1u);
  EXPECT_EQ(ahead[0].progress().steps(), 7u);
  EXPECT_EQ(ahead[0].progress().doing(), "waiting for a friend");
  EXPECT_EQ(ahead[0].progress().expected_s(), 1200);
  DriverService other(TestDefinition());
  request.mutable_open()->set_tell_progress(false);
  other.Handle(request, {}, reply);
  EXPECT_TRUE(reply.response.has_open());
  EXPECT_EQ(ahead.size(), 1u);
}

TEST_F(DriverServiceTest, FeatureAtRest_TellsHowTheOpeningGoes) {
  DriverDefinition definition = TestDefinition();
  definition.at_rest = [](const VolumeConfig& config) {
    config.tell_opening({3, "waiting for another node", absl::Minutes(5)});
    return absl::StatusOr<std::unique_ptr<VolumeFeatures>>(absl::UnavailableError("gone"));
  };
  DriverService service(definition);
  Control request;
  *request.mutable_feature()->mutable_config() = config_;
  request.mutable_feature()->mutable_list_snapshots();
  request.mutable_feature()->set_tell_progress(true);
  std::vector<Response> ahead;
  ControlReply reply;
  reply.send_ahead = [&ahead](const Response& response) { ahead.push_back(response); };
  service.Handle(request, {}, reply);
  ASSERT_EQ(ahead.size(), 1u);
  EXPECT_EQ(ahead[0].progress().doing(), "waiting for another node");
  EXPECT_EQ(reply.response.message(), "gone");
}

TEST_F(DriverServiceTest, Ping_SaysWhatMakesEveryRequestFail) {
  ASSERT_EQ(Open(), absl::StatusCode::kOk);
  Control ping;
  ping.mutable_ping();
  EXPECT_EQ(Call(ping).ping().failure(), "");
  health = absl::FailedPreconditionError("taken over");
  EXPECT_EQ(Call(ping).ping().failure(), "taken over");
  EXPECT_EQ(reply_.response.code(), 0);
}

TEST_F(DriverServiceTest, Open_Twice_IsRefused) {
  ASSERT_EQ(Open(), absl::StatusCode::kOk);
  EXPECT_EQ(Open(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(open_drivers, 1);
}

TEST_F(DriverServiceTest, Open_WithAnImpossibleGeometry_IsRefused) {
  impossible_geometry = true;
  EXPECT_EQ(Open(), absl::StatusCode::kInternal);
  EXPECT_FALSE(Status().opened());
}

TEST_F(DriverServiceTest, UnknownParameter_IsRefusedAndKnownOnesListed) {
  (*config_.mutable_parameters())["color"] = "red";
  Control request;
  *request.mutable_provision()->mutable_config() = config_;
  const Response response = Call(request);
  EXPECT_EQ(response.code(), static_cast<int>(absl::StatusCode::kInvalidArgument));
  EXPECT_NE(response.message().find("colour"), std::string::npos);
  EXPECT_EQ(provisions, 0);
}

TEST_F(DriverServiceTest, BadConfigs_AreRefused) {
  const driver::v1::VolumeConfig good = config_;
  config_.set_size_bytes(1000);
  EXPECT_EQ(Open(), absl::StatusCode::kInvalidArgument);
  config_ = good;
  config_.set_size_bytes(~uint64_t{511});
  EXPECT_EQ(Open(), absl::StatusCode::kInvalidArgument);
  config_ = good;
  config_.set_logical_block_bytes(100);
  EXPECT_EQ(Open(), absl::StatusCode::kInvalidArgument);
  config_ = good;
  config_.set_volume_id("../x");
  EXPECT_EQ(Open(), absl::StatusCode::kInvalidArgument);
  config_ = good;
  config_.set_state_dir("relative");
  EXPECT_EQ(Open(), absl::StatusCode::kInvalidArgument);
  config_ = good;
  config_.set_memory_dir("relative");
  EXPECT_EQ(Open(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(open_drivers, 0);
}

TEST_F(DriverServiceTest, Serve_BeforeOpen_IsRefused) {
  EXPECT_EQ(Serve(driver::v1::TRANSPORT_FUSE), absl::StatusCode::kFailedPrecondition);
}

TEST_F(DriverServiceTest, Serve_WithoutDescriptorsOrTransport_IsRefused) {
  ASSERT_EQ(Open(), absl::StatusCode::kOk);
  EXPECT_EQ(Serve(driver::v1::TRANSPORT_UNSPECIFIED), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(server_.valid());
  EXPECT_EQ(Serve(driver::v1::TRANSPORT_FUSE), absl::StatusCode::kInvalidArgument);
}

TEST_F(DriverServiceTest, Serve_OverFuse_IsReportedAndNotStartedTwice) {
  ASSERT_EQ(Open(), absl::StatusCode::kOk);
  ASSERT_EQ(Serve(driver::v1::TRANSPORT_FUSE), absl::StatusCode::kOk);
  EXPECT_EQ(Status().serving(), driver::v1::TRANSPORT_FUSE);
  EXPECT_EQ(Status().queues(), 1u);
  server_ = Fd(dup(kernel_.get()));
  EXPECT_EQ(Serve(driver::v1::TRANSPORT_FUSE), absl::StatusCode::kFailedPrecondition);
  Control request;
  request.mutable_descriptors();
  EXPECT_EQ(Call(request).descriptors().count(), 1u);
  EXPECT_EQ(reply_.fds.size(), 1u);
}

TEST_F(DriverServiceTest, Serve_WithResend_NotifiesTheKernelOnce) {
  ASSERT_EQ(Open(), absl::StatusCode::kOk);
  ASSERT_EQ(Serve(driver::v1::TRANSPORT_FUSE, true), absl::StatusCode::kOk);
  fuse_out_header header{};
  ASSERT_EQ(recv(kernel_.get(), &header, sizeof(header), MSG_DONTWAIT),
            static_cast<ssize_t>(sizeof(header)));
  EXPECT_EQ(header.error, kFuseNotifyResend);
  EXPECT_LT(recv(kernel_.get(), &header, sizeof(header), MSG_DONTWAIT), 0);
}

TEST_F(DriverServiceTest, EndOfTheConnection_ShowsInTheStatusAndANewOneCanBeServed) {
  ASSERT_EQ(Open(), absl::StatusCode::kOk);
  ASSERT_EQ(Serve(driver::v1::TRANSPORT_FUSE), absl::StatusCode::kOk);
  kernel_.reset();
  while (Status().serving() != driver::v1::TRANSPORT_UNSPECIFIED) std::this_thread::yield();
  EXPECT_TRUE(Status().opened());
  // The agent replaces a process that answers a ping with an error.
  Control ping;
  ping.mutable_ping();
  EXPECT_EQ(Call(ping).code(), static_cast<int>(absl::StatusCode::kUnavailable));
  int fds[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
  kernel_ = Fd(fds[0]);
  server_ = Fd(fds[1]);
  EXPECT_EQ(Serve(driver::v1::TRANSPORT_FUSE), absl::StatusCode::kOk);
}

TEST_F(DriverServiceTest, Deprovision_WhileOpen_IsRefused) {
  ASSERT_EQ(Open(), absl::StatusCode::kOk);
  Control request;
  *request.mutable_deprovision()->mutable_config() = config_;
  EXPECT_EQ(Call(request).code(), static_cast<int>(absl::StatusCode::kFailedPrecondition));
}

TEST_F(DriverServiceTest, Shutdown_StopsServingAndClosesTheVolume) {
  ASSERT_EQ(Open(), absl::StatusCode::kOk);
  ASSERT_EQ(Serve(driver::v1::TRANSPORT_FUSE), absl::StatusCode::kOk);
  Control request;
  request.mutable_shutdown();
  EXPECT_EQ(Call(request).code(), 0);
  EXPECT_TRUE(reply_.stop);
  EXPECT_EQ(open_drivers, 0);
}

TEST_F(DriverServiceTest, MutatedRequests_AreAnsweredWithAStatus) {
  std::vector<std::string> seeds;
  for (int kind = 1; kind <= 8; ++kind) {
    Control request;
    if (kind == 1) request.mutable_ping();
    if (kind == 2) *request.mutable_provision()->mutable_config() = config_;
    if (kind == 3) *request.mutable_deprovision()->mutable_config() = config_;
    if (kind == 4) *request.mutable_open()->mutable_config() = config_;
    if (kind == 5) request.mutable_serve()->set_transport(driver::v1::TRANSPORT_BUSE);
    if (kind == 6) request.mutable_status();
    if (kind == 7) request.mutable_descriptors();
    if (kind == 8) request.mutable_shutdown();
    seeds.push_back(request.SerializeAsString());
  }
  const google::protobuf::LogSilencer silencer;  // about bytes that are no text
  std::mt19937 random(11);
  int parsed = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string bytes = seeds[random() % seeds.size()];
    for (size_t flips = random() % 4; flips > 0 && !bytes.empty(); --flips) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    Control request;
    if (!request.ParseFromString(bytes)) continue;
    ++parsed;
    std::vector<Fd> fds;
    if (random() % 2 == 0) fds.emplace_back(open("/dev/null", O_RDWR | O_CLOEXEC));
    // A broken serve leaves nothing behind, so that the next mutation can try again.
    const Response response = Call(request, std::move(fds));
    ASSERT_TRUE(response.code() != 0 || response.response_case() != Response::RESPONSE_NOT_SET);
  }
  EXPECT_GT(parsed, 1000);
}

TEST_F(DriverServiceTest, RequestOfALaterProtocol_IsUnimplemented) {
  EXPECT_EQ(Call(Control{}).code(), static_cast<int>(absl::StatusCode::kUnimplemented));
}

}  // namespace
}  // namespace diskd::sdk
