// SPDX-License-Identifier: Apache-2.0
//
// Until when a process may send what changes the store. It is asked at the moment of sending: a
// request that waited for a connection, or whose process was stopped meanwhile, is not sent late.
//
// Thread-safe.
#ifndef DISKD_DRIVERS_OBJECT_ENV_SEND_GATE_H_
#define DISKD_DRIVERS_OBJECT_ENV_SEND_GATE_H_

#include <time.h>

#include <atomic>
#include <cstdint>

#include "absl/time/time.h"

namespace diskd::object {

// Counts while the machine is suspended; only differences mean anything.
inline absl::Duration BootTime() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return absl::DurationFromTimespec(now);
}

class SendGate {
 public:
  // Until then by BootTime().
  void OpenUntil(absl::Duration until) { until_ns_ = absl::ToInt64Nanoseconds(until); }
  bool open() const { return absl::ToInt64Nanoseconds(BootTime()) < until_ns_; }

 private:
  std::atomic<int64_t> until_ns_ = 0;
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_ENV_SEND_GATE_H_
