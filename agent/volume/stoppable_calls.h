// SPDX-License-Identifier: Apache-2.0
//
// Calls to drivers that may take long. The end of the agent must not wait for them: it breaks them
// off, and what they were for is taken up by the next agent, or by the same call again.
// Thread-safe; outlives its calls.
#ifndef DISKD_AGENT_VOLUME_STOPPABLE_CALLS_H_
#define DISKD_AGENT_VOLUME_STOPPABLE_CALLS_H_

#include <set>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "agent/supervisor/driver_process.h"

namespace diskd::agent {

class StoppableCalls {
 public:
  // As long as it lives, Stop() interrupts the process; one that comes later is interrupted at
  // once, and stays so. The process outlives it.
  class Call {
   public:
    Call(StoppableCalls* calls, DriverProcess* process) ABSL_LOCKS_EXCLUDED(calls->mutex_);
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;
    ~Call();

   private:
    StoppableCalls* const calls_;
    DriverProcess* const process_;
  };

  // From now on nothing that was interrupted counts as failed.
  void Stop() ABSL_LOCKS_EXCLUDED(mutex_);
  bool stopped() const ABSL_LOCKS_EXCLUDED(mutex_);
  // A call's status for the caller: UNAVAILABLE if it was broken off.
  absl::Status ForCaller(const absl::Status& status) const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  mutable absl::Mutex mutex_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::set<DriverProcess*> processes_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace diskd::agent

#endif  // DISKD_AGENT_VOLUME_STOPPABLE_CALLS_H_
