// SPDX-License-Identifier: Apache-2.0
//
// What stands at the path that an old BUSE program was given for its device. Stateless, any thread.
#ifndef DISKD_DRIVERS_COMPAT_DEV_LINK_H_
#define DISKD_DRIVERS_COMPAT_DEV_LINK_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace diskd::compat {

enum class DevPath {
  kFree,    // nothing there, or a link to a block device or to nothing: a link can stand there
  kDevice,  // a block device, such as /dev/nbd0: it stays
};
// INVALID_ARGUMENT: no absolute path. ALREADY_EXISTS: something that is no device.
absl::StatusOr<DevPath> CheckDevPath(const std::string& path);

// A name for files and devices that no other path has: "/dev/nbd0" is "dev.nbd0".
std::string NameOfDevPath(const std::string& path);

// In one step, also over an earlier link.
absl::Status MakeDevLink(const std::string& path, const std::string& target);
// Only if it still is a link to the target.
void RemoveDevLink(const std::string& path, const std::string& target);

}  // namespace diskd::compat

#endif  // DISKD_DRIVERS_COMPAT_DEV_LINK_H_
