// SPDX-License-Identifier: Apache-2.0
//
// Names of what belongs to one volume, below the agent's run directory and in the kernel.
#ifndef DISKD_AGENT_PATHS_VOLUME_PATHS_H_
#define DISKD_AGENT_PATHS_VOLUME_PATHS_H_

#include <string>

#include "absl/strings/str_cat.h"

namespace diskd::agent {

inline constexpr char kVolumesFolder[] = "/volumes";
inline constexpr char kFuseFolder[] = "fuse";
inline constexpr char kBuseNamePrefix[] = "diskd-";

inline std::string VolumeRunDir(const std::string& run_dir, const std::string& volume_id) {
  return absl::StrCat(run_dir, kVolumesFolder, "/", volume_id);
}
inline std::string FuseMountPoint(const std::string& run_dir, const std::string& volume_id) {
  return absl::StrCat(VolumeRunDir(run_dir, volume_id), "/", kFuseFolder);
}
// `slot`: 0 or 1, tells a driver process from its successor; 2, from one that only looks.
inline std::string ControlSocketPath(const std::string& run_dir, const std::string& volume_id,
                                     int slot) {
  return absl::StrCat(VolumeRunDir(run_dir, volume_id), "/control-", slot, ".sock");
}
// VolumeConfig::memory_dir.
inline std::string DriverMemoryDir(const std::string& run_dir, const std::string& volume_id) {
  return absl::StrCat(VolumeRunDir(run_dir, volume_id), "/memory");
}
inline std::string DriverLogPath(const std::string& run_dir, const std::string& volume_id) {
  return absl::StrCat(VolumeRunDir(run_dir, volume_id), "/driver.log");
}

}  // namespace diskd::agent

#endif  // DISKD_AGENT_PATHS_VOLUME_PATHS_H_
