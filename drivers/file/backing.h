// SPDX-License-Identifier: Apache-2.0
//
// An open backing file or block device, exclusively ours, and what it can do.
#ifndef DISKD_DRIVERS_FILE_BACKING_H_
#define DISKD_DRIVERS_FILE_BACKING_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/fd.h"

namespace diskd::file_driver {

// How long a predecessor's last operations may take to finish. Below the 30 s that the agent gives
// an open, so that the message about the lock reaches the user.
inline constexpr absl::Duration kLockWait = absl::Seconds(20);

struct Backing {
  Fd fd;
  Fd claim;  // of a block device: keeps it from being mounted and the like
  uint64_t size_bytes = 0;
  bool direct = false;                // O_DIRECT; else through the page cache
  uint32_t block_bytes = 512;         // smallest unit of I/O
  uint32_t granularity_bytes = 4096;  // of allocation
  bool block_device = false;
  bool punch = false;  // holes can be punched
};

// Any thread. NOT_FOUND: no such file. Not yet ours alone.
absl::StatusOr<Backing> OpenBacking(const std::string& path, bool read_only);

// Makes it ours alone; again: OK. FAILED_PRECONDITION: in use by somebody else, still after
// `lock_wait`.
absl::Status ClaimBacking(const std::string& path, Backing& backing,
                          absl::Duration lock_wait = kLockWait);
// For another process to claim. Nothing that was begun is unfinished.
absl::Status ReleaseBacking(const std::string& path, Backing& backing);

// Of a regular file or block device; INVALID_ARGUMENT: it is neither.
absl::StatusOr<uint64_t> SizeOf(const std::string& path);

}  // namespace diskd::file_driver

#endif  // DISKD_DRIVERS_FILE_BACKING_H_
