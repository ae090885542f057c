// SPDX-License-Identifier: Apache-2.0
//
// For tests: a RAM disk in the test's own process whose answers a test can shape.
// Synchronous, or through the queue's io_uring.
#ifndef DISKD_DRIVERS_SDK_TESTING_FAKE_DRIVER_H_
#define DISKD_DRIVERS_SDK_TESTING_FAKE_DRIVER_H_

#include <poll.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "base/status_macros.h"
#include "drivers/sdk/driver.h"
#include "drivers/sdk/queue_io.h"

namespace diskd::sdk {

class FakeDriver final : public Driver {
 public:
  FakeDriver(const Geometry& geometry, bool asynchronous)
      : data(geometry.size_bytes), geometry_(geometry), asynchronous_(asynchronous) {}

  Geometry geometry() const override { return geometry_; }
  absl::StatusOr<std::unique_ptr<Queue>> OpenQueue(int index, QueueIo& io) override;

  std::vector<std::byte> data;
  std::atomic<int> fail_with{0};  // errno for every request
  std::atomic<int> flushes{0};
  std::atomic<bool> in_place{false};  // asynchronous: answers at once all the same
  std::atomic<int> hold_flushes{-1};  // asynchronous: until this descriptor is readable; -1: not
  std::atomic<int> submitted{0};
  std::atomic<int> batches{0};
  std::atomic<bool> last_fua{false};
  std::atomic<bool> last_no_unmap{false};
  std::atomic<Op> last_op{Op::kRead};

  int Answer(Request& request) {
    last_op = request.op;
    last_fua = request.fua;
    last_no_unmap = request.no_unmap;
    if (fail_with != 0) return fail_with;
    switch (request.op) {
      case Op::kRead:
        memcpy(request.data, data.data() + request.offset, request.length);
        return 0;
      case Op::kWrite:
        memcpy(data.data() + request.offset, request.data, request.length);
        return 0;
      case Op::kFlush:
        ++flushes;
        return 0;
      default:
        memset(data.data() + request.offset, 0, request.length);
        return 0;
    }
  }

 private:
  const Geometry geometry_;
  const bool asynchronous_;
};

class FakeQueue final : public Queue {
 public:
  FakeQueue(FakeDriver& driver, QueueIo* io) : driver_(driver), io_(io) {
    if (io != nullptr) operations_.resize(io->queue_depth());
  }

  void Submit(Request& request) override {
    ++driver_.submitted;
    const bool held = request.op == Op::kFlush && driver_.hold_flushes >= 0;
    if (io_ == nullptr || (driver_.in_place && !held)) {
      return request.Complete(driver_.Answer(request));
    }
    Operation* operation = &operations_[0];
    while (operation->request != nullptr) ++operation;
    operation->queue = this;
    operation->request = &request;
    operation->done = [](IoOperation* done, int) {
      auto* finished = static_cast<Operation*>(done);
      Request* answered = std::exchange(finished->request, nullptr);
      answered->Complete(finished->queue->driver_.Answer(*answered));
    };
    io_uring_sqe* sqe = io_->Prepare(operation);
    if (held) {
      io_uring_prep_poll_add(sqe, driver_.hold_flushes, POLLIN);
    } else {
      io_uring_prep_nop(sqe);
    }
    io_->SetOperation(sqe, operation);
  }

  void CommitBatch() override { ++driver_.batches; }

 private:
  struct Operation : IoOperation {
    FakeQueue* queue = nullptr;
    Request* request = nullptr;
  };
  FakeDriver& driver_;
  QueueIo* const io_;
  std::vector<Operation> operations_;
};

inline absl::StatusOr<std::unique_ptr<Queue>> FakeDriver::OpenQueue(int, QueueIo& io) {
  if (!asynchronous_) return std::make_unique<FakeQueue>(*this, nullptr);
  RETURN_IF_ERROR(io.Start());
  return std::make_unique<FakeQueue>(*this, &io);
}

}  // namespace diskd::sdk

#endif  // DISKD_DRIVERS_SDK_TESTING_FAKE_DRIVER_H_
