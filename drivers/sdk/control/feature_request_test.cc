// SPDX-License-Identifier: Apache-2.0
#include "drivers/sdk/control/feature_request.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "drivers/sdk/testing/fake_driver.h"
#include "gtest/gtest.h"

namespace diskd::sdk {
namespace {

using driver::v1::FeatureRequest;

class FakeFeatures final : public VolumeFeatures {
 public:
  absl::StatusOr<CreatedSnapshot> CreateSnapshot(const std::string& name) override {
    for (const Snapshot& snapshot : snapshots) {
      if (snapshot.name == name) return CreatedSnapshot{snapshot, true};
    }
    snapshots.push_back({snapshots.size() + 1, name, 4096});
    return CreatedSnapshot{snapshots.back(), false};
  }
  absl::StatusOr<std::vector<Snapshot>> ListSnapshots() override { return snapshots; }
  absl::StatusOr<uint64_t> RollBack(const std::string& snapshot) override {
    return absl::NotFoundError(absl::StrCat("no snapshot ", snapshot));
  }

  std::vector<Snapshot> snapshots;
};

class FeatureDriver final : public SyncDriver {
 public:
  Geometry geometry() const override { return {}; }
  int Read(uint64_t, absl::Span<std::byte>) override { return 0; }
  int Write(uint64_t, absl::Span<const std::byte>, bool) override { return 0; }
  VolumeFeatures* features() override { return &fake; }

  FakeFeatures fake;
};

DriverDefinition Plain() {
  DriverDefinition definition;
  definition.name = "plain";
  return definition;
}

DriverDefinition WithRest() {
  DriverDefinition definition = Plain();
  definition.at_rest =
      [](const VolumeConfig& config) -> absl::StatusOr<std::unique_ptr<VolumeFeatures>> {
    auto features = std::make_unique<FakeFeatures>();
    features->snapshots.push_back({7, config.volume_id, 4096});
    return features;
  };
  return definition;
}

FeatureRequest Request() {
  FeatureRequest request;
  request.mutable_config()->set_volume_id("v");
  request.mutable_config()->set_size_bytes(1 << 20);
  request.mutable_config()->set_state_dir("/s");
  return request;
}

TEST(AnswerFeature_DriverWithoutIt, IsRefusedInItsName) {
  const DriverDefinition definition = Plain();
  FakeDriver without({}, false);
  FeatureRequest request = Request();
  request.mutable_create_snapshot()->set_name("s");
  for (Driver* driver : {static_cast<Driver*>(nullptr), static_cast<Driver*>(&without)}) {
    const absl::Status status = AnswerFeature(request, definition, driver).status();
    EXPECT_TRUE(absl::IsUnimplemented(status)) << status;
    EXPECT_EQ(status.message(), "driver plain does not have snapshots");
  }
  FeatureDriver partly;
  request.mutable_statistics();
  EXPECT_EQ(AnswerFeature(request, definition, &partly).status().message(),
            "driver plain does not have statistics of its own");
  EXPECT_TRUE(absl::IsUnimplemented(AnswerFeature(Request(), definition, &partly).status()));
}

TEST(AnswerFeature_Serving, AsksTheOpenDriver) {
  const DriverDefinition definition = WithRest();
  FeatureDriver driver;
  FeatureRequest request = Request();
  request.mutable_create_snapshot()->set_name("s");
  auto response = AnswerFeature(request, definition, &driver);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->create_snapshot().snapshot().name(), "s");
  EXPECT_FALSE(response->create_snapshot().existed());
  EXPECT_TRUE(AnswerFeature(request, definition, &driver)->create_snapshot().existed());
  request.mutable_roll_back()->set_snapshot("other");
  EXPECT_TRUE(absl::IsNotFound(AnswerFeature(request, definition, &driver).status()));
}

TEST(AnswerFeature_AtRest, AsksTheDefinition) {
  FeatureRequest request = Request();
  request.mutable_list_snapshots();
  const auto response = AnswerFeature(request, WithRest(), nullptr);
  ASSERT_TRUE(response.ok()) << response.status();
  ASSERT_EQ(response->list_snapshots().snapshots_size(), 1);
  EXPECT_EQ(response->list_snapshots().snapshots(0).name(), "v");
}

TEST(AnswerFeature_ManySnapshots, ComeInPagesThatFitAPacket) {
  constexpr int kSnapshots = 300;
  FeatureDriver driver;
  for (int i = 0; i < kSnapshots; ++i) {
    driver.fake.snapshots.push_back({static_cast<uint64_t>(i) + 1, std::string(255, 'n'), 4096});
  }
  FeatureRequest request = Request();
  int seen = 0;
  for (bool more = true; more;) {
    request.mutable_list_snapshots();
    const auto response = AnswerFeature(request, Plain(), &driver);
    ASSERT_TRUE(response.ok()) << response.status();
    EXPECT_LT(response->ByteSizeLong(), size_t{60} << 10);
    seen += response->list_snapshots().snapshots_size();
    ASSERT_EQ(response->list_snapshots().snapshots().rbegin()->id(), static_cast<uint64_t>(seen));
    request.mutable_list_snapshots()->set_after_id(seen);
    more = response->list_snapshots().more();
  }
  EXPECT_EQ(seen, kSnapshots);
}

class CheckedFeatures final : public VolumeFeatures {
 public:
  absl::StatusOr<CheckReport> Check() override {
    CheckReport report;
    report.counts.push_back({"objects", 3, ""});
    report.problems.assign(1000, std::string(4096, 'p'));
    return report;
  }
  absl::StatusOr<DiffPage> Diff(const std::string&, const std::string&, uint64_t begin,
                                size_t max_extents) override {
    DiffPage page;
    for (size_t i = 0; i < max_extents; ++i) {
      page.extents.push_back({begin + ~uint64_t{0} / 4, ~uint64_t{0} / 4, true});
    }
    page.next = ~uint64_t{0} / 2;
    return page;
  }
};

TEST(AnswerFeature_LargeAnswers, FitAPacket) {
  DriverDefinition definition = Plain();
  definition.at_rest = [](const VolumeConfig&) -> absl::StatusOr<std::unique_ptr<VolumeFeatures>> {
    return std::make_unique<CheckedFeatures>();
  };
  FeatureRequest request = Request();
  request.mutable_check();
  const auto checked = AnswerFeature(request, definition, nullptr);
  ASSERT_TRUE(checked.ok()) << checked.status();
  EXPECT_LT(checked->ByteSizeLong(), size_t{60} << 10);
  EXPECT_TRUE(checked->check().more_problems());
  EXPECT_EQ(checked->check().counts_size(), 1);
  request.mutable_diff()->set_begin(~uint64_t{0} / 4);
  const auto diff = AnswerFeature(request, definition, nullptr);
  ASSERT_TRUE(diff.ok()) << diff.status();
  EXPECT_LT(diff->ByteSizeLong(), size_t{60} << 10);
  EXPECT_GT(diff->diff().extents_size(), 1000);
}

TEST(AnswerFeature_ImpossibleConfig, IsRefused) {
  FeatureRequest request = Request();
  request.mutable_config()->clear_volume_id();
  request.mutable_list_snapshots();
  EXPECT_TRUE(absl::IsInvalidArgument(AnswerFeature(request, WithRest(), nullptr).status()));
}

}  // namespace
}  // namespace diskd::sdk
