// SPDX-License-Identifier: Apache-2.0
//
// One thread per queue of a served disk.
//
// Thread rule: one thread calls the members; running() and counters() may be called by any.
#ifndef DISKD_DRIVERS_SDK_TRANSPORT_QUEUE_THREADS_H_
#define DISKD_DRIVERS_SDK_TRANSPORT_QUEUE_THREADS_H_

#include <atomic>
#include <future>
#include <memory>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "drivers/sdk/transport/transport.h"

namespace diskd::sdk {

class QueueThreads {
 public:
  // Opens all queues on their threads; they serve from Go() on. On error nothing runs.
  static absl::StatusOr<std::unique_ptr<QueueThreads>> Open(
      std::vector<std::unique_ptr<QueueTransport>> queues);
  void Go();
  // Open and Go.
  static absl::StatusOr<std::unique_ptr<QueueThreads>> Start(
      std::vector<std::unique_ptr<QueueTransport>> queues);

  // Stops if still running.
  ~QueueThreads();

  // Answers what has been taken and joins the threads. Waits for the driver's answers for ever.
  void Stop();

  // False before Go(), and as soon as one queue is no longer served: the kernel ended it, or
  // Stop().
  bool running() const { return go_.HasBeenNotified() && ended_.load() == 0; }
  int queues() const { return static_cast<int>(workers_.size()); }
  CounterValues counters() const;

 private:
  struct Worker {
    std::unique_ptr<QueueTransport> queue;
    std::promise<absl::Status> opened;
    absl::Notification finished;
    std::thread thread;
  };

  QueueThreads() = default;
  void Run(Worker& worker, int index);

  std::atomic<bool> stop_{false};
  std::atomic<int> ended_{0};
  absl::Notification go_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace diskd::sdk

#endif  // DISKD_DRIVERS_SDK_TRANSPORT_QUEUE_THREADS_H_
