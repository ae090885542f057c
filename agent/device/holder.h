// SPDX-License-Identifier: Apache-2.0
//
// Who uses a disk: for messages that say what to unmount or close.
#ifndef DISKD_AGENT_DEVICE_HOLDER_H_
#define DISKD_AGENT_DEVICE_HOLDER_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace diskd::agent {

// Mount points in the text of a mountinfo file whose device number ("7:3") is one of `devices`.
std::vector<std::string> MountPointsOf(absl::string_view mountinfo,
                                       const std::vector<std::string>& devices);

// Where the disk or one of its partitions is mounted, as this process sees mounts. Empty: nowhere.
std::vector<std::string> FindMounts(const std::string& device_path);

// "mounted on /mnt/a", "open in process 12 (fio)"; "open" when nothing more is known. Reads all
// of /proc: only for devices known to be in use.
std::string DescribeHolder(const std::string& device_path);

}  // namespace diskd::agent

#endif  // DISKD_AGENT_DEVICE_HOLDER_H_
