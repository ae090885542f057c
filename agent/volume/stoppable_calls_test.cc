// SPDX-License-Identifier: Apache-2.0
//
// The agent's end does not wait for drivers.
#include "agent/volume/stoppable_calls.h"

#include <functional>
#include <string>
#include <thread>

#include "absl/time/clock.h"
#include "agent/volume/test_node.h"
#include "gtest/gtest.h"

namespace diskd::agent {
namespace {

class StoppableCallsTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(node_.StartAgent().ok()); }

  // The agent ends while the driver does not answer.
  absl::Status StopDuring(const std::string& kind, const std::string& volume,
                          const std::function<absl::Status()>& call) {
    node_.drivers().HoldCalls(kind, true);
    absl::Status status;
    std::thread caller([&] { status = call(); });
    for (std::string id; id.empty() || !node_.drivers().Running(id);) {
      const auto found = node_.volumes().Get(volume);
      if (found.ok()) id = found->id();
      absl::SleepFor(absl::Milliseconds(1));
    }
    node_.stoppable_calls().Stop();
    caller.join();
    EXPECT_EQ(node_.drivers().List().size(), 0u);
    node_.drivers().HoldCalls(kind, false);
    return status;
  }
  absl::Status Check() {
    diskd::v1::CheckVolumeRequest request;
    request.set_volume("a");
    return node_.features().Check(request).status();
  }

  TestNode node_{testing::TempDir()};
};

TEST_F(StoppableCallsTest, Check_IsBrokenOff_AndNoOtherBegins) {
  node_.MakeVolume("a");
  const absl::Status status = StopDuring("feature", "a", [this] { return Check(); });
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_NE(status.message().find("the agent is ending"), absl::string_view::npos) << status;
  EXPECT_TRUE(absl::IsUnavailable(Check()));
  ASSERT_TRUE(node_.StartAgent().ok());
  EXPECT_TRUE(Check().ok());
}

TEST_F(StoppableCallsTest, Create_IsTakenUpByTheNextAgent) {
  const absl::Status status = StopDuring("provision", "a", [this] {
    return node_.volumes().Create(TestNode::CreateRequest("a")).status();
  });
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_EQ(node_.volumes().Get("a")->state(), diskd::v1::VOLUME_STATE_CREATING);
  ASSERT_TRUE(node_.StartAgent().ok());
  EXPECT_EQ(node_.volumes().Get("a")->state(), diskd::v1::VOLUME_STATE_READY);
}

TEST_F(StoppableCallsTest, Delete_IsTakenUpByTheNextAgent) {
  node_.MakeVolume("a");
  const absl::Status status =
      StopDuring("deprovision", "a", [this] { return node_.volumes().Delete("a"); });
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  ASSERT_TRUE(node_.StartAgent().ok());
  EXPECT_TRUE(absl::IsNotFound(node_.volumes().Get("a").status()));
}

TEST_F(StoppableCallsTest, Resize_IsTakenUpByTheNextAgent) {
  const std::string id = node_.MakeVolume("a").id();
  const absl::Status status = StopDuring("feature", "a", [this] {
    diskd::v1::ResizeVolumeRequest request;
    request.set_volume("a");
    request.set_size_bytes(4 << 20);
    return node_.features().Resize(request).status();
  });
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  ASSERT_TRUE(node_.StartAgent().ok());
  EXPECT_EQ(node_.volumes().Get("a")->size_bytes(), 4u << 20);
  EXPECT_EQ(node_.drivers().BackingBytes(id), 4u << 20);
}

TEST_F(StoppableCallsTest, Attach_IsUndone) {
  node_.MakeVolume("a");
  const absl::Status status = StopDuring("open", "a", [this] {
    return node_.attachments().Attach(TestNode::AttachRequest("a")).status();
  });
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_EQ(node_.Leftovers(), "");
  ASSERT_TRUE(node_.StartAgent().ok());
  EXPECT_TRUE(node_.attachments().Attach(TestNode::AttachRequest("a")).ok());
}

}  // namespace
}  // namespace diskd::agent
