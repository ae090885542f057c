// SPDX-License-Identifier: Apache-2.0
//
// Device nodes in containers whose /dev is not a devtmpfs: made on demand. Stateless, any thread.
#ifndef DISKD_DRIVERS_SDK_DEVICE_DEVICE_NODE_H_
#define DISKD_DRIVERS_SDK_DEVICE_DEVICE_NODE_H_

#include <sys/types.h>

#include <string>

#include "absl/status/status.h"

namespace diskd::sdk {

// Makes sure that `path` is a node of `type` (S_IFBLK or S_IFCHR) with these numbers, mode 0600
// if new. ALREADY_EXISTS: something else has the name.
absl::Status EnsureDeviceNode(const std::string& path, mode_t type, unsigned major, unsigned minor);

}  // namespace diskd::sdk

#endif  // DISKD_DRIVERS_SDK_DEVICE_DEVICE_NODE_H_
