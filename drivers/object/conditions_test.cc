// SPDX-License-Identifier: Apache-2.0
//
// A store by two ways: one that keeps writers apart, and one that overlooks conditions.
#include <gmock/gmock.h>

#include "drivers/object/store/testing/s3_double.h"
#include "drivers/object/testing/test_volume.h"

namespace diskd::object {
namespace {

using ::testing::HasSubstr;

class ObjectDriver_Conditions : public testing::Test {
 protected:
  static std::unique_ptr<S3Double> Way(S3DoubleOptions::Condition condition) {
    S3DoubleOptions options;
    options.if_none_match = options.if_match = condition;
    auto server = S3Double::Start(std::move(options));
    EXPECT_TRUE(server.ok()) << server.status();
    return *std::move(server);
  }
  static sdk::VolumeConfig By(const S3Double& server, const sdk::TempDir& dir) {
    sdk::VolumeConfig config = Config(dir);
    config.parameters["store"] = "s3://bucket";
    config.parameters["endpoint"] = server.endpoint();
    config.parameters["volume"] = std::string(32, 'a');
    config.secrets = {{"access_key_id", S3DoubleOptions().credentials.access_key},
                      {"secret_access_key", S3DoubleOptions().credentials.secret_key}};
    return config;
  }
  const std::unique_ptr<S3Double> good_ = Way(S3DoubleOptions::Condition::kHonoured);
  const sdk::TempDir dir_;
};

TEST_F(ObjectDriver_Conditions, Overlooked_NewVolumeIsRefused) {
  const auto bad = Way(S3DoubleOptions::Condition::kIgnored);
  const absl::Status made = Definition().provision(By(*bad, dir_));
  EXPECT_TRUE(absl::IsFailedPrecondition(made)) << made;
  EXPECT_THAT(std::string(made.message()), HasSubstr("can't keep two writers apart"));
}

TEST_F(ObjectDriver_Conditions, OverlookedOnAnotherNodesWay_TheVolumeIsRefusedThere) {
  ASSERT_TRUE(Definition().provision(By(*good_, dir_)).ok());
  const sdk::TempDir elsewhere;
  sdk::VolumeConfig config = By(*good_, elsewhere);
  config.parameters["existing"] = "use";
  EXPECT_TRUE(Definition().provision(config).ok());

  const auto bad = Way(S3DoubleOptions::Condition::kIgnored);
  const std::string head = std::string(32, 'a') + "/head";
  bad->Place(head, *good_->Peek(head));
  const sdk::TempDir third;
  config = By(*bad, third);
  config.parameters["existing"] = "use";
  const absl::Status used = Definition().provision(config);
  EXPECT_TRUE(absl::IsFailedPrecondition(used)) << used;
  EXPECT_THAT(std::string(used.message()), HasSubstr("can't keep two writers apart"));
}

}  // namespace
}  // namespace diskd::object
