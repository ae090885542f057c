// SPDX-License-Identifier: Apache-2.0
#include "agent/volume/secrets.h"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "agent/volume/test_node.h"
#include "gtest/gtest.h"

namespace diskd::agent {
namespace {

class SecretsTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(node_.StartAgent().ok()); }

  absl::StatusOr<diskd::v1::Volume> Create(const std::string& name, const std::string& secret) {
    auto request = TestNode::CreateRequest(name);
    if (!secret.empty()) (*request.mutable_secrets())["token"] = secret;
    return node_.volumes().Create(request);
  }
  absl::Status Set(const std::string& volume, const std::string& name, const std::string& value) {
    diskd::v1::SetVolumeSecretsRequest request;
    request.set_volume(volume);
    (*request.mutable_secrets())[name] = value;
    return node_.volumes().SetSecrets(request);
  }
  std::string Given(const std::string& id) { return node_.drivers().SecretOf(id); }

  TestNode node_{testing::TempDir()};
};

TEST_F(SecretsTest, GivenAtCreation_ReachTheDriverAndNoDatabase) {
  const std::string marker = "nobody-may-see-this";
  const auto volume = Create("a", marker);
  ASSERT_TRUE(volume.ok()) << volume.status();
  EXPECT_EQ(Given(volume->id()), marker);
  ASSERT_TRUE(node_.attachments().Attach(TestNode::AttachRequest("a")).ok());
  EXPECT_EQ(Given(volume->id()), marker);
  EXPECT_EQ(node_.volumes().Get("a")->DebugString().find(marker), std::string::npos);
  for (const auto& entry : std::filesystem::directory_iterator(node_.state_dir())) {
    if (!entry.is_regular_file()) continue;
    std::ifstream in(entry.path(), std::ios::binary);
    std::stringstream content;
    content << in.rdbuf();
    EXPECT_EQ(content.str().find(marker), std::string::npos) << entry.path();
  }
  struct stat st {};
  ASSERT_EQ(stat((node_.state_dir() + "/secrets/" + volume->id()).c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u);
}

TEST_F(SecretsTest, NextAgent_HasThem_NextBootHasNot) {
  const std::string id = Create("a", "s")->id();
  ASSERT_TRUE(node_.StartAgent().ok());
  ASSERT_TRUE(node_.attachments().Attach(TestNode::AttachRequest("a")).ok());
  EXPECT_EQ(Given(id), "s");
  node_.Reboot();
  ASSERT_TRUE(node_.StartAgent().ok());
  ASSERT_TRUE(node_.attachments().Attach(TestNode::AttachRequest("a")).ok());
  EXPECT_EQ(Given(id), "");
}

TEST_F(SecretsTest, Replaced_CountForTheNextDriverProcess) {
  const std::string id = Create("a", "old")->id();
  ASSERT_TRUE(node_.attachments().Attach(TestNode::AttachRequest("a")).ok());
  ASSERT_TRUE(Set("a", "token", "new").ok());
  EXPECT_EQ(Given(id), "old");
  const int successors = node_.drivers().successors();
  node_.drivers().KillProcess(id);
  while (node_.drivers().successors() == successors) absl::SleepFor(absl::Milliseconds(1));
  node_.Await("a", diskd::v1::ATTACHMENT_STATE_ATTACHED);
  EXPECT_EQ(Given(id), "new");
}

TEST_F(SecretsTest, UnknownOrTooMuch_IsRefusedWithoutTheValue) {
  ASSERT_TRUE(Create("a", "").ok());
  const absl::Status unknown = Set("a", "tokn", "hidden");
  EXPECT_TRUE(absl::IsInvalidArgument(unknown)) << unknown;
  EXPECT_NE(unknown.message().find("token"), absl::string_view::npos) << unknown;
  EXPECT_EQ(unknown.message().find("hidden"), absl::string_view::npos) << unknown;
  EXPECT_TRUE(absl::IsInvalidArgument(Set("a", "token", std::string(kMaxSecretBytes + 1, 'x'))));
  EXPECT_TRUE(absl::IsNotFound(Set("nosuch", "token", "x")));
}

TEST_F(SecretsTest, Deleted_AreGoneWithTheVolume) {
  const std::string id = Create("a", "s")->id();
  ASSERT_TRUE(node_.volumes().Delete("a").ok());
  EXPECT_FALSE(std::filesystem::exists(node_.state_dir() + "/secrets/" + id));
}

TEST_F(SecretsTest, Clone_HasItsSourcesUnlessGiven) {
  const std::string id = Create("a", "s")->id();
  diskd::v1::CreateSnapshotRequest snapshot;
  snapshot.set_volume("a");
  snapshot.set_name("one");
  ASSERT_TRUE(node_.features().CreateSnapshot(snapshot).ok());
  diskd::v1::CreateVolumeRequest request;
  request.set_name("b");
  request.mutable_source()->set_volume("a");
  request.mutable_source()->set_snapshot("one");
  const auto inherited = node_.volumes().Create(request);
  ASSERT_TRUE(inherited.ok()) << inherited.status();
  EXPECT_EQ(Given(inherited->id()), "s");
  request.set_name("c");
  (*request.mutable_secrets())["token"] = "own";
  const auto own = node_.volumes().Create(request);
  ASSERT_TRUE(own.ok()) << own.status();
  EXPECT_EQ(Given(own->id()), "own");
}

}  // namespace
}  // namespace diskd::agent
