// SPDX-License-Identifier: Apache-2.0
#include "agent/server/server.h"

#include <grpcpp/create_channel.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "agent/server/services.h"
#include "agent/server/status.h"
#include "agent/volume/test_node.h"
#include "base/fd.h"
#include "gtest/gtest.h"

namespace diskd::agent {
namespace {

constexpr absl::Duration kSoon = absl::Seconds(20);

class ServerTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(node_.StartAgent().ok());
    socket_ = node_.state_dir() + "/diskd.sock";
    volume_service_ = std::make_unique<VolumeService>(&node_.volumes(), &node_.features());
    snapshot_service_ = std::make_unique<SnapshotService>(&node_.features());
    attachment_service_ = std::make_unique<AttachmentService>(&node_.attachments());
    node_service_ = std::make_unique<NodeService>(
        NodeIdentity{.node_name = "n1", .agent_version = "1", .state_dir = "/s"}, &node_.store(),
        &node_.devices(), node_.drivers().catalog());
  }
  absl::StatusOr<std::unique_ptr<grpc::Server>> Start() {
    return StartServer(socket_, {volume_service_.get(), snapshot_service_.get(),
                                 attachment_service_.get(), node_service_.get()});
  }
  std::shared_ptr<grpc::Channel> Channel() {
    return grpc::CreateChannel("unix:" + socket_, grpc::InsecureChannelCredentials());
  }
  // What a killed agent leaves.
  void LeaveStaleSocket() {
    const Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    strncpy(address.sun_path, socket_.c_str(), sizeof(address.sun_path) - 1);
    ASSERT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  }
  TestNode node_{testing::TempDir()};
  std::string socket_;
  std::unique_ptr<VolumeService> volume_service_;
  std::unique_ptr<SnapshotService> snapshot_service_;
  std::unique_ptr<AttachmentService> attachment_service_;
  std::unique_ptr<NodeService> node_service_;
};

TEST_F(ServerTest, StaleSocket_IsReplacedWithModeForTheGroup) {
  LeaveStaleSocket();
  const auto server = Start();
  ASSERT_TRUE(server.ok()) << server.status();
  struct stat st;
  ASSERT_EQ(stat(socket_.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0660u);
}

TEST_F(ServerTest, SocketInUse_IsRefusedAndNamed) {
  const auto first = Start();
  ASSERT_TRUE(first.ok()) << first.status();
  const absl::Status second = Start().status();
  EXPECT_TRUE(absl::IsFailedPrecondition(second));
  EXPECT_NE(second.message().find(socket_), absl::string_view::npos) << second;
}

TEST_F(ServerTest, Calls_ReachTheLogicAndErrorsKeepCodeAndMessage) {
  const auto server = Start();
  ASSERT_TRUE(server.ok()) << server.status();
  const auto volumes = diskd::v1::VolumeService::NewStub(Channel());
  const auto attachments = diskd::v1::AttachmentService::NewStub(Channel());
  const auto nodes = diskd::v1::NodeService::NewStub(Channel());

  diskd::v1::CreateVolumeResponse created;
  grpc::ClientContext create_context;
  ASSERT_TRUE(volumes->CreateVolume(&create_context, TestNode::CreateRequest("a"), &created).ok());
  EXPECT_EQ(created.volume().name(), "a");

  diskd::v1::AttachVolumeResponse attached;
  grpc::ClientContext attach_context;
  ASSERT_TRUE(
      attachments->AttachVolume(&attach_context, TestNode::AttachRequest("a"), &attached).ok());
  EXPECT_EQ(attached.attachment().volume_id(), created.volume().id());

  diskd::v1::GetNodeInfoResponse info;
  grpc::ClientContext info_context;
  ASSERT_TRUE(nodes->GetNodeInfo(&info_context, {}, &info).ok());
  EXPECT_EQ(info.node_name(), "n1");
  EXPECT_EQ(info.volumes(), 1u);
  EXPECT_EQ(info.attachments(), 1u);
  EXPECT_EQ(info.transports_size(), 2);

  const auto snapshots = diskd::v1::SnapshotService::NewStub(Channel());
  diskd::v1::CreateSnapshotRequest snapshot;
  snapshot.set_volume("a");
  snapshot.set_name("s");
  diskd::v1::CreateSnapshotResponse taken;
  grpc::ClientContext snapshot_context;
  ASSERT_TRUE(snapshots->CreateSnapshot(&snapshot_context, snapshot, &taken).ok());
  EXPECT_EQ(taken.snapshot().volume_name(), "a");
  diskd::v1::ListSnapshotsRequest list;
  list.set_volume("a");
  diskd::v1::ListSnapshotsResponse listed;
  grpc::ClientContext list_context;
  ASSERT_TRUE(snapshots->ListSnapshots(&list_context, list, &listed).ok());
  EXPECT_EQ(listed.snapshots_size(), 1);
  diskd::v1::GetVolumeStatsRequest ask;
  ask.set_volume("a");
  diskd::v1::GetVolumeStatsResponse stats;
  grpc::ClientContext stats_context;
  ASSERT_TRUE(volumes->GetVolumeStats(&stats_context, ask, &stats).ok());
  EXPECT_EQ(stats.statistics_size(), 1);

  diskd::v1::GetVolumeRequest unknown;
  unknown.set_volume("nosuch");
  diskd::v1::GetVolumeResponse ignored;
  grpc::ClientContext get_context;
  const grpc::Status status = volumes->GetVolume(&get_context, unknown, &ignored);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_NE(status.error_message().find("nosuch"), std::string::npos);
}

TEST_F(ServerTest, AsManyChecksAsThereAreThreads_KeepNobodyFromAttaching) {
  const auto server = Start();
  ASSERT_TRUE(server.ok()) << server.status();
  for (int i = 0; i < kMaxServerThreads; ++i) node_.MakeVolume(absl::StrCat("v", i));
  node_.drivers().HoldCalls("feature", true);
  const auto volumes = diskd::v1::VolumeService::NewStub(Channel());
  std::atomic<int> refused = 0;
  std::atomic<int> checked = 0;
  std::vector<std::thread> checks;
  for (int i = 0; i < kMaxServerThreads; ++i) {
    checks.emplace_back([&, i] {
      diskd::v1::CheckVolumeRequest request;
      request.set_volume(absl::StrCat("v", i));
      diskd::v1::CheckVolumeResponse response;
      grpc::ClientContext context;
      const grpc::Status status = volumes->CheckVolume(&context, request, &response);
      if (status.ok()) ++checked;
      if (status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED) ++refused;
    });
  }
  const absl::Time deadline = absl::Now() + kSoon;
  while (refused < kMaxServerThreads - kMaxLongCalls && absl::Now() < deadline) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  const auto attachments = diskd::v1::AttachmentService::NewStub(Channel());
  diskd::v1::AttachVolumeResponse attached;
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kSoon));
  const grpc::Status status =
      attachments->AttachVolume(&context, TestNode::AttachRequest("v0"), &attached);
  EXPECT_TRUE(status.ok()) << status.error_message();
  node_.drivers().HoldCalls("feature", false);
  for (std::thread& check : checks) check.join();
  EXPECT_EQ(checked, kMaxLongCalls);
  EXPECT_EQ(refused, kMaxServerThreads - kMaxLongCalls);
}

TEST_F(ServerTest, Health_IsServing) {
  const auto server = Start();
  ASSERT_TRUE(server.ok()) << server.status();
  ASSERT_NE((*server)->GetHealthCheckService(), nullptr);
}

TEST(ToGrpc_Codes, AreTheSameNumbers) {
  EXPECT_TRUE(ToGrpc(absl::OkStatus()).ok());
  EXPECT_EQ(ToGrpc(absl::AbortedError("x")).error_code(), grpc::StatusCode::ABORTED);
  EXPECT_EQ(ToGrpc(absl::UnauthenticatedError("x")).error_code(),
            grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(ToGrpc(absl::DataLossError("lost")).error_message(), "lost");
}

}  // namespace
}  // namespace diskd::agent
