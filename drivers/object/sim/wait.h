// SPDX-License-Identifier: Apache-2.0
//
// Tests that do one thing after the other on a simulated machine.
#ifndef DISKD_DRIVERS_OBJECT_SIM_WAIT_H_
#define DISKD_DRIVERS_OBJECT_SIM_WAIT_H_

#include <functional>
#include <utility>

#include "absl/status/status.h"
#include "drivers/object/sim/sim_scheduler.h"

namespace diskd::object {

// Starts something and lets time pass until it has called back. INTERNAL: it never does.
inline absl::Status WaitOn(SimScheduler& scheduler,
                           const std::function<void(std::function<void(absl::Status)>)>& start) {
  absl::Status result = absl::InternalError("it never ends");
  bool ended = false;
  start([&](absl::Status status) {
    result = std::move(status);
    ended = true;
  });
  while (!ended && scheduler.RunOne()) {
  }
  return result;
}

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_SIM_WAIT_H_
