// SPDX-License-Identifier: Apache-2.0
//
// Questions to a mount table. Thread-safe.
#ifndef DISKD_CLIENT_CSI_MOUNT_TABLE_H_
#define DISKD_CLIENT_CSI_MOUNT_TABLE_H_

#include <optional>
#include <string>
#include <vector>

#include "client/csi/host.h"

namespace diskd::csi {

// The visible mount at the path.
inline std::optional<MountEntry> MountAt(const std::vector<MountEntry>& mounts,
                                         const std::string& path) {
  for (auto it = mounts.rbegin(); it != mounts.rend(); ++it) {
    if (it->mount_point == path) return *it;
  }
  return std::nullopt;
}

inline bool SameSource(const MountEntry& a, const MountEntry& b) {
  return a.device == b.device && a.root == b.root;
}

// The mount table has no trailing slashes.
inline std::string Trimmed(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

}  // namespace diskd::csi

#endif  // DISKD_CLIENT_CSI_MOUNT_TABLE_H_
