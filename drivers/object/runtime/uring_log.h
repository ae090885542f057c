// SPDX-License-Identifier: Apache-2.0
//
// The file of a log or a cache as a LogDevice: O_DIRECT through the engine thread's ring.
#ifndef DISKD_DRIVERS_OBJECT_RUNTIME_URING_LOG_H_
#define DISKD_DRIVERS_OBJECT_RUNTIME_URING_LOG_H_

#include <atomic>

#include "base/fd.h"
#include "drivers/object/env/log_device.h"
#include "drivers/object/runtime/engine_thread.h"

namespace diskd::object {

class UringLog final : public LogDevice {
 public:
  // `what` it is, in messages.
  UringLog(EngineThread* thread, Fd file, uint64_t size_bytes, const char* what)
      : thread_(thread), file_(std::move(file)), size_bytes_(size_bytes), what_(what) {}

  uint64_t size_bytes() const override { return size_bytes_; }
  void Read(uint64_t offset, absl::Span<std::byte> into, Done done) override;
  void Write(uint64_t offset, absl::Span<const std::byte> from, Done done) override;
  void Flush(Done done) override;

  uint64_t reads() const { return reads_; }  // that have ended. Any thread

 private:
  absl::Status Problem(const char* call, int result) const;

  EngineThread* const thread_;
  const Fd file_;
  const uint64_t size_bytes_;
  const char* const what_;
  std::atomic<uint64_t> reads_ = 0;
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_RUNTIME_URING_LOG_H_
