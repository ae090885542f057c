// SPDX-License-Identifier: Apache-2.0
#include "drivers/sdk/transport/queue_threads.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/log.h"
#include "base/status_macros.h"

namespace diskd::sdk {
namespace {

constexpr int kWakeSignal = SIGUSR1;
// A signal that comes just before a thread enters a system call is lost on it, so it is sent
// again until the thread is through.
constexpr absl::Duration kWakeInterval = absl::Milliseconds(5);

// System calls return EINTR: no SA_RESTART.
void InstallWakeHandler() {
  struct sigaction action {};
  action.sa_handler = [](int) {};
  sigaction(kWakeSignal, &action, nullptr);
}

// A woken server that preempts the submitter finds one request; under SCHED_BATCH it finds what
// the submitter had time to queue, and the cost of waking is shared.
void PreferBatches() {
  const sched_param parameters{};
  if (sched_setscheduler(0, SCHED_BATCH, &parameters) != 0) {
    SPDLOG_DEBUG("SCHED_BATCH is refused; serving with the default policy");
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<QueueThreads>> QueueThreads::Open(
    std::vector<std::unique_ptr<QueueTransport>> queues) {
  InstallWakeHandler();
  std::unique_ptr<QueueThreads> threads(new QueueThreads());
  for (auto& queue : queues) {
    auto worker = std::make_unique<Worker>();
    worker->queue = std::move(queue);
    threads->workers_.push_back(std::move(worker));
  }
  for (int i = 0; i < threads->queues(); ++i) {
    Worker& worker = *threads->workers_[i];
    worker.thread = std::thread([&threads = *threads, &worker, i] { threads.Run(worker, i); });
  }
  absl::Status status;
  for (const auto& worker : threads->workers_) {
    status.Update(worker->opened.get_future().get());
  }
  if (!status.ok()) return status;  // the destructor stops and joins
  return threads;
}

void QueueThreads::Go() { go_.Notify(); }

absl::StatusOr<std::unique_ptr<QueueThreads>> QueueThreads::Start(
    std::vector<std::unique_ptr<QueueTransport>> queues) {
  ASSIGN_OR_RETURN(std::unique_ptr<QueueThreads> threads, Open(std::move(queues)));
  threads->Go();
  return threads;
}

QueueThreads::~QueueThreads() { Stop(); }

void QueueThreads::Stop() {
  stop_.store(true);
  if (!go_.HasBeenNotified()) go_.Notify();
  for (const auto& worker : workers_) {
    if (!worker->thread.joinable()) continue;
    while (!worker->finished.WaitForNotificationWithTimeout(kWakeInterval)) {
      pthread_kill(worker->thread.native_handle(), kWakeSignal);
    }
    worker->thread.join();
  }
}

CounterValues QueueThreads::counters() const {
  CounterValues sum;
  for (const auto& worker : workers_) sum += worker->queue->counters().Read();
  return sum;
}

void QueueThreads::Run(Worker& worker, int index) {
  pthread_setname_np(pthread_self(), absl::StrCat("queue-", index).c_str());
  PreferBatches();
  absl::Status opened = worker.queue->Open();
  const bool serve = opened.ok();
  worker.opened.set_value(std::move(opened));
  go_.WaitForNotification();
  if (serve && !stop_.load()) {
    const absl::Status status = worker.queue->Serve(stop_);
    if (!status.ok()) SPDLOG_WARN("queue {} ended: {}", index, status.ToString());
  }
  worker.queue->Close();
  ended_.fetch_add(1);
  worker.finished.Notify();
}

}  // namespace diskd::sdk
