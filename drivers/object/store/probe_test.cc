// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/store/probe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "drivers/object/store/testing/store_under_test.h"

namespace diskd::object {
namespace {

using ::testing::HasSubstr;
using Condition = S3DoubleOptions::Condition;

ProbeReport ProbeOf(const S3DoubleOptions& options, const std::string& fault = "") {
  auto server = S3Double::Start(options);
  EXPECT_TRUE(server.ok());
  if (!fault.empty()) (*server)->AddFault(fault);
  const auto store = OpenOn(**server, OptionsFor(**server));
  const auto report = ProbeConditionalPut(*store, "probe");
  EXPECT_TRUE(report.ok()) << report.status();
  return report.value_or(ProbeReport{ConditionVerdict::kUseless, ConditionVerdict::kUseless});
}

void ExpectRefused(const ProbeReport& report, const std::string& why) {
  const absl::Status status = report.FencingByCas();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr(why));
  EXPECT_THAT(std::string(status.message()), HasSubstr("fencing=lease"));
}

TEST(Probe, CorrectStore_IsAccepted) {
  const ProbeReport report = ProbeOf({});
  EXPECT_TRUE(report.FencingByCas().ok()) << report.FencingByCas();
}

TEST(Probe, StoreThatKnowsOnlyBareEtags_IsAccepted) {
  EXPECT_TRUE(ProbeOf({.if_match_quoted = false}).FencingByCas().ok());
}

TEST(Probe, StoreThatKnowsOnlyQuotedEtags_IsAccepted) {
  EXPECT_TRUE(ProbeOf({.if_match_bare = false}).FencingByCas().ok());
}

TEST(Probe, StoreThatKnowsNoEtag_IsUseless) {
  const ProbeReport report = ProbeOf({.if_match_quoted = false, .if_match_bare = false});
  EXPECT_EQ(report.if_absent, ConditionVerdict::kWorks);
  EXPECT_EQ(report.if_match, ConditionVerdict::kUseless);
  ExpectRefused(report, "If-Match never succeeds");
}

TEST(Probe, ConditionsRefused_SaysSo) {
  const ProbeReport report =
      ProbeOf({.if_none_match = Condition::kRefused, .if_match = Condition::kRefused});
  EXPECT_EQ(report.if_absent, ConditionVerdict::kRefused);
  EXPECT_EQ(report.if_match, ConditionVerdict::kRefused);
  ExpectRefused(report, "is not offered");
}

TEST(Probe, HeadersIgnored_SaysSo) {
  const ProbeReport report =
      ProbeOf({.if_none_match = Condition::kIgnored, .if_match = Condition::kIgnored});
  EXPECT_EQ(report.if_absent, ConditionVerdict::kIgnored) << report.if_absent_detail;
  EXPECT_EQ(report.if_match, ConditionVerdict::kIgnored) << report.if_match_detail;
  ExpectRefused(report, "32 of 32");
}

TEST(Probe, CheckAndWriteInTwoSteps_IsFoundByTheRace) {
  const ProbeReport absent = ProbeOf({.if_none_match = Condition::kRacy});
  EXPECT_THAT(absent.if_absent,
              ::testing::AnyOf(ConditionVerdict::kRacy, ConditionVerdict::kIgnored));
  EXPECT_EQ(absent.if_match, ConditionVerdict::kWorks) << absent.if_match_detail;
  EXPECT_FALSE(absent.FencingByCas().ok());
  const ProbeReport match = ProbeOf({.if_match = Condition::kRacy});
  EXPECT_EQ(match.if_absent, ConditionVerdict::kWorks);
  EXPECT_THAT(match.if_match,
              ::testing::AnyOf(ConditionVerdict::kRacy, ConditionVerdict::kIgnored));
}

TEST(Probe, OutageDuringARound_IsRepeatedAndNotBlamedOnTheStore) {
  EXPECT_TRUE(ProbeOf({}, "action=status method=PUT count=33").FencingByCas().ok());
  EXPECT_TRUE(ProbeOf({}, "action=reset_after method=PUT count=40").FencingByCas().ok());
}

TEST(Probe, StoreOffline_IsAnErrorAndNoVerdict) {
  auto server = S3Double::Start({});
  ASSERT_TRUE(server.ok());
  const auto store = OpenOn(**server, OptionsFor(**server));
  (*server)->AddFault("action=status status=403 code=AccessDenied count=-1");
  EXPECT_TRUE(absl::IsPermissionDenied(ProbeConditionalPut(*store, "probe").status()));
}

}  // namespace
}  // namespace diskd::object
