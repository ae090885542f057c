// SPDX-License-Identifier: Apache-2.0
//
// A bounded number of tasks at the same time. Destruction destroys what has not ended.
// Scheduler's thread only.
#ifndef DISKD_DRIVERS_OBJECT_ENGINE_WORKERS_H_
#define DISKD_DRIVERS_OBJECT_ENGINE_WORKERS_H_

#include <utility>

#include "absl/status/status.h"
#include "drivers/object/engine/task.h"

namespace diskd::object {

class Workers {
 public:
  Workers(Scheduler* scheduler, int limit) : limit_(limit), ended_(scheduler) {}

  // Waits for a free place, then starts the task; what it refers to must live until Finish().
  Task<void> Start(Task<absl::Status> work) {
    while (running_ >= limit_) co_await ended_.Wait();
    ++running_;
    tasks_.Spawn(Run(std::move(work)));
  }
  // Waits for all; the first error.
  Task<absl::Status> Finish() {
    while (running_ > 0) co_await ended_.Wait();
    co_return std::exchange(status_, absl::OkStatus());
  }
  // Of a task that has ended with one.
  const absl::Status& status() const { return status_; }

 private:
  Task<void> Run(Task<absl::Status> work) {
    status_.Update(co_await std::move(work));
    --running_;
    ended_.Notify();
  }

  const int limit_;
  int running_ = 0;
  absl::Status status_;
  Signal ended_;
  TaskSet tasks_;
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_ENGINE_WORKERS_H_
