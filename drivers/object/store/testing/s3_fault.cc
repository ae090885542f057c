// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/store/testing/s3_fault.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace diskd::object {
namespace {

constexpr std::pair<absl::string_view, S3Fault::Action> kActions[] = {
    {"status", S3Fault::Action::kStatus},
    {"status_after", S3Fault::Action::kStatusAfter},
    {"reset_before", S3Fault::Action::kResetBefore},
    {"reset_after", S3Fault::Action::kResetAfter},
    {"silent_after", S3Fault::Action::kSilentAfter},
    {"late_apply", S3Fault::Action::kLateApply},
    {"delay", S3Fault::Action::kDelay},
    {"slow_body", S3Fault::Action::kSlowBody},
    {"cut_body", S3Fault::Action::kCutBody},
    {"flip_bit", S3Fault::Action::kFlipBit},
    {"close", S3Fault::Action::kClose},
    {"wrong_etag", S3Fault::Action::kWrongEtag},
    {"stale_list", S3Fault::Action::kStaleList},
    {"omit_from_list", S3Fault::Action::kOmitFromList},
    {"empty_page", S3Fault::Action::kEmptyPage},
};

bool SetAction(absl::string_view value, S3Fault* fault) {
  for (const auto& [name, action] : kActions) {
    if (name != value) continue;
    fault->action = action;
    return true;
  }
  return false;
}

bool SetWord(absl::string_view name, absl::string_view value, S3Fault* fault) {
  int number = 0;
  if (name == "action") return SetAction(value, fault);
  if (name == "method") {
    fault->method = std::string(value);
  } else if (name == "key") {
    fault->key = std::string(value);
  } else if (name == "code") {
    fault->code = std::string(value);
  } else if (!absl::SimpleAtoi(value, &number)) {
    return false;
  } else if (name == "status") {
    fault->status = number;
  } else if (name == "count") {
    fault->count = number;
  } else if (name == "skip") {
    fault->skip = number;
  } else if (name == "retry_after") {
    fault->retry_after_seconds = number;
  } else if (name == "delay_ms") {
    fault->delay = absl::Milliseconds(number);
  } else {
    return false;
  }
  return true;
}

}  // namespace

absl::string_view S3FaultName(S3Fault::Action action) {
  for (const auto& [name, known] : kActions) {
    if (known == action) return name;
  }
  return "";
}

absl::StatusOr<S3Fault> ParseS3Fault(absl::string_view text) {
  S3Fault fault;
  bool has_action = false;
  bool has_delay = false;
  for (const absl::string_view word :
       absl::StrSplit(text, absl::ByAnyChar(" \t\r\n"), absl::SkipEmpty())) {
    const std::pair<absl::string_view, absl::string_view> pair =
        absl::StrSplit(word, absl::MaxSplits('=', 1));
    if (!SetWord(pair.first, pair.second, &fault)) {
      return absl::InvalidArgumentError(absl::StrCat("fault: don't know \"", word, "\""));
    }
    has_action |= pair.first == "action";
    has_delay |= pair.first == "delay_ms";
  }
  if (!has_action) return absl::InvalidArgumentError("fault: no action=...");
  if (fault.action == S3Fault::Action::kLateApply && !has_delay) {
    fault.delay = absl::InfiniteDuration();
  }
  return fault;
}

}  // namespace diskd::object
