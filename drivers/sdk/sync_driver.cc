// SPDX-License-Identifier: Apache-2.0
#include <cerrno>

#include "drivers/sdk/driver.h"

namespace diskd::sdk {
namespace {

class SyncQueue final : public Queue {
 public:
  explicit SyncQueue(SyncDriver& driver) : driver_(driver) {}

  void Submit(Request& request) override { request.Complete(Answer(request)); }
  SyncDriver* sync_driver() override { return &driver_; }

 private:
  int Answer(const Request& request) {
    switch (request.op) {
      case Op::kRead:
        return driver_.Read(request.offset, {request.data, request.length});
      case Op::kWrite:
        return driver_.Write(request.offset, {request.data, request.length}, request.fua);
      case Op::kFlush:
        return driver_.Flush();
      case Op::kDiscard:
        return driver_.Discard(request.offset, request.length);
      case Op::kWriteZeroes:
        return WriteZeroes(request);
    }
    return EOPNOTSUPP;
  }

  int WriteZeroes(const Request& request) {
    const int error = driver_.WriteZeroes(request.offset, request.length);
    return error == 0 && request.fua ? driver_.Flush() : error;
  }

  SyncDriver& driver_;
};

}  // namespace

int SyncDriver::Discard(uint64_t, uint64_t) { return EOPNOTSUPP; }
int SyncDriver::WriteZeroes(uint64_t, uint64_t) { return EOPNOTSUPP; }

absl::StatusOr<std::unique_ptr<Queue>> SyncDriver::OpenQueue(int, QueueIo&) {
  return std::make_unique<SyncQueue>(*this);
}

}  // namespace diskd::sdk
