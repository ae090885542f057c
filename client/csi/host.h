// SPDX-License-Identifier: Apache-2.0
//
// Host: what the plugin does to its node: mounts, file systems, files. LinuxHost (linux_host.h) is
// this machine; FakeHost (fake_host.h) is one in memory for tests.
//
// Implementations are thread-safe. Calls are bounded in time.
#ifndef DISKD_CLIENT_CSI_HOST_H_
#define DISKD_CLIENT_CSI_HOST_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/csi/mount_flags.h"

namespace diskd::csi {

struct DeviceNumber {
  unsigned major = 0;
  unsigned minor = 0;
  bool operator==(const DeviceNumber&) const = default;
};

struct MountEntry {
  std::string mount_point;
  DeviceNumber device;  // of the mounted file system
  std::string root;     // what of the file system is mounted here
  std::string fs_type;
  bool read_only = false;  // of this mount, or of the whole file system
};

// The signature of an xfs that mkfs.xfs has not finished. No kernel mounts it, so nobody has ever
// written to it.
inline constexpr char kUnfinishedXfs[] = "unfinished xfs";

enum class PathKind { kMissing, kDirectory, kFile, kOther };

struct Usage {
  uint64_t total_bytes = 0, available_bytes = 0, used_bytes = 0;
  uint64_t total_inodes = 0, available_inodes = 0, used_inodes = 0;
};

class Host {
 public:
  virtual ~Host() = default;

  // In the order of mounting: of several at one place the last is visible.
  virtual absl::StatusOr<std::vector<MountEntry>> Mounts() = 0;
  virtual absl::Status Mount(const std::string& device, const std::string& target,
                             const std::string& fs_type, const MountOptions& options) = 0;
  // `source`: a directory or a device node; `target`: a directory or a file, likewise.
  virtual absl::Status BindMount(const std::string& source, const std::string& target,
                                 bool read_only) = 0;
  // Takes the topmost mount away from the path, lazily when that takes too long. Never follows a
  // symbolic link.
  virtual absl::Status Unmount(const std::string& target) = 0;

  // What is on the device: a file system's name, kUnfinishedXfs, or another signature's. nullopt:
  // the device is readable and has none.
  virtual absl::StatusOr<std::optional<std::string>> ProbeSignature(const std::string& device) = 0;
  // Destroys what is on the device. `fs_type`: ext4 or xfs. Without `overwrite`, a signature may be
  // a reason to refuse.
  virtual absl::Status MakeFilesystem(const std::string& device, const std::string& fs_type,
                                      bool overwrite) = 0;
  // To the size of its device, while it is mounted there for writing. Repeatable.
  virtual absl::Status GrowFilesystem(const std::string& device, const std::string& mount_point,
                                      const std::string& fs_type) = 0;
  // FAILED_PRECONDITION: not a block device.
  virtual absl::StatusOr<DeviceNumber> BlockDeviceNumber(const std::string& path) = 0;
  virtual absl::StatusOr<uint64_t> BlockDeviceSize(const std::string& path) = 0;
  virtual absl::StatusOr<Usage> FilesystemUsage(const std::string& path) = 0;

  // Does not follow a symbolic link.
  virtual absl::StatusOr<PathKind> KindOf(const std::string& path) = 0;
  virtual absl::Status MakeDirectory(const std::string& path) = 0;  // present is a success
  virtual absl::Status MakeFile(const std::string& path) = 0;       // present is a success
  // An empty directory or an empty file; missing is a success.
  // FAILED_PRECONDITION: there is something in it.
  virtual absl::Status RemoveEmpty(const std::string& path) = 0;
};

}  // namespace diskd::csi

#endif  // DISKD_CLIENT_CSI_HOST_H_
