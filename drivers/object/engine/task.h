// SPDX-License-Identifier: Apache-2.0
//
// Coroutines of the engine: Task<T> is a lazy function that can wait, TaskSet owns the ones nobody
// waits for. Everything runs on the Scheduler's thread.
//
// Ownership: a Task owns its frame and, through it, every task it waits for. Destroying a TaskSet
// destroys all its unfinished tasks wherever they wait: that is how an engine ends in a crash. What
// they waited for may still complete; a Completion forgets its waiter when it is destroyed.
#ifndef DISKD_DRIVERS_OBJECT_ENGINE_TASK_H_
#define DISKD_DRIVERS_OBJECT_ENGINE_TASK_H_

#include <coroutine>
#include <exception>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "drivers/object/env/scheduler.h"

namespace diskd::object {

template <class T>
class Task;

namespace internal {

struct PromiseBase {
  struct Final {
    bool await_ready() noexcept { return false; }
    template <class P>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<P> self) noexcept {
      auto next = self.promise().continuation;
      return next ? next : std::noop_coroutine();
    }
    void await_resume() noexcept {}
  };
  std::suspend_always initial_suspend() noexcept { return {}; }
  Final final_suspend() noexcept { return {}; }
  void unhandled_exception() { std::terminate(); }
  std::coroutine_handle<> continuation;
};

template <class T>
struct Promise : PromiseBase {
  Task<T> get_return_object();
  template <class U>
  void return_value(U&& value) {
    result.emplace(std::forward<U>(value));
  }
  T Take() { return std::move(*result); }
  std::optional<T> result;
};

template <>
struct Promise<void> : PromiseBase {
  Task<void> get_return_object();
  void return_void() {}
  void Take() {}
};

}  // namespace internal

template <class T = void>
class [[nodiscard]] Task {
 public:
  using promise_type = internal::Promise<T>;
  explicit Task(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task& operator=(Task&&) = delete;
  ~Task() {
    if (handle_) handle_.destroy();
  }

  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> waiter) noexcept {
    handle_.promise().continuation = waiter;
    return handle_;
  }
  T await_resume() { return handle_.promise().Take(); }

 private:
  std::coroutine_handle<promise_type> handle_;
};

namespace internal {
template <class T>
Task<T> Promise<T>::get_return_object() {
  return Task<T>(std::coroutine_handle<Promise<T>>::from_promise(*this));
}
inline Task<void> Promise<void>::get_return_object() {
  return Task<void>(std::coroutine_handle<Promise<void>>::from_promise(*this));
}
}  // namespace internal

class TaskSet {
 public:
  TaskSet() = default;
  TaskSet(const TaskSet&) = delete;
  TaskSet& operator=(const TaskSet&) = delete;
  ~TaskSet() { Clear(); }

  // Starts the task at once; it runs here until it first waits.
  void Spawn(Task<void> task) { Run(this, std::move(task)); }

  // Destroys what has not finished. Never from inside one of its tasks.
  void Clear() {
    while (!roots_.empty()) roots_.front().destroy();
  }

 private:
  struct Root {
    struct promise_type {
      promise_type(TaskSet* owner, Task<void>&) : set(owner) {
        set->roots_.push_front(std::coroutine_handle<promise_type>::from_promise(*this));
        place = set->roots_.begin();
      }
      ~promise_type() { set->roots_.erase(place); }
      Root get_return_object() { return {}; }
      std::suspend_never initial_suspend() noexcept { return {}; }
      std::suspend_never final_suspend() noexcept { return {}; }
      void return_void() {}
      void unhandled_exception() { std::terminate(); }
      TaskSet* set;
      std::list<std::coroutine_handle<>>::iterator place;
    };
  };
  static Root Run(TaskSet* set, Task<void> task) { co_await std::move(task); }

  std::list<std::coroutine_handle<>> roots_;
};

// The result of a function with a `done` callback:
//   Completion<absl::Status> done;
//   device->Flush(done.Callback());
//   absl::Status status = co_await done;
template <class R>
class Completion {
 public:
  Completion() : state_(std::make_shared<State>()) {}
  Completion(const Completion&) = delete;
  Completion& operator=(const Completion&) = delete;
  ~Completion() { state_->waiter = nullptr; }

  std::function<void(R)> Callback() {
    return [state = state_](R result) {
      state->result.emplace(std::move(result));
      if (state->waiter) std::exchange(state->waiter, nullptr).resume();
    };
  }

  bool await_ready() const noexcept { return state_->result.has_value(); }
  void await_suspend(std::coroutine_handle<> waiter) noexcept { state_->waiter = waiter; }
  R await_resume() { return std::move(*state_->result); }

 private:
  struct State {
    std::optional<R> result;
    std::coroutine_handle<> waiter;
  };
  std::shared_ptr<State> state_;
};

inline Task<void> Sleep(Scheduler* scheduler, absl::Duration delay) {
  Completion<bool> done;
  scheduler->After(delay, [callback = done.Callback()] { callback(true); });
  co_await done;
}

// "Something you may be waiting for has changed": wait in a loop that tests the condition.
class Signal {
 public:
  explicit Signal(Scheduler* scheduler) : scheduler_(scheduler) {}

  Task<void> Wait() {
    Completion<bool> done;
    waiters_.push_back(done.Callback());
    co_await done;
  }
  // Waiters go on later, never inside the call.
  void Notify() {
    for (auto& waiter : std::exchange(waiters_, {})) {
      scheduler_->After(absl::ZeroDuration(), [waiter = std::move(waiter)] { waiter(true); });
    }
  }

 private:
  Scheduler* const scheduler_;
  std::vector<std::function<void(bool)>> waiters_;
};

// One holder at a time:  const Mutex::Guard guard = co_await mutex.Lock();
class Mutex {
 public:
  explicit Mutex(Scheduler* scheduler) : released_(scheduler) {}

  class Guard {
   public:
    explicit Guard(Mutex* mutex) : mutex_(mutex) {}
    Guard(Guard&& other) noexcept : mutex_(std::exchange(other.mutex_, nullptr)) {}
    Guard& operator=(Guard&&) = delete;
    ~Guard() {
      if (mutex_ == nullptr) return;
      mutex_->held_ = false;
      mutex_->released_.Notify();
    }

   private:
    Mutex* mutex_;
  };

  Task<Guard> Lock() {
    while (held_) co_await released_.Wait();
    held_ = true;
    co_return Guard(this);
  }

 private:
  bool held_ = false;
  Signal released_;
};

}  // namespace diskd::object

// For coroutines that return a status or a StatusOr.
#define CO_RETURN_IF_ERROR(expression)                      \
  do {                                                      \
    absl::Status co_return_status = (expression);           \
    if (!co_return_status.ok()) co_return co_return_status; \
  } while (false)

#endif  // DISKD_DRIVERS_OBJECT_ENGINE_TASK_H_
