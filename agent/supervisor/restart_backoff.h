// SPDX-License-Identifier: Apache-2.0
//
// How long to wait before a driver process is started again. The first death costs no wait; a
// process that dies soon after its start makes the next wait longer. Not thread-safe.
#ifndef DISKD_AGENT_SUPERVISOR_RESTART_BACKOFF_H_
#define DISKD_AGENT_SUPERVISOR_RESTART_BACKOFF_H_

#include <optional>

#include "absl/time/time.h"

namespace diskd::agent {

struct RestartLimits {
  absl::Duration first_delay = absl::Milliseconds(50);
  absl::Duration longest_delay = absl::Seconds(5);
  // A process that served this long does not lengthen the wait.
  absl::Duration quick_death = absl::Milliseconds(250);
  // One that served this long ends a crash loop.
  absl::Duration healthy = absl::Seconds(30);
  // This many deaths without a healthy process between them are a crash loop.
  int crash_loop = 5;
};

class RestartBackoff {
 public:
  explicit RestartBackoff(const RestartLimits& limits) : limits_(limits) {}

  void Served(absl::Time now) { serving_since_ = now; }
  // A process ended, or failed to start. Returns the wait before the next start.
  absl::Duration Ended(absl::Time now);

  int deaths() const { return deaths_; }  // since the last healthy process
  bool crash_loop() const { return deaths_ >= limits_.crash_loop; }

 private:
  const RestartLimits limits_;
  std::optional<absl::Time> serving_since_;
  int deaths_ = 0;
  absl::Duration delay_ = absl::ZeroDuration();
};

}  // namespace diskd::agent

#endif  // DISKD_AGENT_SUPERVISOR_RESTART_BACKOFF_H_
