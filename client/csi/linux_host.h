// SPDX-License-Identifier: Apache-2.0
//
// Host on this machine. Needs root. Thread-safe.
#ifndef DISKD_CLIENT_CSI_LINUX_HOST_H_
#define DISKD_CLIENT_CSI_LINUX_HOST_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "client/csi/host.h"

namespace diskd::csi {

// One line of /proc/self/mountinfo; nullopt: not in its format.
std::optional<MountEntry> ParseMountInfoLine(absl::string_view line);

class LinuxHost : public Host {
 public:
  absl::StatusOr<std::vector<MountEntry>> Mounts() override;
  absl::Status Mount(const std::string& device, const std::string& target,
                     const std::string& fs_type, const MountOptions& options) override;
  absl::Status BindMount(const std::string& source, const std::string& target,
                         bool read_only) override;
  absl::Status Unmount(const std::string& target) override;
  absl::StatusOr<std::optional<std::string>> ProbeSignature(const std::string& device) override;
  absl::Status MakeFilesystem(const std::string& device, const std::string& fs_type,
                              bool overwrite) override;
  absl::Status GrowFilesystem(const std::string& device, const std::string& mount_point,
                              const std::string& fs_type) override;
  absl::StatusOr<DeviceNumber> BlockDeviceNumber(const std::string& path) override;
  absl::StatusOr<uint64_t> BlockDeviceSize(const std::string& path) override;
  absl::StatusOr<Usage> FilesystemUsage(const std::string& path) override;
  absl::StatusOr<PathKind> KindOf(const std::string& path) override;
  absl::Status MakeDirectory(const std::string& path) override;
  absl::Status MakeFile(const std::string& path) override;
  absl::Status RemoveEmpty(const std::string& path) override;
};

}  // namespace diskd::csi

#endif  // DISKD_CLIENT_CSI_LINUX_HOST_H_
