// SPDX-License-Identifier: Apache-2.0
//
// Time, order and randomness of the engine. Everything the engine does happens in functions that
// its Scheduler runs, one at a time: in the driver on a thread of the engine or, in its place, on
// one of a queue; in the simulation on the test's, where all of it follows from one seed. "The
// engine's thread" is the one that has the turn.
#ifndef DISKD_DRIVERS_OBJECT_ENV_SCHEDULER_H_
#define DISKD_DRIVERS_OBJECT_ENV_SCHEDULER_H_

#include <cstdint>
#include <functional>

#include "absl/time/time.h"

namespace diskd::object {

class Scheduler {
 public:
  virtual ~Scheduler() = default;

  // Monotonic; only differences mean anything.
  virtual absl::Duration Now() const = 0;

  // Runs `fn` on the engine's thread, after `delay` (zero: soon, after what is already queued;
  // never inside the call). Functions of equal time run in the order of the calls. Not
  // cancellable: what may outlive its owner checks for that. Engine's thread only.
  virtual void After(absl::Duration delay, std::function<void()> fn) = 0;

  // Unpredictable bits: nonces, ids, jitter. In production from the kernel. Engine's thread only.
  virtual uint64_t Random() = 0;
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_ENV_SCHEDULER_H_
