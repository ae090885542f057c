// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/runtime/engine_thread.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/errno_status.h"
#include "drivers/object/env/send_gate.h"
#include "drivers/sdk/check.h"

namespace diskd::object {
namespace {

constexpr unsigned kRingEntries = 256;
constexpr size_t kRandomWords = 32;
constexpr absl::Duration kLongestWait = absl::Seconds(60);

}  // namespace

absl::StatusOr<std::unique_ptr<EngineThread>> EngineThread::Start() {
  std::unique_ptr<EngineThread> engine(new EngineThread());
  engine->wake_ = Fd(eventfd(0, EFD_CLOEXEC));
  if (!engine->wake_.valid()) return ErrnoStatus(errno, "create an eventfd");
  const int error = -io_uring_queue_init(kRingEntries, &engine->ring_, 0);
  if (error != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("io_uring is not available (errno ", error,
                     "): set sysctl kernel.io_uring_disabled=0 and allow io_uring_setup in the "
                     "container's seccomp profile"));
  }
  engine->thread_ = std::thread([raw = engine.get()] { raw->Run(); });
  return engine;
}

EngineThread::~EngineThread() {
  if (!thread_.joinable()) return;
  Post([this] { stopping_ = true; });
  thread_.join();
  io_uring_queue_exit(&ring_);
}

void EngineThread::Wake() {
  const uint64_t one = 1;
  ssize_t written;
  do {
    written = write(wake_.get(), &one, sizeof one);
  } while (written < 0 && errno == EINTR);
  sdk::Check(written == sizeof one, "the engine's eventfd does not take a wake-up");
}

void EngineThread::Post(std::function<void()> fn) {
  bool asleep = false;
  {
    const absl::MutexLock lock(&mutex_);
    posted_.push_back(std::move(fn));
    asleep = std::exchange(asleep_, false);
  }
  if (asleep) Wake();
}

bool EngineThread::MaySleep() {
  const absl::MutexLock lock(&mutex_);
  return asleep_ = posted_.empty();
}

bool EngineThread::TryTurn(absl::FunctionRef<void()> fn, absl::FunctionRef<bool()> wait,
                           absl::FunctionRef<void()> answer) {
  if (!turn_.TryLock()) return false;
  RunPosted();
  // What others have started is not waited for here.
  const bool idle = in_flight_ == 0;
  fn();
  while (idle && wait() && PerformOnly()) {
  }
  answer();
  RunAfterwards();
  const bool wake = !started_.empty() || NextTimer() < awake_at_;
  if (wake) awake_at_ = absl::ZeroDuration();  // it is on its way
  turn_.Unlock();
  if (wake) Wake();
  return true;
}

// Others may have their turns meanwhile: to them it is in flight.
bool EngineThread::PerformOnly() {
  if (started_.size() != 1 || in_flight_ != 1) return false;
  FileOperation operation = std::move(started_.back());
  started_.clear();
  RunAfterwards();
  turn_.Unlock();
  const int result = operation.Perform();
  turn_.Lock();
  const bool only = started_.empty();
  Finish(operation, result);
  return only;
}

// A lease goes on while the machine is suspended.
absl::Duration EngineThread::Now() const { return BootTime(); }

void EngineThread::After(absl::Duration delay, std::function<void()> fn) {
  timers_.push({Now() + delay, next_order_++, std::move(fn)});
}

uint64_t EngineThread::Random() {
  if (random_.empty()) {
    random_.resize(kRandomWords);
    const ssize_t bytes = static_cast<ssize_t>(kRandomWords * sizeof(uint64_t));
    sdk::Check(getrandom(random_.data(), static_cast<size_t>(bytes), 0) == bytes,
               "the kernel gives no random numbers");
  }
  const uint64_t value = random_.back();
  random_.pop_back();
  return value;
}

void EngineThread::StartOperation(FileOperation operation) {
  started_.push_back(std::move(operation));
  ++in_flight_;
}

void EngineThread::RunPosted() {
  std::vector<std::function<void()>> posted;
  {
    const absl::MutexLock lock(&mutex_);
    posted.swap(posted_);
  }
  for (auto& fn : posted) fn();
}

void EngineThread::RunAfterwards() {
  for (auto& fn : std::exchange(afterwards_, {})) fn();
}

// Those that are due now. What they add has its turn when others had theirs.
void EngineThread::RunTimers() {
  const uint64_t end = next_order_;
  const absl::Duration now = Now();
  while (!timers_.empty() && timers_.top().at <= now && timers_.top().order < end) {
    auto fn = std::move(const_cast<Timer&>(timers_.top()).fn);
    timers_.pop();
    fn();
  }
}

void EngineThread::Finish(FileOperation& operation, int result) {
  --in_flight_;
  operation.done(result);
}

absl::Duration EngineThread::NextTimer() const {
  return timers_.empty() ? absl::InfiniteDuration() : timers_.top().at;
}

void EngineThread::Run() {
  pthread_setname_np(pthread_self(), "engine");
  ArmWake();
  for (;;) {
    absl::Duration until;
    {
      const absl::MutexLock turn(&turn_);
      Reap();
      RunAfterwards();
      RunPosted();
      RunAfterwards();
      RunTimers();
      RunAfterwards();
      if (stopping_ && in_flight_ == 0) return;
      PrepareStarted();
      until = MaySleep() ? std::min(NextTimer(), Now() + kLongestWait) : absl::ZeroDuration();
      awake_at_ = until;
    }
    SubmitAndWait(until);
    const absl::MutexLock lock(&mutex_);
    asleep_ = false;
  }
}

void EngineThread::PrepareStarted() {
  for (FileOperation& operation : started_) {
    io_uring_sqe* sqe = FreeEntry();
    operation.Prepare(sqe);
    io_uring_sqe_set_data(sqe, new FileOperation(std::move(operation)));
  }
  started_.clear();
}

io_uring_sqe* EngineThread::FreeEntry() {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  while (sqe == nullptr) {
    const int result = io_uring_submit(&ring_);
    sdk::Check(result >= 0 || result == -EINTR || result == -EAGAIN || result == -EBUSY,
               "io_uring_enter failed");
    sqe = io_uring_get_sqe(&ring_);
  }
  return sqe;
}

void EngineThread::ArmWake() {
  io_uring_sqe* sqe = FreeEntry();
  io_uring_prep_read(sqe, wake_.get(), &wake_value_, sizeof wake_value_, 0);
  io_uring_sqe_set_data(sqe, nullptr);
}

void EngineThread::SubmitAndWait(absl::Duration until) {
  const absl::Duration wait = std::max(until - Now(), absl::ZeroDuration());
  __kernel_timespec timeout{absl::ToInt64Seconds(wait),
                            absl::ToInt64Nanoseconds(wait % absl::Seconds(1))};
  io_uring_cqe* cqe = nullptr;
  const int result = wait == absl::ZeroDuration()
                         ? io_uring_submit(&ring_)
                         : io_uring_submit_and_wait_timeout(&ring_, &cqe, 1, &timeout, nullptr);
  sdk::Check(
      result >= 0 || result == -EINTR || result == -EAGAIN || result == -EBUSY || result == -ETIME,
      "io_uring_enter failed");
}

void EngineThread::Reap() {
  io_uring_cqe* cqe = nullptr;
  while (io_uring_peek_cqe(&ring_, &cqe) == 0) {
    const std::unique_ptr<FileOperation> operation(
        static_cast<FileOperation*>(io_uring_cqe_get_data(cqe)));
    const int value = cqe->res;
    io_uring_cqe_seen(&ring_, cqe);
    if (operation == nullptr) {
      ArmWake();
    } else {
      Finish(*operation, value);
    }
  }
}

}  // namespace diskd::object
