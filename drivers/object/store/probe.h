// SPDX-License-Identifier: Apache-2.0
//
// Does a store's conditional Put hold in a real race? Fencing rests on it, and services that claim
// compatibility ignore the headers, or check and write in two steps.
#ifndef DISKD_DRIVERS_OBJECT_STORE_PROBE_H_
#define DISKD_DRIVERS_OBJECT_STORE_PROBE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "drivers/object/env/store.h"

namespace diskd::object {

inline constexpr int kProbeRacers = 32;
inline constexpr int kProbeRounds = 3;          // of each condition
inline constexpr int kProbeRepetitionsMax = 5;  // of a round that outages spoiled

enum class ConditionVerdict : uint8_t {
  kWorks,    // exactly one winner in every round
  kRefused,  // the store says that it does not know the condition
  kIgnored,  // a condition that does not hold made no difference
  kRacy,     // several winners in a race
  kUseless,  // a condition that holds was refused
};

struct ProbeReport {
  ConditionVerdict if_absent = ConditionVerdict::kWorks;
  ConditionVerdict if_match = ConditionVerdict::kWorks;
  std::string if_absent_detail;  // what was seen; empty for kWorks
  std::string if_match_detail;

  // OK, or FAILED_PRECONDITION: why fencing=cas is refused, and what to do.
  absl::Status FencingByCas() const;
};

// Uses and removes objects named FOLDER/probe-*. Blocking: about 200 requests. An error means that
// nothing was found out: the store could not be reached, or refused the credentials.
absl::StatusOr<ProbeReport> ProbeConditionalPut(Store& store, const std::string& folder);

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_STORE_PROBE_H_
