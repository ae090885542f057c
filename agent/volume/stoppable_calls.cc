// SPDX-License-Identifier: Apache-2.0
#include "agent/volume/stoppable_calls.h"

namespace diskd::agent {

StoppableCalls::Call::Call(StoppableCalls* calls, DriverProcess* process)
    : calls_(calls), process_(process) {
  const absl::MutexLock lock(&calls_->mutex_);
  calls_->processes_.insert(process_);
  if (calls_->stopped_) process_->Interrupt();
}

StoppableCalls::Call::~Call() {
  const absl::MutexLock lock(&calls_->mutex_);
  calls_->processes_.erase(process_);
}

void StoppableCalls::Stop() {
  const absl::MutexLock lock(&mutex_);
  stopped_ = true;
  for (DriverProcess* process : processes_) process->Interrupt();
}

bool StoppableCalls::stopped() const {
  const absl::MutexLock lock(&mutex_);
  return stopped_;
}

absl::Status StoppableCalls::ForCaller(const absl::Status& status) const {
  if (!absl::IsCancelled(status) || !stopped()) return status;
  return absl::UnavailableError("the agent is ending: repeat the call when it is back");
}

}  // namespace diskd::agent
