// SPDX-License-Identifier: Apache-2.0
#include "client/lib/backoff.h"

#include <algorithm>

namespace diskd::client {

absl::Duration Backoff::Next() {
  const absl::Duration pause = next_ * absl::Uniform(absl::IntervalClosed, random_, 0.5, 1.0);
  next_ = std::min(next_ * 2, longest_);
  return pause;
}

}  // namespace diskd::client
