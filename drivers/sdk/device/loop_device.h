// SPDX-License-Identifier: Apache-2.0
//
// Loop devices over the kernel's loop driver. Stateless functions, any thread.
#ifndef DISKD_DRIVERS_SDK_DEVICE_LOOP_DEVICE_H_
#define DISKD_DRIVERS_SDK_DEVICE_LOOP_DEVICE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace diskd::sdk {

struct LoopOptions {
  uint32_t logical_block_bytes = 512;
  bool read_only = false;
};

// Attaches a free loop device to `backing_file` with direct I/O (partition scan on) and returns
// its number.
absl::StatusOr<int> AttachLoop(const std::string& backing_file, const LoopOptions& options);

// FAILED_PRECONDITION: open elsewhere or mounted (the device stays attached). Not attached: OK.
absl::Status DetachLoop(int number);

// Detach that happens when the last opener goes (LO_FLAGS_AUTOCLEAR); for dead back ends.
absl::Status DetachLoopLazily(int number);

// The device picks up the new size of its backing file.
absl::Status RefreshLoopSize(int number);

// What backs the device by the kernel's own account; NOT_FOUND: nothing.
absl::StatusOr<std::string> LoopBackingFile(int number);

std::string LoopPath(int number);  // /dev/loopN

}  // namespace diskd::sdk

#endif  // DISKD_DRIVERS_SDK_DEVICE_LOOP_DEVICE_H_
