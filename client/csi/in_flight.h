// SPDX-License-Identifier: Apache-2.0
//
// At most one call at a time for a volume. Thread-safe.
#ifndef DISKD_CLIENT_CSI_IN_FLIGHT_H_
#define DISKD_CLIENT_CSI_IN_FLIGHT_H_

#include <set>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"

namespace diskd::csi {

class InFlight {
 public:
  // Holds its key until it goes. Must not outlive the InFlight.
  class Hold {
   public:
    Hold(InFlight* owner, std::string key) : owner_(owner), key_(std::move(key)) {}
    Hold(Hold&& other) noexcept
        : owner_(std::exchange(other.owner_, nullptr)), key_(std::move(other.key_)) {}
    Hold& operator=(Hold&&) = delete;
    ~Hold() {
      if (owner_ != nullptr) owner_->Release(key_);
    }

   private:
    InFlight* owner_;
    std::string key_;
  };

  // ABORTED: another call holds the key.
  absl::StatusOr<Hold> Acquire(const std::string& key) {
    absl::MutexLock lock(&mutex_);
    if (!keys_.insert(key).second) {
      return absl::AbortedError(
          absl::StrCat("another call for volume ", key, " is under way; try again"));
    }
    return Hold(this, key);
  }

 private:
  void Release(const std::string& key) {
    absl::MutexLock lock(&mutex_);
    keys_.erase(key);
  }

  absl::Mutex mutex_;
  std::set<std::string> keys_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace diskd::csi

#endif  // DISKD_CLIENT_CSI_IN_FLIGHT_H_
