// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/store/probe.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "drivers/object/store/blocking.h"

namespace diskd::object {
namespace {

constexpr absl::Duration kPauseMin = absl::Milliseconds(100);
constexpr absl::Duration kPauseMax = absl::Seconds(5);

struct Finding {
  ConditionVerdict verdict = ConditionVerdict::kWorks;
  std::string detail;
};

// Nothing can be concluded from such a result.
bool IsOutage(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) ||
         absl::IsDataLoss(status) || absl::IsAborted(status);
}

bool IsRefusal(const absl::Status& status) {
  return absl::IsUnimplemented(status) || absl::IsInvalidArgument(status);
}

// One condition's races, under names of its own.
class Race {
 public:
  Race(Store& store, std::string name, bool if_match)
      : store_(store), name_(std::move(name)), if_match_(if_match) {}

  absl::StatusOr<Finding> Run() {
    for (int round = 0; round < kProbeRounds; ++round) {
      ASSIGN_OR_RETURN(const Finding finding, Round(absl::StrCat(name_, "-", round)));
      if (finding.verdict != ConditionVerdict::kWorks) return finding;
    }
    return Finding();
  }

 private:
  // Repeats a round that an outage spoiled, under another name: a late Put may still arrive.
  absl::StatusOr<Finding> Round(const std::string& name) {
    absl::Status last;
    absl::BitGen random;
    absl::Duration pause = kPauseMin;
    for (int i = 0; i < kProbeRepetitionsMax; ++i) {
      const std::string fresh = absl::StrCat(name, "-", i);
      absl::StatusOr<Finding> finding = Once(fresh);
      DeleteNow(store_, fresh).IgnoreError();  // what stays is only clutter
      if (finding.ok() || !IsOutage(finding.status())) return finding;
      last = finding.status();
      absl::SleepFor(pause * absl::Uniform(random, 0.5, 1.0));
      pause = std::min(pause * 3, kPauseMax);
    }
    return last;
  }

  absl::StatusOr<Finding> Once(const std::string& name) {
    PutCondition condition = PutCondition::IfAbsent();
    if (if_match_) {
      ASSIGN_OR_RETURN(std::optional<Finding> early, BeforeIfMatch(name, &condition));
      if (early.has_value()) return *std::move(early);
    }
    std::vector<std::string> bodies;
    for (int i = 0; i < kProbeRacers; ++i) bodies.push_back(absl::StrFormat("racer %04d", i));
    const std::vector<absl::StatusOr<Etag>> results = PutAtOnce(store_, name, bodies, condition);
    ASSIGN_OR_RETURN(const Finding finding, Judge(results));
    if (finding.verdict != ConditionVerdict::kWorks) return finding;
    return CheckWinner(name, condition, bodies, results);
  }

  // An object to replace; and its absence must count as a mismatch.
  absl::StatusOr<std::optional<Finding>> BeforeIfMatch(const std::string& name,
                                                       PutCondition* condition) {
    ASSIGN_OR_RETURN(const Etag etag, PutNow(store_, name, "first content"));
    *condition = PutCondition::IfMatch(etag);
    const auto absent = PutNow(store_, absl::StrCat(name, "-none"), "x", *condition);
    if (absent.ok()) {
      DeleteNow(store_, absl::StrCat(name, "-none")).IgnoreError();
      return std::optional<Finding>(
          Finding{ConditionVerdict::kIgnored, "an object that does not exist could be replaced"});
    }
    if (IsRefusal(absent.status())) {
      return std::optional<Finding>(
          Finding{ConditionVerdict::kRefused, std::string(absent.status().message())});
    }
    if (!absl::IsFailedPrecondition(absent.status())) return absent.status();
    return std::optional<Finding>();
  }

  static absl::StatusOr<Finding> Judge(const std::vector<absl::StatusOr<Etag>>& results) {
    int winners = 0;
    absl::Status outage;
    for (const auto& result : results) {
      if (result.ok()) {
        ++winners;
      } else if (IsRefusal(result.status())) {
        return Finding{ConditionVerdict::kRefused, std::string(result.status().message())};
      } else if (IsOutage(result.status())) {
        outage = result.status();
      } else if (!absl::IsFailedPrecondition(result.status())) {
        return result.status();
      }
    }
    if (winners > 1) {
      const auto verdict = winners == static_cast<int>(results.size()) ? ConditionVerdict::kIgnored
                                                                       : ConditionVerdict::kRacy;
      return Finding{verdict, absl::StrCat(winners, " of ", results.size(),
                                           " writers won a race that one may win")};
    }
    if (winners == 1) return Finding();
    if (!outage.ok()) return outage;
    return Finding{ConditionVerdict::kUseless, "nobody won a race that one had to win"};
  }

  // The winner's content is there, and the condition still refuses when nobody races.
  absl::StatusOr<Finding> CheckWinner(const std::string& name, const PutCondition& condition,
                                      const std::vector<std::string>& bodies,
                                      const std::vector<absl::StatusOr<Etag>>& results) {
    const auto late = PutNow(store_, name, "late writer", condition);
    if (late.ok()) {
      return Finding{ConditionVerdict::kIgnored, "a condition that did not hold was ignored"};
    }
    if (!absl::IsFailedPrecondition(late.status())) return late.status();
    ASSIGN_OR_RETURN(const GetResult got, GetNow(store_, name));
    for (size_t i = 0; i < results.size(); ++i) {
      if (results[i].ok() && (got.body != bodies[i] || got.etag != *results[i])) {
        return Finding{ConditionVerdict::kRacy, "a writer that was refused changed the object"};
      }
    }
    return Finding();
  }

  Store& store_;
  const std::string name_;
  const bool if_match_;
};

absl::string_view Describe(ConditionVerdict verdict) {
  switch (verdict) {
    case ConditionVerdict::kWorks:
      return "works";
    case ConditionVerdict::kRefused:
      return "is not offered by the store";
    case ConditionVerdict::kIgnored:
      return "is ignored by the store";
    case ConditionVerdict::kRacy:
      return "does not hold in a race";
    case ConditionVerdict::kUseless:
      return "never succeeds";
  }
  return "";
}

}  // namespace

absl::Status ProbeReport::FencingByCas() const {
  std::string message;
  const auto add = [&message](absl::string_view header, ConditionVerdict verdict,
                              const std::string& detail) {
    if (verdict == ConditionVerdict::kWorks) return;
    absl::StrAppend(&message, message.empty() ? "" : "; ", "PUT with ", header, " ",
                    Describe(verdict), " (", detail, ")");
  };
  add("If-None-Match", if_absent, if_absent_detail);
  add("If-Match", if_match, if_match_detail);
  if (message.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "this store can't keep two writers apart: ", message,
      ". Use a store with conditional writes, or fencing=lease, which does without if (A1) a read "
      "sees every write answered before it, (A2) a request is applied within 60 s of "
      "its sending (parameter late_s) or never, (A3) clocks run at rates that differ "
      "by at most 1 %, and (A4) a machine that is suspended counts that time; nobody "
      "can test these: see docs/object-lease.md"));
}

absl::StatusOr<ProbeReport> ProbeConditionalPut(Store& store, const std::string& folder) {
  absl::BitGen random;
  const std::string name =
      absl::StrCat(folder, "/probe-", absl::Hex(absl::Uniform<uint64_t>(random)));
  ProbeReport report;
  ASSIGN_OR_RETURN(Finding absent, Race(store, absl::StrCat(name, "-a"), false).Run());
  report.if_absent = absent.verdict;
  report.if_absent_detail = std::move(absent.detail);
  ASSIGN_OR_RETURN(Finding match, Race(store, absl::StrCat(name, "-m"), true).Run());
  report.if_match = match.verdict;
  report.if_match_detail = std::move(match.detail);
  return report;
}

}  // namespace diskd::object
