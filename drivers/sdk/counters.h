// SPDX-License-Identifier: Apache-2.0
//
// What one queue has answered. The queue's thread writes, any thread reads; no locked
// instructions, because there is one writer.
#ifndef DISKD_DRIVERS_SDK_COUNTERS_H_
#define DISKD_DRIVERS_SDK_COUNTERS_H_

#include <atomic>
#include <cerrno>
#include <cstdint>

#include "drivers/sdk/driver.h"

namespace diskd::sdk {

struct CounterValues {
  uint64_t reads = 0;
  uint64_t writes = 0;
  uint64_t read_bytes = 0;
  uint64_t written_bytes = 0;
  uint64_t flushes = 0;
  uint64_t errors = 0;

  CounterValues& operator+=(const CounterValues& other) {
    reads += other.reads;
    writes += other.writes;
    read_bytes += other.read_bytes;
    written_bytes += other.written_bytes;
    flushes += other.flushes;
    errors += other.errors;
    return *this;
  }
};

class alignas(64) QueueCounters {
 public:
  void Count(Op op, uint32_t length, int error) {
    if (error != 0) {
      // "Not supported" is how the kernel learns what to stop asking for.
      if (error != EOPNOTSUPP) Add(errors_, 1);
    } else if (op == Op::kRead) {
      Add(reads_, 1);
      Add(read_bytes_, length);
    } else if (op == Op::kWrite) {
      Add(writes_, 1);
      Add(written_bytes_, length);
    } else if (op == Op::kFlush) {
      Add(flushes_, 1);
    }
  }

  CounterValues Read() const {
    return {
        reads_.load(std::memory_order_relaxed),      writes_.load(std::memory_order_relaxed),
        read_bytes_.load(std::memory_order_relaxed), written_bytes_.load(std::memory_order_relaxed),
        flushes_.load(std::memory_order_relaxed),    errors_.load(std::memory_order_relaxed)};
  }

 private:
  static void Add(std::atomic<uint64_t>& counter, uint64_t n) {
    counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }

  std::atomic<uint64_t> reads_{0}, writes_{0}, read_bytes_{0}, written_bytes_{0}, flushes_{0},
      errors_{0};
};

}  // namespace diskd::sdk

#endif  // DISKD_DRIVERS_SDK_COUNTERS_H_
