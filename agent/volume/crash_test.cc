// SPDX-License-Identifier: Apache-2.0
//
// The agent dies at each single effect of an operation; the next agent must bring everything back
// into order, and the caller, who repeats the call, must get what was asked for.
#include "absl/strings/str_cat.h"
#include "agent/volume/test_node.h"
#include "gtest/gtest.h"

namespace diskd::agent {
namespace {

constexpr int kMostEffects = 50;

struct Operation {
  const char* label;
  bool create_before;
  bool attach_before;
  std::function<absl::Status(TestNode&)> run;
  // What must hold after the call was repeated.
  bool exists_after;
  bool attached_after;
};

absl::Status Create(TestNode& node) {
  return node.volumes().Create(TestNode::CreateRequest("a")).status();
}
absl::Status Delete(TestNode& node) { return node.volumes().Delete("a"); }
absl::Status Attach(TestNode& node) {
  return node.attachments().Attach(TestNode::AttachRequest("a")).status();
}
absl::Status Detach(TestNode& node) {
  return node.attachments().Detach(TestNode::DetachRequest("a"));
}
absl::Status DetachByForce(TestNode& node) {
  return node.attachments().Detach(TestNode::DetachRequest("a", /*force=*/true));
}

absl::Status Upgrade(TestNode& node) {
  diskd::v1::UpgradeDriverRequest request;
  request.set_volume("a");
  request.set_force(true);
  return node.attachments().UpgradeDriver(request).status();
}

absl::Status Grow(TestNode& node) {
  diskd::v1::ResizeVolumeRequest request;
  request.set_volume("a");
  request.set_size_bytes(4 << 20);
  return node.features().Resize(request).status();
}

class CrashTest : public testing::TestWithParam<Operation> {};

// The state in between is one the next agent knows, and nothing is lost or left over.
void ExpectInOrder(TestNode& node, const Operation& operation) {
  const auto volume = node.volumes().Get("a");
  if (volume.ok()) {
    EXPECT_EQ(volume->state(), diskd::v1::VOLUME_STATE_READY);
    EXPECT_EQ(node.drivers().BackingBytes(volume->id()), volume->size_bytes());
    EXPECT_EQ(volume->resize_bytes(), 0u);
  } else {
    EXPECT_TRUE(node.drivers().Provisioned().empty());
  }
  if (!volume.ok() || !volume->has_attachment()) {
    EXPECT_EQ(node.Leftovers(), "");
  } else if (volume->attachment().state() != diskd::v1::ATTACHMENT_STATE_FAILED) {
    EXPECT_TRUE(node.drivers().Serving(volume->id()));
    EXPECT_EQ(node.drivers().count(volume->id()), 1);
    EXPECT_EQ(node.devices().count(), 1u);
    EXPECT_EQ(node.devices().links().size(), 1u);
  }
}

TEST_P(CrashTest, AtEachEffect_NextAgentRestoresOrderAndTheRepeatedCallSucceeds) {
  const Operation& operation = GetParam();
  bool crashed = true;
  int n = 0;
  for (; crashed && n < kMostEffects; ++n) {
    SCOPED_TRACE(absl::StrCat("dead from effect ", n, " on"));
    TestNode node(testing::TempDir());
    ASSERT_TRUE(node.StartAgent().ok());
    if (operation.create_before) node.MakeVolume("a");
    if (operation.attach_before) {
      ASSERT_TRUE(Attach(node).ok());
    }
    node.CrashAtEffect(n);
    const absl::Status status = operation.run(node);
    crashed = node.crashed();
    if (!crashed) {
      EXPECT_TRUE(status.ok()) << status;
    }
    node.StopAgent();
    node.StopCrashing();

    ASSERT_TRUE(node.StartAgent().ok());
    ExpectInOrder(node, operation);
    const absl::Status repeated = operation.run(node);
    EXPECT_TRUE(repeated.ok()) << repeated;
    ExpectInOrder(node, operation);
    const auto volume = node.volumes().Get("a");
    EXPECT_EQ(volume.ok(), operation.exists_after);
    if (volume.ok()) {
      EXPECT_EQ(volume->has_attachment(), operation.attached_after);
    }
  }
  EXPECT_GT(n, 3) << "the operation has fewer effects than it should";
  EXPECT_FALSE(crashed) << "the operation never ends";
}

INSTANTIATE_TEST_SUITE_P(Operations, CrashTest,
                         testing::Values(Operation{"Create", false, false, Create, true, false},
                                         Operation{"Delete", true, false, Delete, false, false},
                                         Operation{"Attach", true, false, Attach, true, true},
                                         Operation{"Detach", true, true, Detach, true, false},
                                         Operation{"DetachByForce", true, true, DetachByForce, true,
                                                   false},
                                         Operation{"Grow", true, false, Grow, true, false},
                                         Operation{"GrowAttached", true, true, Grow, true, true},
                                         Operation{"Upgrade", true, true, Upgrade, true, true}),
                         [](const auto& info) { return info.param.label; });

}  // namespace
}  // namespace diskd::agent
