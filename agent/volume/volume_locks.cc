// SPDX-License-Identifier: Apache-2.0
#include "agent/volume/volume_locks.h"

#include "absl/strings/str_cat.h"

namespace diskd::agent {

VolumeLocks::Lock::~Lock() {
  if (locks_ == nullptr) return;
  absl::MutexLock lock(&locks_->mutex_);
  locks_->busy_.erase(name_);
}

absl::StatusOr<VolumeLocks::Lock> VolumeLocks::Acquire(const std::string& name) {
  absl::MutexLock lock(&mutex_);
  if (!busy_.insert(name).second) {
    return absl::AbortedError(
        absl::StrCat("another call is working on volume \"", name, "\": try again"));
  }
  return Lock(this, name);
}

}  // namespace diskd::agent
