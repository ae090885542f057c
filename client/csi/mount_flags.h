// SPDX-License-Identifier: Apache-2.0
//
// Mount options that a user may ask for: an allow-list. Thread-safe.
#ifndef DISKD_CLIENT_CSI_MOUNT_FLAGS_H_
#define DISKD_CLIENT_CSI_MOUNT_FLAGS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace diskd::csi {

struct MountOptions {
  unsigned long flags = 0;  // MS_*
  std::string data;         // of the file system, comma-separated
};

// nosuid and nodev hold unless `suid` or `dev` is there: what is on the disk is not trusted.
// INVALID_ARGUMENT: an option that is not allowed, by its place only, since it may be a secret.
// `fs_type` empty: any.
absl::StatusOr<MountOptions> ParseMountFlags(const std::vector<std::string>& mount_flags,
                                             absl::string_view fs_type);

}  // namespace diskd::csi

#endif  // DISKD_CLIENT_CSI_MOUNT_FLAGS_H_
