// SPDX-License-Identifier: Apache-2.0
//
// For tests: one queue of a driver, driven in the calling thread as a transport drives it.
#ifndef DISKD_DRIVERS_SDK_TESTING_TEST_DISK_H_
#define DISKD_DRIVERS_SDK_TESTING_TEST_DISK_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "drivers/sdk/driver.h"
#include "drivers/sdk/ring_queue_io.h"

namespace diskd::sdk {

struct TestRequest final : Request {
  TestRequest();
  TestRequest(Op op, uint64_t offset, uint32_t length, std::byte* data = nullptr);

  int completions = 0;
  int error = -1;
};

class TestDisk {
 public:
  static constexpr int kDepth = 16;

  // `driver` must outlive the disk.
  explicit TestDisk(Driver& driver) : driver_(driver), io_(kDepth) {}

  absl::Status Open(int index = 0);

  // At most kDepth at once; returns when all are answered.
  void Run(const std::vector<TestRequest*>& requests);
  int Run(TestRequest request);

  int Write(uint64_t offset, const std::vector<std::byte>& data, bool fua = false);
  // Fills the whole vector.
  int Read(uint64_t offset, std::vector<std::byte>& data);

 private:
  Driver& driver_;
  RingQueueIo io_;
  std::unique_ptr<Queue> queue_;
};

// Page-aligned, as transports give it.
class AlignedBuffer {
 public:
  explicit AlignedBuffer(size_t bytes);
  std::byte* data() { return memory_.get(); }

 private:
  std::unique_ptr<std::byte, void (*)(void*)> memory_;
};

}  // namespace diskd::sdk

#endif  // DISKD_DRIVERS_SDK_TESTING_TEST_DISK_H_
