// SPDX-License-Identifier: Apache-2.0
//
// One call per volume at a time; others are refused at once instead of waiting.
#ifndef DISKD_AGENT_VOLUME_VOLUME_LOCKS_H_
#define DISKD_AGENT_VOLUME_VOLUME_LOCKS_H_

#include <set>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

namespace diskd::agent {

// Thread-safe; outlives its locks.
class VolumeLocks {
 public:
  // Holds the volume while it lives; movable.
  class Lock {
   public:
    Lock(VolumeLocks* locks, std::string name) : locks_(locks), name_(std::move(name)) {}
    Lock(Lock&& other) noexcept
        : locks_(std::exchange(other.locks_, nullptr)), name_(std::move(other.name_)) {}
    Lock& operator=(Lock&&) = delete;
    ~Lock();

   private:
    VolumeLocks* locks_;
    std::string name_;
  };

  // ABORTED: another call has it.
  absl::StatusOr<Lock> Acquire(const std::string& name);

 private:
  absl::Mutex mutex_;
  std::set<std::string> busy_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace diskd::agent

#endif  // DISKD_AGENT_VOLUME_VOLUME_LOCKS_H_
