// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/fencing_parameters.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "drivers/object/engine/lease_clock.h"
#include "drivers/object/parameters.h"
#include "drivers/object/store/http_client.h"

namespace diskd::object {
namespace {

// What an open may take besides its waits for a lease.
constexpr absl::Duration kOpenMargin = absl::Minutes(15);

// The rest is the store's and the network's.
constexpr int kSilencesInLate = 3;

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
  if (!lease) return absl::OkStatus();
  options.fencing = Fencing::kLease;
  options.gate = std::make_shared<SendGate>();
  return absl::OkStatus();
}

absl::Duration StoreSilence(const Options& options) {
  if (options.fencing != Fencing::kLease) return kIdleTimeout;
  return std::min(kIdleTimeout, absl::Milliseconds(options.lease.late_ms) / kSilencesInLate);
}

absl::Duration LongestLeaseWait(const Options& options) {
  if (options.fencing != Fencing::kLease) return absl::ZeroDuration();
  const LeaseClock clock(options.lease);
  // For a late beat of who has ended, for his silence, and for that of who was not seen.
  return clock.Landed() + clock.Interval() + 2 * clock.Silent();
}

absl::Duration ExpectedOpening(const Options& options) {
  const absl::Duration wait = LongestLeaseWait(options);
  return wait > absl::ZeroDuration() ? wait + kOpenMargin : wait;
}

}  // namespace diskd::object
