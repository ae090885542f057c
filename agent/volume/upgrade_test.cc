// SPDX-License-Identifier: Apache-2.0
#include "agent/volume/attachments.h"
#include "agent/volume/test_node.h"
#include "gtest/gtest.h"

namespace diskd::agent {
namespace {

class UpgradeTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(node_.StartAgent().ok());
    before_ = node_.MakeAttachedVolume("a");
  }
  absl::StatusOr<diskd::v1::UpgradeDriverResponse> Upgrade(bool force = false) {
    diskd::v1::UpgradeDriverRequest request;
    request.set_volume("a");
    request.set_force(force);
    return node_.attachments().UpgradeDriver(request);
  }
  pid_t Pid() { return node_.drivers().PidOf(before_.id()); }
  void ExpectFormerGoesOn() {
    EXPECT_EQ(Pid(), before_.attachment().driver_pid());
    EXPECT_TRUE(node_.drivers().Serving(before_.id()));
    EXPECT_EQ(node_.drivers().count(before_.id()), 1);
    const auto shown = node_.volumes().Get("a")->attachment();
    EXPECT_EQ(shown.state(), diskd::v1::ATTACHMENT_STATE_ATTACHED);
    EXPECT_EQ(shown.driver_pid(), before_.attachment().driver_pid());
  }
  TestNode node_{testing::TempDir()};
  diskd::v1::Volume before_;
};

TEST_F(UpgradeTest, SameDriver_StaysUnlessForced) {
  auto response = Upgrade();
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_FALSE(response->replaced());
  ExpectFormerGoesOn();
  response = Upgrade(/*force=*/true);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_TRUE(response->replaced());
  EXPECT_NE(Pid(), before_.attachment().driver_pid());
}

TEST_F(UpgradeTest, NewDriver_ReplacesTheProcessOnceAndIsSupervised) {
  node_.drivers().catalog()->installed = 2;
  auto response = Upgrade();
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_TRUE(response->replaced());
  EXPECT_EQ(response->attachment().driver_pid(), Pid());
  EXPECT_EQ(response->attachment().driver_restarts(), 1u);
  EXPECT_EQ(response->attachment().device_path(), before_.attachment().device_path());
  EXPECT_EQ(node_.drivers().count(before_.id()), 1);
  EXPECT_EQ(node_.drivers().resends(), 0);
  EXPECT_FALSE(Upgrade()->replaced());
  node_.drivers().KillProcess(before_.id());
  while (node_.volumes().Get("a")->attachment().driver_restarts() < 2) {
    node_.Await("a", diskd::v1::ATTACHMENT_STATE_ATTACHED);
  }
  EXPECT_TRUE(node_.attachments().Detach(TestNode::DetachRequest("a")).ok());
  EXPECT_EQ(node_.Leftovers(), "");
}

TEST_F(UpgradeTest, NewDriverThatFails_AtAnyStepLeavesTheFormerServing) {
  node_.drivers().catalog()->installed = 2;
  for (const char* call : {"open", "standby", "hand_over"}) {
    SCOPED_TRACE(call);
    node_.drivers().FailCalls(call, absl::UnavailableError("it says why"));
    const absl::Status status = Upgrade().status();
    EXPECT_TRUE(absl::IsUnavailable(status)) << status;
    EXPECT_NE(status.message().find("it says why"), absl::string_view::npos) << status;
    EXPECT_NE(status.message().find("goes on"), absl::string_view::npos) << status;
    ExpectFormerGoesOn();
    node_.drivers().FailCalls(call, absl::OkStatus());
  }
  EXPECT_TRUE(Upgrade()->replaced());
}

TEST_F(UpgradeTest, NotAttachedOrUnknown_IsRefused) {
  node_.MakeVolume("b");
  diskd::v1::UpgradeDriverRequest request;
  request.set_volume("b");
  EXPECT_TRUE(absl::IsFailedPrecondition(node_.attachments().UpgradeDriver(request).status()));
  request.set_volume("nosuch");
  EXPECT_TRUE(absl::IsNotFound(node_.attachments().UpgradeDriver(request).status()));
}

TEST_F(UpgradeTest, AgentThatFindsTwoProcesses_KeepsTheOneThatServes) {
  node_.StopAgent();
  const auto second = node_.drivers().Launch(before_.id(), "memory", 1);
  ASSERT_TRUE(second.ok());
  ASSERT_TRUE(node_.StartAgent().ok());
  ExpectFormerGoesOn();
}

}  // namespace
}  // namespace diskd::agent
