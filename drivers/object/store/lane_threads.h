// SPDX-License-Identifier: Apache-2.0
//
// Threads that run blocking work of one lane, first come, first served.
#ifndef DISKD_DRIVERS_OBJECT_STORE_LANE_THREADS_H_
#define DISKD_DRIVERS_OBJECT_STORE_LANE_THREADS_H_

#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace diskd::object {

// Thread-safe. The destructor runs what is queued, also what the work itself adds.
class LaneThreads {
 public:
  LaneThreads(const std::string& name, int threads);
  ~LaneThreads();

  void Add(std::function<void()> work);

 private:
  void Run();

  absl::Mutex mutex_;
  std::deque<std::function<void()>> queue_ ABSL_GUARDED_BY(mutex_);
  int busy_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_STORE_LANE_THREADS_H_
