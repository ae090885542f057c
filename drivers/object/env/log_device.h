// SPDX-License-Identifier: Apache-2.0
//
// The block device or preallocated file that holds a volume's local write log.
//
// Threads: in the engine's turns only; `done` runs in one, once, never inside the call.
//
// Semantics are those of a disk behind O_DIRECT with a volatile write cache:
//  - Read sees every write that was done before it started. Reads and writes that overlap in time
//    and range give either content, per 512-byte sector.
//  - A write that is done survives the death of the process, not a power cut. In a power cut each
//    sector of a write that no flush covers holds its old content, its new content, or reads as an
//    error, independently of all others and of the order of the writes.
//  - Flush is done when every write that was done before the flush STARTED is durable.
//  - After a failed Flush nothing is known about the writes it covered (they may be lost although
//    later flushes succeed): the engine stops.
// Errors: DATA_LOSS a sector can't be read; UNAVAILABLE or INTERNAL anything else.
#ifndef DISKD_DRIVERS_OBJECT_ENV_LOG_DEVICE_H_
#define DISKD_DRIVERS_OBJECT_ENV_LOG_DEVICE_H_

#include <cstddef>
#include <cstdint>
#include <functional>

#include "absl/status/status.h"
#include "absl/types/span.h"

namespace diskd::object {

class LogDevice {
 public:
  using Done = std::function<void(absl::Status)>;

  virtual ~LogDevice() = default;

  // Constant, a multiple of 4096.
  virtual uint64_t size_bytes() const = 0;

  // Offsets, sizes and the address of the memory are multiples of 4096; ranges are within the
  // device; the memory stays valid and, for Write, unchanged until done.
  virtual void Read(uint64_t offset, absl::Span<std::byte> into, Done done) = 0;
  virtual void Write(uint64_t offset, absl::Span<const std::byte> from, Done done) = 0;
  virtual void Flush(Done done) = 0;
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_ENV_LOG_DEVICE_H_
