// SPDX-License-Identifier: Apache-2.0
//
// Making a FUSE connection that shows one file, `disk`, for a driver process to serve.
//
// The connection outlives every driver process: whoever made it keeps the descriptors and hands
// them to one process after another. The INIT handshake is done here, before any driver runs, so
// that all drivers, first or successor, start in the same state.
//
// Functions are stateless; any thread, one thread per mount point.
#ifndef DISKD_DRIVERS_SDK_DEVICE_FUSE_DEVICE_H_
#define DISKD_DRIVERS_SDK_DEVICE_FUSE_DEVICE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/fd.h"

namespace diskd::sdk {

inline constexpr char kFuseDiskName[] = "disk";  // MOUNT_POINT/disk
inline constexpr int kFuseMaxIoBytes = 1 << 20;  // that a driver must have room for

struct FuseConnection {
  std::vector<Fd> fds;      // /dev/fuse, the original first, then its clones
  bool can_resend = false;  // kernel >= 6.9: unanswered requests survive a driver's death
};

// Mounts on an existing empty directory, does the INIT handshake, makes `descriptors - 1` clones.
// Requests have whole blocks of the given size as long as the file's users ask for such.
// FAILED_PRECONDITION: FUSE is not usable here, and why. Nothing stays behind on error.
absl::StatusOr<FuseConnection> MountFuse(const std::string& mount_point, int descriptors,
                                         uint32_t logical_block_bytes);

// Aborts the connection (every waiting request fails with EIO) and unmounts. Never waits for a
// driver. Not mounted: OK.
absl::Status AbortAndUnmountFuse(const std::string& mount_point);

// By /proc/self/mountinfo, without touching the mount (a stat could wait for a dead driver).
absl::StatusOr<bool> IsFuseMounted(const std::string& mount_point);

}  // namespace diskd::sdk

#endif  // DISKD_DRIVERS_SDK_DEVICE_FUSE_DEVICE_H_
