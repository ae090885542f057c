// SPDX-License-Identifier: Apache-2.0
//
// For asynchronous drivers: whether a queue waits in place for what a request needs from a disk.
//
// Who has the disk for himself waits for each answer. It comes sooner by a blocking system call
// than through io_uring: without a change of threads, without a worker for fdatasync. The price is
// that who comes meanwhile, on the same queue, waits for that one call; so it is done only after
// several requests in a row met no other one, and not on a disk that takes long.
//
// Queue's thread only.
#ifndef DISKD_DRIVERS_SDK_LONE_REQUESTS_H_
#define DISKD_DRIVERS_SDK_LONE_REQUESTS_H_

#include "absl/time/time.h"

namespace diskd::sdk {

class LoneRequests {
 public:
  // In a row, before the next one is waited for in place.
  static constexpr int kBefore = 8;
  // So many waits in a row that took so long, and as many requests go by as kAfterSlow.
  static constexpr absl::Duration kSlow = absl::Milliseconds(2);
  static constexpr int kSlowInARow = 8;
  static constexpr int kAfterSlow = 1000;

  // Of each request or batch. `alone`: one request, and no other is unanswered.
  bool InPlace(bool alone) {
    if (!alone) {
      lone_ = 0;
      return false;
    }
    if (rest_ > 0) {
      --rest_;
      return false;
    }
    if (lone_ == kBefore) return true;
    ++lone_;
    return false;
  }
  // How long the wait was.
  void Took(absl::Duration time) {
    slow_ = time > kSlow ? slow_ + 1 : 0;
    if (slow_ < kSlowInARow) return;
    slow_ = 0;
    rest_ = kAfterSlow;
  }

 private:
  int lone_ = 0;
  int slow_ = 0;
  int rest_ = 0;
};

}  // namespace diskd::sdk

#endif  // DISKD_DRIVERS_SDK_LONE_REQUESTS_H_
