// SPDX-License-Identifier: Apache-2.0
//
// Pauses between attempts: doubling, bounded, and cut by up to a half at random so that many
// clients of one restarted agent don't come back at the same instant. Not thread-safe.
#ifndef DISKD_CLIENT_LIB_BACKOFF_H_
#define DISKD_CLIENT_LIB_BACKOFF_H_

#include "absl/random/random.h"
#include "absl/time/time.h"

namespace diskd::client {

class Backoff {
 public:
  // 0 < first <= longest.
  Backoff(absl::Duration first, absl::Duration longest) : next_(first), longest_(longest) {}

  absl::Duration Next();

 private:
  absl::Duration next_;
  const absl::Duration longest_;
  absl::BitGen random_;
};

}  // namespace diskd::client

#endif  // DISKD_CLIENT_LIB_BACKOFF_H_
