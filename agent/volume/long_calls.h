// SPDX-License-Identifier: Apache-2.0
//
// Calls that may take hours: checks and copies. Each keeps a thread of the server as long as it
// lasts; their number is bounded, so that attach and detach always find one.
#ifndef DISKD_AGENT_VOLUME_LONG_CALLS_H_
#define DISKD_AGENT_VOLUME_LONG_CALLS_H_

#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

namespace diskd::agent {

inline constexpr int kMaxLongCalls = 16;

// Thread-safe; outlives its places.
class LongCalls {
 public:
  // Held for the time of the call; movable.
  class Place {
   public:
    explicit Place(LongCalls* calls) : calls_(calls) {}
    Place(Place&& other) noexcept : calls_(std::exchange(other.calls_, nullptr)) {}
    Place& operator=(Place&&) = delete;
    ~Place();

   private:
    LongCalls* calls_;
  };

  // RESOURCE_EXHAUSTED, at once: kMaxLongCalls are under way.
  absl::StatusOr<Place> Begin();

 private:
  absl::Mutex mutex_;
  int running_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace diskd::agent

#endif  // DISKD_AGENT_VOLUME_LONG_CALLS_H_
