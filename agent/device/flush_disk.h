// SPDX-License-Identifier: Apache-2.0
#ifndef DISKD_AGENT_DEVICE_FLUSH_DISK_H_
#define DISKD_AGENT_DEVICE_FLUSH_DISK_H_

#include <string>

#include "absl/status/status.h"

namespace diskd::agent {

// Everything acknowledged to users of the disk becomes durable. Waits for the driver.
absl::Status FlushDisk(const std::string& path);

}  // namespace diskd::agent

#endif  // DISKD_AGENT_DEVICE_FLUSH_DISK_H_
