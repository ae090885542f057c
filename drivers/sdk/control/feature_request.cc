// SPDX-License-Identifier: Apache-2.0
#include "drivers/sdk/control/feature_request.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "drivers/sdk/control/convert.h"

namespace diskd::sdk {
namespace {

using driver::v1::FeatureRequest;
using driver::v1::FeatureResponse;

// A packet has room for so many, with names of any length.
constexpr int kSnapshotsPerAnswer = 128;
constexpr size_t kExtentsPerAnswer = 2000;
constexpr size_t kProblemsPerAnswer = 150;
constexpr size_t kProblemBytes = 300;

const char* NameOf(FeatureRequest::FeatureCase feature) {
  switch (feature) {
    case FeatureRequest::kCreateSnapshot:
    case FeatureRequest::kListSnapshots:
    case FeatureRequest::kDeleteSnapshot:
      return "snapshots";
    case FeatureRequest::kRollBack:
      return "rollback";
    case FeatureRequest::kStatistics:
      return "statistics of its own";
    case FeatureRequest::kDiff:
      return "differences of snapshots";
    case FeatureRequest::kCheck:
      return "a check";
    case FeatureRequest::kResize:
      return "a change of size";
    case FeatureRequest::FEATURE_NOT_SET:
      break;
  }
  return "what a newer agent asks for";
}

void Fill(const Snapshot& snapshot, driver::v1::Snapshot* out) {
  out->set_id(snapshot.id);
  out->set_name(snapshot.name);
  out->set_size_bytes(snapshot.size_bytes);
}

absl::Status FillList(VolumeFeatures& features, uint64_t after_id,
                      driver::v1::ListSnapshotsResponse* out) {
  ASSIGN_OR_RETURN(const std::vector<Snapshot> snapshots, features.ListSnapshots());
  for (const Snapshot& snapshot : snapshots) {
    if (snapshot.id <= after_id) continue;
    if (out->snapshots_size() == kSnapshotsPerAnswer) {
      out->set_more(true);
      break;
    }
    Fill(snapshot, out->add_snapshots());
  }
  return absl::OkStatus();
}

void Fill(const Statistic& statistic, driver::v1::Statistic* out) {
  out->set_name(statistic.name);
  out->set_value(statistic.value);
  out->set_unit(statistic.unit);
}

absl::Status FillStatistics(VolumeFeatures& features, driver::v1::StatisticsResponse* out) {
  ASSIGN_OR_RETURN(const std::vector<Statistic> statistics, features.Statistics());
  for (const Statistic& statistic : statistics) Fill(statistic, out->add_statistics());
  return absl::OkStatus();
}

absl::Status FillDiff(VolumeFeatures& features, const driver::v1::DiffRequest& request,
                      driver::v1::DiffResponse* out) {
  ASSIGN_OR_RETURN(const DiffPage page,
                   features.Diff(request.from(), request.to(), request.begin(), kExtentsPerAnswer));
  for (const Extent& extent : page.extents) {
    auto* added = out->add_extents();
    added->set_offset(extent.offset);
    added->set_length(extent.length);
    added->set_zero(extent.zero);
  }
  out->set_next(page.next);
  out->set_size_bytes(page.size_bytes);
  return absl::OkStatus();
}

absl::Status FillCheck(VolumeFeatures& features, driver::v1::CheckResponse* out) {
  ASSIGN_OR_RETURN(const CheckReport report, features.Check());
  for (const Statistic& count : report.counts) Fill(count, out->add_counts());
  const size_t shown = std::min(report.problems.size(), kProblemsPerAnswer);
  for (size_t i = 0; i < shown; ++i) out->add_problems(report.problems[i].substr(0, kProblemBytes));
  out->set_more_problems(report.more_problems || shown < report.problems.size());
  return absl::OkStatus();
}

absl::Status Answer(const FeatureRequest& request, VolumeFeatures& features,
                    FeatureResponse& response) {
  switch (request.feature_case()) {
    case FeatureRequest::kCreateSnapshot: {
      ASSIGN_OR_RETURN(const CreatedSnapshot created,
                       features.CreateSnapshot(request.create_snapshot().name()));
      Fill(created.snapshot, response.mutable_create_snapshot()->mutable_snapshot());
      response.mutable_create_snapshot()->set_existed(created.existed);
      return absl::OkStatus();
    }
    case FeatureRequest::kListSnapshots:
      return FillList(features, request.list_snapshots().after_id(),
                      response.mutable_list_snapshots());
    case FeatureRequest::kDeleteSnapshot:
      response.mutable_delete_snapshot();
      return features.DeleteSnapshot(request.delete_snapshot().name());
    case FeatureRequest::kRollBack: {
      ASSIGN_OR_RETURN(const uint64_t size_bytes,
                       features.RollBack(request.roll_back().snapshot()));
      response.mutable_roll_back()->set_size_bytes(size_bytes);
      return absl::OkStatus();
    }
    case FeatureRequest::kDiff:
      return FillDiff(features, request.diff(), response.mutable_diff());
    case FeatureRequest::kCheck:
      return FillCheck(features, response.mutable_check());
    case FeatureRequest::kResize:
      response.mutable_resize();
      return features.Resize(request.resize().size_bytes());
    case FeatureRequest::kStatistics:
      return FillStatistics(features, response.mutable_statistics());
    case FeatureRequest::FEATURE_NOT_SET:
      break;
  }
  return absl::UnimplementedError("");
}

}  // namespace

absl::StatusOr<FeatureResponse> AnswerFeature(const FeatureRequest& request,
                                              const DriverDefinition& definition, Driver* serving,
                                              VolumeConfig::TellOpening tell) {
  ASSIGN_OR_RETURN(VolumeConfig config, FromProto(request.config(), definition));
  config.tell_opening = std::move(tell);
  std::unique_ptr<VolumeFeatures> resting;
  VolumeFeatures* features = serving == nullptr ? nullptr : serving->features();
  if (serving == nullptr && definition.at_rest != nullptr) {
    ASSIGN_OR_RETURN(resting, definition.at_rest(config));
    features = resting.get();
  }
  FeatureResponse response;
  const absl::Status status =
      features == nullptr ? absl::UnimplementedError("") : Answer(request, *features, response);
  if (status.ok()) return response;
  if (!absl::IsUnimplemented(status) || !status.message().empty()) return status;
  return absl::UnimplementedError(
      absl::StrCat("driver ", definition.name, " does not have ", NameOf(request.feature_case())));
}

}  // namespace diskd::sdk
