// SPDX-License-Identifier: Apache-2.0
#include "agent/volume/attachments.h"

#include "agent/volume/test_node.h"
#include "gtest/gtest.h"

namespace diskd::agent {
namespace {

using diskd::v1::ATTACHMENT_STATE_ATTACHED;
using diskd::v1::ATTACHMENT_STATE_FAILED;
using diskd::v1::ATTACHMENT_STATE_RECOVERING;

class AttachmentsTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(node_.StartAgent().ok());
    id_ = node_.MakeVolume("a").id();
  }
  absl::StatusOr<diskd::v1::Attachment> Attach() {
    return node_.attachments().Attach(TestNode::AttachRequest("a"));
  }
  absl::Status Detach(bool force = false) {
    return node_.attachments().Detach(TestNode::DetachRequest("a", force));
  }
  TestNode node_{testing::TempDir()};
  std::string id_;
};

TEST_F(AttachmentsTest, Attach_ShowsTheDevice) {
  const auto attachment = Attach();
  ASSERT_TRUE(attachment.ok()) << attachment.status();
  EXPECT_EQ(attachment->state(), ATTACHMENT_STATE_ATTACHED);
  EXPECT_EQ(attachment->transport(), diskd::v1::TRANSPORT_FUSE);
  EXPECT_EQ(attachment->device_path(), "/dev/loop3");
  EXPECT_EQ(attachment->stable_path(), "/links/a");
  EXPECT_EQ(node_.devices().links().at("a"), "/dev/loop3");
  EXPECT_EQ(attachment->driver_pid(), node_.drivers().PidOf(id_));
  EXPECT_EQ(node_.attachments().List()->size(), 1u);
}

TEST_F(AttachmentsTest, AttachAgain_SameAnswer_OtherPropertiesAreRefused) {
  const auto first = Attach();
  ASSERT_TRUE(first.ok());
  const auto second = Attach();
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(second->SerializeAsString(), first->SerializeAsString());
  auto other = TestNode::AttachRequest("a");
  other.set_read_only(true);
  const absl::Status status = node_.attachments().Attach(other).status();
  EXPECT_TRUE(absl::IsAlreadyExists(status));
  EXPECT_NE(status.message().find("read-only is no, not yes"), absl::string_view::npos) << status;
}

TEST_F(AttachmentsTest, AttachOfUnknownVolume_IsNotFound_DetachSucceeds) {
  EXPECT_TRUE(
      absl::IsNotFound(node_.attachments().Attach(TestNode::AttachRequest("nosuch")).status()));
  EXPECT_TRUE(node_.attachments().Detach(TestNode::DetachRequest("nosuch")).ok());
  EXPECT_TRUE(Detach().ok());
}

TEST_F(AttachmentsTest, DriverThatFails_LeavesNothingAndTheErrorKeepsItsCode) {
  for (const char* call : {"open", "serve"}) {
    node_.drivers().FailCalls(call, absl::UnavailableError("store is away"));
    EXPECT_EQ(Attach().status(), absl::UnavailableError("store is away")) << call;
    EXPECT_EQ(node_.Leftovers(), "") << call;
    node_.drivers().FailCalls(call, absl::OkStatus());
  }
  EXPECT_TRUE(Attach().ok());
}

TEST_F(AttachmentsTest, DriverThatDoesNotAnswer_IsUnavailableAndLeavesNothing) {
  node_.drivers().FailCalls("open", absl::DeadlineExceededError("no answer within 30s"));
  EXPECT_EQ(Attach().status(), absl::UnavailableError("no answer within 30s"));
  EXPECT_EQ(node_.Leftovers(), "");
}

TEST_F(AttachmentsTest, Detach_RemovesEverything) {
  ASSERT_TRUE(Attach().ok());
  EXPECT_TRUE(Detach().ok());
  EXPECT_EQ(node_.Leftovers(), "");
  EXPECT_TRUE(Detach().ok());
  EXPECT_EQ(node_.drivers().Provisioned().count(id_), 1u);
}

TEST_F(AttachmentsTest, DetachOfOpenDisk_IsRefusedAndChangesNothing_ForceOverrides) {
  ASSERT_TRUE(Attach().ok());
  node_.devices().SetOpen(id_, true);
  const absl::Status status = Detach();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_NE(status.message().find("mounted on /mnt/a"), absl::string_view::npos) << status;
  EXPECT_EQ(node_.volumes().Get("a")->attachment().state(), ATTACHMENT_STATE_ATTACHED);
  EXPECT_TRUE(node_.drivers().Serving(id_));
  EXPECT_TRUE(Detach(/*force=*/true).ok());
  EXPECT_EQ(node_.Leftovers(), "");
}

TEST_F(AttachmentsTest, DriverThatDies_IsReplacedOnTheSameDevice) {
  const auto before = Attach();
  ASSERT_TRUE(before.ok());
  node_.drivers().KillProcess(id_);
  diskd::v1::Attachment after;
  do {
    after = node_.Await("a", ATTACHMENT_STATE_ATTACHED);
  } while (after.driver_restarts() == 0);
  EXPECT_EQ(after.device_path(), before->device_path());
  EXPECT_NE(after.driver_pid(), before->driver_pid());
  EXPECT_EQ(node_.drivers().resends(), 1);
  EXPECT_EQ(node_.drivers().successors(), 1);
  EXPECT_TRUE(Detach().ok());
}

TEST_F(AttachmentsTest, CrashLoop_IsRecoveringWithTheReason_DetachOnlyByForce) {
  ASSERT_TRUE(Attach().ok());
  node_.drivers().FailCalls("open", absl::InternalError("store is damaged"));
  node_.drivers().KillProcess(id_);
  diskd::v1::Attachment shown;
  do {
    shown = node_.Await("a", ATTACHMENT_STATE_RECOVERING);
  } while (shown.message().find("crash loop") == std::string::npos);
  EXPECT_NE(shown.message().find("store is damaged"), std::string::npos) << shown.message();
  EXPECT_TRUE(absl::IsUnavailable(Detach()));
  EXPECT_TRUE(Detach(/*force=*/true).ok());
  EXPECT_EQ(node_.Leftovers(), "");
}

TEST_F(AttachmentsTest, DeviceThatLosesItsIo_IsFailedAfterADeath_DetachAndAttachAgainWork) {
  node_.devices().SetSurvives(false);
  ASSERT_TRUE(Attach().ok());
  node_.drivers().KillProcess(id_);
  const auto failed = node_.Await("a", ATTACHMENT_STATE_FAILED);
  EXPECT_TRUE(node_.devices().Aborted(id_));
  EXPECT_NE(failed.message().find("detach"), std::string::npos) << failed.message();
  const absl::Status again = Attach().status();
  EXPECT_TRUE(absl::IsFailedPrecondition(again));
  EXPECT_NE(again.message().find("detach it first"), absl::string_view::npos) << again;
  EXPECT_TRUE(Detach().ok());
  EXPECT_EQ(node_.Leftovers(), "");
  EXPECT_TRUE(Attach().ok());
}

TEST_F(AttachmentsTest, ConnectionThatSomebodyAborts_IsFailed_DetachAndAttachAgainWork) {
  ASSERT_TRUE(Attach().ok());
  node_.devices().Abort(id_);
  node_.drivers().KillProcess(id_);
  const auto failed = node_.Await("a", ATTACHMENT_STATE_FAILED);
  EXPECT_EQ(failed.message(), "its FUSE connection was aborted: detach, then attach again");
  EXPECT_FALSE(node_.drivers().Running(id_));
  EXPECT_TRUE(Detach().ok());
  EXPECT_EQ(node_.Leftovers(), "");
  EXPECT_TRUE(Attach().ok());
}

TEST_F(AttachmentsTest, DriverWhoseRequestsFail_IsShownAsFailed_DetachAndAttachAgainWork) {
  ASSERT_TRUE(Attach().ok());
  node_.drivers().FailRequests(id_, "another node has taken the volume over");
  const auto failed = node_.Await("a", ATTACHMENT_STATE_FAILED);
  EXPECT_NE(failed.message().find("another node"), std::string::npos) << failed.message();
  EXPECT_NE(failed.device_path(), "");
  const absl::Status again = Attach().status();
  EXPECT_TRUE(absl::IsFailedPrecondition(again));
  EXPECT_NE(again.message().find("another node"), absl::string_view::npos) << again;
  EXPECT_TRUE(Detach().ok());
  EXPECT_EQ(node_.Leftovers(), "");
  EXPECT_TRUE(Attach().ok());
}

TEST_F(AttachmentsTest, DriverWithoutItsStore_StaysAttachedAndSaysSoUntilItIsBack) {
  ASSERT_TRUE(Attach().ok());
  const auto await = [&](const std::string& message) {
    for (const absl::Time end = absl::Now() + absl::Seconds(30); absl::Now() < end;) {
      const auto shown = node_.volumes().Get("a")->attachment();
      EXPECT_EQ(shown.state(), ATTACHMENT_STATE_ATTACHED);
      if (shown.message() == message) return true;
      absl::SleepFor(absl::Milliseconds(1));
    }
    return false;
  };
  node_.drivers().TellTrouble(id_, "store unreachable: refused");
  EXPECT_TRUE(await("since 1970-01-01T00:00:01Z: store unreachable: refused"));
  node_.drivers().TellTrouble(id_, "");
  EXPECT_TRUE(await(""));
}

TEST_F(AttachmentsTest, DiskThatSomebodyTookAway_IsNotShownAndNotAttachedAgainBeforeADetach) {
  ASSERT_TRUE(Attach().ok());
  node_.devices().LoseDisk(id_);
  const auto other = node_.MakeAttachedVolume("b");
  ASSERT_EQ(other.attachment().device_path(), "/dev/loop3") << "the one that was a's";
  const auto shown = node_.volumes().Get("a")->attachment();
  EXPECT_EQ(shown.state(), ATTACHMENT_STATE_FAILED);
  EXPECT_EQ(shown.device_path(), "");
  EXPECT_EQ(shown.stable_path(), "");
  const absl::Status again = Attach().status();
  EXPECT_TRUE(absl::IsFailedPrecondition(again)) << again;
  EXPECT_NE(again.message().find("taken away"), absl::string_view::npos) << again;
  EXPECT_TRUE(Detach().ok());
  EXPECT_EQ(node_.volumes().Get("b")->attachment().device_path(), "/dev/loop3");
  const auto anew = Attach();
  ASSERT_TRUE(anew.ok()) << anew.status();
  EXPECT_EQ(anew->device_path(), "/dev/loop4");
}

TEST_F(AttachmentsTest, DriverThatCannotEndWell_IsKilledByTheDetach) {
  ASSERT_TRUE(Attach().ok());
  node_.drivers().FailCalls("shutdown", absl::InternalError("flush failed"));
  EXPECT_TRUE(Detach().ok());
  EXPECT_EQ(node_.Leftovers(), "");
}

}  // namespace
}  // namespace diskd::agent
