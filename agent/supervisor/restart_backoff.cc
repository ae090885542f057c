// SPDX-License-Identifier: Apache-2.0
#include "agent/supervisor/restart_backoff.h"

#include <algorithm>

namespace diskd::agent {

absl::Duration RestartBackoff::Ended(absl::Time now) {
  const absl::Duration served = serving_since_ ? now - *serving_since_ : absl::ZeroDuration();
  serving_since_.reset();
  if (served >= limits_.healthy) deaths_ = 0;
  ++deaths_;
  if (served >= limits_.quick_death || deaths_ == 1) {
    delay_ = absl::ZeroDuration();
  } else if (delay_ == absl::ZeroDuration()) {
    delay_ = limits_.first_delay;
  } else {
    delay_ = std::min(delay_ * 2, limits_.longest_delay);
  }
  return delay_;
}

}  // namespace diskd::agent
