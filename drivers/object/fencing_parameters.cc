// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/fencing_parameters.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "drivers/object/engine/lease_clock.h"
#include "drivers/object/parameters.h"

namespace diskd::object {
namespace {

// What an open may take besides its waits for a lease.
constexpr absl::Duration kOpenMargin = absl::Seconds(20);

}  // namespace

absl::Status ParseFencing(const sdk::VolumeConfig& config, Options& options) {
  const std::string fencing = Parameter(config, "fencing");
  if (!fencing.empty() && fencing != "cas" && fencing != "lease") {
    return WrongParameter("fencing", fencing, "cas or lease");
  }
  const bool lease = fencing == "lease";
  LeaseTimes& times = options.lease;
  const std::pair<const char*, uint32_t*> both[] = {{"lease_s", &times.lease_ms},
                                                    {"late_s", &times.late_ms}};
  for (const auto& [name, milliseconds] : both) {
    const std::string text = Parameter(config, name);
    if (text.empty()) continue;
    if (!lease) return WrongParameter(name, text, "left out without fencing=lease");
    uint32_t seconds = 0;
    if (!absl::SimpleAtoi(text, &seconds) || seconds < kMinLeaseMs / 1000 ||
        seconds > kMaxLeaseMs / 1000) {
      return WrongParameter(name, text, "a number of seconds from 1 to 3600");
    }
    *milliseconds = seconds * 1000;
  }
  const std::string limit = Parameter(config, "open_limit_s");
  if (!lease && !limit.empty()) {
    return WrongParameter("open_limit_s", limit, "left out without fencing=lease");
  }
  if (!lease) return absl::OkStatus();
  // The agent gives an open no more than that.
  const auto needed =
      static_cast<uint32_t>(absl::ToInt64Seconds(2 * LeaseClock(times).Silent() + kOpenMargin) + 1);
  uint32_t given = 0;
  if (!absl::SimpleAtoi(limit, &given) || given < needed) {
    return absl::InvalidArgumentError(
        absl::StrCat("with fencing=lease, lease_s=", times.lease_ms / 1000,
                     " and late_s=", times.late_ms / 1000, " an open takes up to ", needed,
                     " s after the loss of an owner: give open_limit_s=", needed, " or more"));
  }
  options.fencing = Fencing::kLease;
  options.gate = std::make_shared<SendGate>();
  return absl::OkStatus();
}

}  // namespace diskd::object
