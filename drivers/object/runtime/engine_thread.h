// SPDX-License-Identifier: Apache-2.0
//
// The thread an engine lives on: an event loop around one io_uring. A queue may take a turn of the
// engine on its own thread instead, which saves it two changes of threads a request.
//
// What belongs to the engine is used in turns, one at a time, each on this thread or on that of a
// caller of TryTurn().
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
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/fd.h"
#include "drivers/object/env/scheduler.h"
#include "drivers/object/runtime/file_operation.h"

namespace diskd::object {

class EngineThread final : public Scheduler {
 public:
  static absl::StatusOr<std::unique_ptr<EngineThread>> Start();
  // Runs what was posted before, waits for every operation, ends the thread.
  ~EngineThread() override;

  // From any thread: runs `fn` in a turn, in the order of the calls.
  void Post(std::function<void()> fn) ABSL_LOCKS_EXCLUDED(mutex_);
  // From any thread but this one: if nobody has the turn, runs `fn` here and now, behind what was
  // posted before. If no operation was in flight, the only one that `fn` starts, and what follows
  // from it, is done here too as long as `wait` says so; the turn is free while the disk takes its
  // time. Then runs `answer`. What else is due is left to the engine's thread. False: nothing was
  // done.
  bool TryTurn(absl::FunctionRef<void()> fn, absl::FunctionRef<bool()> wait,
               absl::FunctionRef<void()> answer) ABSL_LOCKS_EXCLUDED(turn_, mutex_);

  // In a turn only.
  absl::Duration Now() const override;
  void After(absl::Duration delay, std::function<void()> fn) override;
  uint64_t Random() override;
  // `done` runs in a turn, never inside the call. They may overtake each other.
  void StartOperation(FileOperation operation);
  size_t in_flight() const { return in_flight_; }  // operations started and not done
  // Runs `fn` soon, behind what the turn still has to do first: for what is worth doing once, as
  // waking those who wait for answers. `fn` must not use the engine.
  void Afterwards(std::function<void()> fn) { afterwards_.push_back(std::move(fn)); }

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
  void Run() ABSL_LOCKS_EXCLUDED(turn_, mutex_);
  void Wake();
  void RunPosted() ABSL_EXCLUSIVE_LOCKS_REQUIRED(turn_) ABSL_LOCKS_EXCLUDED(mutex_);
  void RunTimers() ABSL_EXCLUSIVE_LOCKS_REQUIRED(turn_);
  void RunAfterwards() ABSL_EXCLUSIVE_LOCKS_REQUIRED(turn_);
  // Whether nothing was posted, so that the thread may sleep until it is woken.
  bool MaySleep() ABSL_LOCKS_EXCLUDED(mutex_);
  // True: it was done, and only what followed from it has been started since.
  bool PerformOnly() ABSL_EXCLUSIVE_LOCKS_REQUIRED(turn_);
  void PrepareStarted() ABSL_EXCLUSIVE_LOCKS_REQUIRED(turn_);
  absl::Duration NextTimer() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(turn_);
  void Finish(FileOperation& operation, int result) ABSL_EXCLUSIVE_LOCKS_REQUIRED(turn_);
  // On the thread: the ring is its alone.
  void SubmitAndWait(absl::Duration until);
  void Reap() ABSL_EXCLUSIVE_LOCKS_REQUIRED(turn_);
  void ArmWake();
  io_uring_sqe* FreeEntry();

  io_uring ring_{};
  Fd wake_;  // eventfd
  uint64_t wake_value_ = 0;

  // Taken for a turn. What follows is guarded by it, where the analysis sees the lock or not: the
  // engine's calls come back through interfaces that know nothing of it.
  absl::Mutex turn_;
  std::vector<FileOperation> started_;  // not given to the ring yet
  size_t in_flight_ = 0;                // with those; without the one on wake_
  bool stopping_ = false;
  std::priority_queue<Timer> timers_;
  uint64_t next_order_ = 0;
  std::vector<std::function<void()>> afterwards_;
  std::vector<uint64_t> random_;
  absl::Duration awake_at_;  // when the thread looks at the timers next

  absl::Mutex mutex_ ABSL_ACQUIRED_AFTER(turn_);
  std::vector<std::function<void()>> posted_ ABSL_GUARDED_BY(mutex_);
  bool asleep_ ABSL_GUARDED_BY(mutex_) = false;  // and nobody has woken the thread for posted_ yet
  std::thread thread_;
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_RUNTIME_ENGINE_THREAD_H_
