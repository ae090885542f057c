// SPDX-License-Identifier: Apache-2.0
//
// One queue of a disk as a transport serves it: takes requests from the kernel, hands them to the
// driver's Queue, gives the answers back.
//
// Thread rule: Open, Serve and Close are called in this order, once each, on the queue's own
// thread (QueueThreads sees to it). counters() may be read from any thread.
#ifndef DISKD_DRIVERS_SDK_TRANSPORT_TRANSPORT_H_
#define DISKD_DRIVERS_SDK_TRANSPORT_TRANSPORT_H_

#include <atomic>

#include "absl/status/status.h"
#include "drivers/sdk/counters.h"

namespace diskd::sdk {

class QueueTransport {
 public:
  virtual ~QueueTransport() = default;

  // Buffers, attachment to the kernel, the driver's OpenQueue. Nothing is allocated afterwards.
  virtual absl::Status Open() = 0;

  // Returns OK once `stop` is set and everything taken has been answered. `stop` is looked at
  // between requests and whenever a system call returns EINTR. Any other status: the kernel ended
  // the service; what had been taken has been answered.
  virtual absl::Status Serve(const std::atomic<bool>& stop) = 0;

  // Destroys the driver's Queue and leaves the kernel's queue. Also after a failed Open.
  virtual void Close() = 0;

  const QueueCounters& counters() const { return counters_; }

 protected:
  QueueCounters counters_;
};

}  // namespace diskd::sdk

#endif  // DISKD_DRIVERS_SDK_TRANSPORT_TRANSPORT_H_
