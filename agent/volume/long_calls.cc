// SPDX-License-Identifier: Apache-2.0
#include "agent/volume/long_calls.h"

#include "absl/strings/str_cat.h"

namespace diskd::agent {

LongCalls::Place::~Place() {
  if (calls_ == nullptr) return;
  absl::MutexLock lock(&calls_->mutex_);
  --calls_->running_;
}

absl::StatusOr<LongCalls::Place> LongCalls::Begin() {
  absl::MutexLock lock(&mutex_);
  if (running_ == kMaxLongCalls) {
    return absl::ResourceExhaustedError(
        absl::StrCat(kMaxLongCalls,
                     " checks and copies of volumes are under way on this node, which does no more "
                     "at a time: try again when one of them has ended"));
  }
  ++running_;
  return Place(this);
}

}  // namespace diskd::agent
