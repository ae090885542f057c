// SPDX-License-Identifier: Apache-2.0
//
// The block device that an old BUSE program's callbacks appear as: over the kernel module where it
// is loaded, over FUSE and a loop device elsewhere.
//
// The life of one: Make, OpenQueue (then serve the queue), Publish, Unpublish, destructor. One
// thread, which is not the one that serves.
#ifndef DISKD_DRIVERS_COMPAT_COMPAT_DISK_H_
#define DISKD_DRIVERS_COMPAT_COMPAT_DISK_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "drivers/sdk/driver.h"
#include "drivers/sdk/transport/transport.h"

namespace diskd::compat {

// Environment variable with the transport to use: "buse" or "fuse".
inline constexpr char kTransportVariable[] = "BUSE_TRANSPORT";

class CompatDisk {
 public:
  // `name` tells this disk from others of the machine; whoever calls is the only one that uses it,
  // so what an earlier process left under it is removed. `directory`: for mounts, exists.
  static absl::StatusOr<std::unique_ptr<CompatDisk>> Make(const std::string& name,
                                                          const std::string& directory,
                                                          const sdk::Geometry& geometry);
  // The served queue must have ended.
  virtual ~CompatDisk() = default;

  // Once. `driver` outlives the queue.
  virtual absl::StatusOr<std::unique_ptr<sdk::QueueTransport>> OpenQueue(sdk::Driver& driver) = 0;
  // The disk appears; its queue is being served.
  virtual absl::Status Publish() = 0;
  virtual std::string path() const = 0;  // after Publish
  // The disk goes. Without force everything written is flushed first, and FAILED_PRECONDITION
  // means that it is in use and stays. By force its users get I/O errors.
  virtual absl::Status Unpublish(bool force) = 0;
};

}  // namespace diskd::compat

#endif  // DISKD_DRIVERS_COMPAT_COMPAT_DISK_H_
