// SPDX-License-Identifier: Apache-2.0
#include "drivers/sdk/device/device_node.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "base/errno_status.h"

namespace diskd::sdk {

absl::Status EnsureDeviceNode(const std::string& path, mode_t type, unsigned major,
                              unsigned minor) {
  const dev_t number = makedev(major, minor);
  if (mknod(path.c_str(), type | 0600, number) == 0) return absl::OkStatus();
  if (errno != EEXIST) return ErrnoStatus(errno, absl::StrCat("make the device node ", path));
  struct stat status;
  if (stat(path.c_str(), &status) != 0) return ErrnoStatus(errno, absl::StrCat("stat ", path));
  if ((status.st_mode & S_IFMT) == type && status.st_rdev == number) return absl::OkStatus();
  return absl::AlreadyExistsError(
      absl::StrCat(path, " exists and is not device ", major, ":", minor, ": remove it"));
}

}  // namespace diskd::sdk
