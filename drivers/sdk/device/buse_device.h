// SPDX-License-Identifier: Apache-2.0
//
// The control plane of the kernel module `buse`: typed wrappers of the ioctls in
// kernel/uapi/buse.h, with statuses that say what to do. Stateless, any thread.
#ifndef DISKD_DRIVERS_SDK_DEVICE_BUSE_DEVICE_H_
#define DISKD_DRIVERS_SDK_DEVICE_BUSE_DEVICE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/fd.h"
#include "kernel/uapi/buse.h"

namespace diskd::sdk {

class BuseControl {
 public:
  // NOT_FOUND: the module is not loaded. PERMISSION_DENIED: not root.
  static absl::StatusOr<BuseControl> Open();

  // `info` in: name, params, index or BUSE_INDEX_ANY. Out: all of it.
  absl::Status Create(buse_info& info);
  absl::Status Start(uint32_t index);
  // FAILED_PRECONDITION: the disk is open.
  absl::Status Stop(uint32_t index, bool force);
  absl::Status Destroy(uint32_t index);
  absl::Status Resize(uint32_t index, uint64_t size_bytes);
  absl::StatusOr<buse_info> Info(uint32_t index);                 // NOT_FOUND
  absl::StatusOr<buse_info> FindByName(const std::string& name);  // NOT_FOUND
  absl::StatusOr<std::vector<uint32_t>> List();

  // One open server end per queue, not attached. Creates the node from the device numbers in
  // `info` when devtmpfs or udev has not.
  absl::StatusOr<std::vector<Fd>> OpenServers(const buse_info& info);

  static std::string DiskPath(uint32_t index);  // /dev/buseN

 private:
  explicit BuseControl(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

}  // namespace diskd::sdk

#endif  // DISKD_DRIVERS_SDK_DEVICE_BUSE_DEVICE_H_
