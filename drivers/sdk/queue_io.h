// SPDX-License-Identifier: Apache-2.0
//
// The io_uring of one queue, for drivers that work asynchronously.
//
// Thread rule: the queue's thread only. The transport submits and reaps; a driver prepares
// operations and gets their results by callback, on the same thread. Results come at once while a
// request of the queue is unanswered, else perhaps not before its next request.
#ifndef DISKD_DRIVERS_SDK_QUEUE_IO_H_
#define DISKD_DRIVERS_SDK_QUEUE_IO_H_

#include <liburing.h>

#include "absl/status/status.h"

namespace diskd::sdk {

// One operation in flight. Embed it in the driver's per-request state: nothing is allocated.
struct IoOperation {
  using DoneFunction = void (*)(IoOperation*, int result);  // cqe->res: >= 0 or -errno
  DoneFunction done = nullptr;
};

class QueueIo {
 public:
  virtual ~QueueIo() = default;

  // Creates the io_uring. An asynchronous driver calls it in OpenQueue, before any Prepare(); a
  // queue whose driver never does is served without one, by blocking reads. Again: OK.
  // FAILED_PRECONDITION: io_uring is not usable here, and why.
  virtual absl::Status Start() = 0;

  // Room for one operation: fill it with io_uring_prep_*(). Its user_data is already set to
  // `operation`, which must live until done() runs. Never nullptr: when the ring is full, what
  // it holds is submitted first.
  virtual io_uring_sqe* Prepare(IoOperation* operation) = 0;
  // Same, after io_uring_prep_*() has been called on the entry (older liburing clears user_data).
  virtual void SetOperation(io_uring_sqe* sqe, IoOperation* operation) = 0;

  // Largest number of requests the transport may have in flight on this queue.
  virtual int queue_depth() const = 0;
};

}  // namespace diskd::sdk

#endif  // DISKD_DRIVERS_SDK_QUEUE_IO_H_
