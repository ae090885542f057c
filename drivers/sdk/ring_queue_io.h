// SPDX-License-Identifier: Apache-2.0
//
// QueueIo over one io_uring, and the transport's side of it. Queue's thread only.
#ifndef DISKD_DRIVERS_SDK_RING_QUEUE_IO_H_
#define DISKD_DRIVERS_SDK_RING_QUEUE_IO_H_

#include "drivers/sdk/queue_io.h"

namespace diskd::sdk {

class RingQueueIo final : public QueueIo {
 public:
  explicit RingQueueIo(int queue_depth) : queue_depth_(queue_depth) {}
  ~RingQueueIo() override;
  RingQueueIo(const RingQueueIo&) = delete;
  RingQueueIo& operator=(const RingQueueIo&) = delete;

  absl::Status Start() override;
  io_uring_sqe* Prepare(IoOperation* operation) override;
  void SetOperation(io_uring_sqe* sqe, IoOperation* operation) override;
  int queue_depth() const override { return queue_depth_; }

  bool started() const { return started_; }

  // Submits what is prepared.
  void Submit() { SubmitAndWait(0); }
  // Submits what is prepared, waits for at least one result if `wait` (or until a signal comes),
  // and runs the done() of all results there are.
  void SubmitAndReap(bool wait);

 private:
  void SubmitAndWait(unsigned results);
  void Reap();

  const int queue_depth_;
  bool started_ = false;
  io_uring ring_{};
};

}  // namespace diskd::sdk

#endif  // DISKD_DRIVERS_SDK_RING_QUEUE_IO_H_
