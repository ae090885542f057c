// SPDX-License-Identifier: Apache-2.0
//
// The thread an engine lives on: an event loop around one io_uring.
#ifndef DISKD_DRIVERS_OBJECT_RUNTIME_ENGINE_THREAD_H_
#define DISKD_DRIVERS_OBJECT_RUNTIME_ENGINE_THREAD_H_

#include <liburing.h>

#include <functional>
#include <memory>
#include <queue>
#include <thread>
#include <tuple>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/fd.h"
#include "drivers/object/env/scheduler.h"

namespace diskd::object {

class EngineThread final : public Scheduler {
 public:
  // One operation on the ring. Deleted after `done`.
  struct Operation {
    std::function<void(int result)> done;  // as cqe->res
  };

  static absl::StatusOr<std::unique_ptr<EngineThread>> Start();
  // Runs what was posted before, waits for every operation on the ring, ends the thread.
  ~EngineThread() override;

  // From any thread: runs `fn` on this one, in the order of the calls.
  void Post(std::function<void()> fn) ABSL_LOCKS_EXCLUDED(mutex_);

  // On the thread only.
  absl::Duration Now() const override;
  void After(absl::Duration delay, std::function<void()> fn) override;
  uint64_t Random() override;
  // Fills one entry by `prepare` and submits it with the next turn of the loop.
  void StartOperation(const std::function<void(io_uring_sqe*)>& prepare,
                      std::function<void(int result)> done);
  int in_flight() const { return in_flight_; }  // operations started and not done

 private:
  struct Timer {
    absl::Duration at;
    uint64_t order;
    std::function<void()> fn;
    bool operator<(const Timer& other) const {
      return std::tie(other.at, other.order) < std::tie(at, order);
    }
  };

  EngineThread() = default;
  void Run();
  void RunPosted() ABSL_LOCKS_EXCLUDED(mutex_);
  void RunTimers();
  void Wait();
  void ArmWake();
  io_uring_sqe* FreeEntry();

  io_uring ring_{};
  Fd wake_;  // eventfd
  uint64_t wake_value_ = 0;
  int in_flight_ = 0;  // operations, without the one on wake_
  bool stopping_ = false;
  std::priority_queue<Timer> timers_;
  uint64_t next_order_ = 0;
  std::vector<uint64_t> random_;

  absl::Mutex mutex_;
  std::vector<std::function<void()>> posted_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_RUNTIME_ENGINE_THREAD_H_
