// SPDX-License-Identifier: Apache-2.0
//
// Page-aligned, zeroed memory that is there before the first I/O: touched and, where allowed,
// locked. A server of a disk must not wait for memory while memory waits for the disk.
#ifndef DISKD_DRIVERS_SDK_TRANSPORT_IO_BUFFER_H_
#define DISKD_DRIVERS_SDK_TRANSPORT_IO_BUFFER_H_

#include <cstddef>
#include <memory>

#include "absl/status/statusor.h"

namespace diskd::sdk {

class IoBuffer {
 public:
  // RESOURCE_EXHAUSTED: not enough memory.
  static absl::StatusOr<IoBuffer> Allocate(size_t bytes);

  std::byte* data() const { return memory_.get(); }

 private:
  struct Unmap {
    size_t bytes = 0;
    void operator()(std::byte* memory) const;
  };
  explicit IoBuffer(std::byte* memory, size_t bytes) : memory_(memory, Unmap{bytes}) {}
  std::unique_ptr<std::byte, Unmap> memory_;
};

}  // namespace diskd::sdk

#endif  // DISKD_DRIVERS_SDK_TRANSPORT_IO_BUFFER_H_
