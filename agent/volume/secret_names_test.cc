// SPDX-License-Identifier: Apache-2.0
//
// A volume is made with the secrets that its creator gave, or not at all.
#include "agent/volume/secret_names.h"

#include <filesystem>
#include <fstream>
#include <string>

#include "agent/volume/test_node.h"
#include "gtest/gtest.h"

namespace diskd::agent {
namespace {

class SecretNamesTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(node_.StartAgent().ok()); }

  absl::StatusOr<diskd::v1::Volume> Create(const std::string& token) {
    diskd::v1::CreateVolumeRequest request = TestNode::CreateRequest("a");
    if (!token.empty()) (*request.mutable_secrets())["token"] = token;
    return node_.volumes().Create(request);
  }
  std::string SecretsDir() const { return node_.state_dir() + "/secrets"; }

  TestNode node_{testing::TempDir()};
};

TEST_F(SecretNamesTest, RebootWhileItIsMade_WaitsForTheSecretsAgain) {
  node_.CrashAtEffect(1);
  ASSERT_FALSE(Create("secret").ok());
  node_.StopCrashing();
  node_.Reboot();
  ASSERT_TRUE(node_.StartAgent().ok());
  const auto waiting = node_.volumes().Get("a");
  ASSERT_TRUE(waiting.ok()) << waiting.status();
  EXPECT_EQ(waiting->state(), diskd::v1::VOLUME_STATE_CREATING);
  EXPECT_TRUE(node_.drivers().Provisioned().empty());
  const absl::Status without = Create("").status();
  EXPECT_TRUE(absl::IsFailedPrecondition(without));
  EXPECT_NE(without.message().find("\"token\""), absl::string_view::npos) << without;
  ASSERT_TRUE(Create("secret").ok());
  EXPECT_EQ(node_.drivers().SecretOf(waiting->id()), "secret");
}

TEST_F(SecretNamesTest, AgentDiesWhileItIsMade_NextOneHasThem) {
  node_.CrashAtEffect(1);
  ASSERT_FALSE(Create("secret").ok());
  node_.StopCrashing();
  ASSERT_TRUE(node_.StartAgent().ok());
  const auto made = node_.volumes().Get("a");
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(made->state(), diskd::v1::VOLUME_STATE_READY);
  EXPECT_EQ(node_.drivers().SecretOf(made->id()), "secret");
}

TEST_F(SecretNamesTest, SecretsThatCannotBeKept_LeaveNothing) {
  std::filesystem::remove_all(SecretsDir());
  std::ofstream(SecretsDir()) << "no directory";
  EXPECT_FALSE(Create("secret").ok());
  EXPECT_EQ(*node_.store().CountVolumes(), 0);
  std::filesystem::remove(SecretsDir());
}

TEST_F(SecretNamesTest, SameCreateWithASecretItWasMadeWithout_IsAlreadyExists) {
  ASSERT_TRUE(Create("").ok());
  const absl::Status again = Create("secret").status();
  EXPECT_TRUE(absl::IsAlreadyExists(again));
  EXPECT_NE(again.message().find("without the secret \"token\""), absl::string_view::npos) << again;
  // Given since, it is known.
  diskd::v1::SetVolumeSecretsRequest request;
  request.set_volume("a");
  (*request.mutable_secrets())["token"] = "secret";
  ASSERT_TRUE(node_.volumes().SetSecrets(request).ok());
  EXPECT_TRUE(Create("secret").ok());
}

TEST_F(SecretNamesTest, SameCreateWithItsSecretsOrWithout_GivesTheVolume) {
  ASSERT_TRUE(Create("secret").ok());
  EXPECT_TRUE(Create("secret").ok());
  EXPECT_TRUE(Create("").ok());
  node_.Reboot();
  ASSERT_TRUE(node_.StartAgent().ok());
  EXPECT_TRUE(Create("secret").ok());
  EXPECT_EQ(node_.volumes().Get("a")->secrets().names(0), "token");
}

TEST_F(SecretNamesTest, StraySecrets_AreRemovedAtTheStart) {
  const auto made = Create("secret");
  ASSERT_TRUE(made.ok());
  std::ofstream(SecretsDir() + "/vol-0123456789abcdef") << "of nobody";
  std::ofstream(SecretsDir() + "/" + made->id() + ".new") << "cut off";
  ASSERT_TRUE(node_.StartAgent().ok());
  size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(SecretsDir())) {
    EXPECT_EQ(entry.path().filename(), made->id());
    ++files;
  }
  EXPECT_EQ(files, 1u);
}

}  // namespace
}  // namespace diskd::agent
