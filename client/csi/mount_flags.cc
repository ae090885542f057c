// SPDX-License-Identifier: Apache-2.0
#include "client/csi/mount_flags.h"

#include <sys/mount.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace diskd::csi {
namespace {

struct GenericFlag {
  absl::string_view name;
  unsigned long set;
  unsigned long clear;
};
constexpr GenericFlag kGenericFlags[] = {
    {"defaults", 0, 0},
    {"rw", 0, MS_RDONLY},
    {"ro", MS_RDONLY, 0},
    {"suid", 0, MS_NOSUID},
    {"nosuid", MS_NOSUID, 0},
    {"dev", 0, MS_NODEV},
    {"nodev", MS_NODEV, 0},
    {"exec", 0, MS_NOEXEC},
    {"noexec", MS_NOEXEC, 0},
    {"noatime", MS_NOATIME, MS_RELATIME | MS_STRICTATIME},
    {"nodiratime", MS_NODIRATIME, 0},
    {"relatime", MS_RELATIME, MS_NOATIME | MS_STRICTATIME},
    {"strictatime", MS_STRICTATIME, MS_NOATIME | MS_RELATIME},
    {"lazytime", MS_LAZYTIME, 0},
    {"sync", MS_SYNCHRONOUS, 0},
    {"dirsync", MS_DIRSYNC, 0},
};

struct DataOption {
  absl::string_view fs_type;  // empty: any
  absl::string_view name;     // ends in '=': a number follows
};
// errors=panic is left out on purpose: it lets a disk stop the node.
constexpr DataOption kDataOptions[] = {
    {"", "discard"},
    {"", "nodiscard"},
    {"ext4", "errors=remount-ro"},
    {"ext4", "errors=continue"},
    {"ext4", "data=ordered"},
    {"ext4", "data=journal"},
    {"ext4", "data=writeback"},
    {"ext4", "commit="},
    {"ext4", "noload"},
    {"xfs", "nouuid"},
    {"xfs", "norecovery"},
    {"xfs", "inode64"},
    {"xfs", "largeio"},
    {"xfs", "logbsize="},
};
constexpr size_t kMaxNumberDigits = 9;

bool Matches(const DataOption& option, absl::string_view flag, absl::string_view fs_type) {
  if (!option.fs_type.empty() && !fs_type.empty() && option.fs_type != fs_type) return false;
  if (option.name.back() != '=') return flag == option.name;
  if (!absl::StartsWith(flag, option.name)) return false;
  const absl::string_view number = flag.substr(option.name.size());
  return !number.empty() && number.size() <= kMaxNumberDigits &&
         std::all_of(number.begin(), number.end(), [](char c) { return absl::ascii_isdigit(c); });
}

}  // namespace

absl::StatusOr<MountOptions> ParseMountFlags(const std::vector<std::string>& mount_flags,
                                             absl::string_view fs_type) {
  MountOptions options;
  options.flags = MS_NOSUID | MS_NODEV;
  std::vector<absl::string_view> data;
  for (size_t i = 0; i < mount_flags.size(); ++i) {
    const absl::string_view flag = mount_flags[i];
    const auto* generic = std::find_if(std::begin(kGenericFlags), std::end(kGenericFlags),
                                       [&](const GenericFlag& f) { return f.name == flag; });
    if (generic != std::end(kGenericFlags)) {
      options.flags = (options.flags & ~generic->clear) | generic->set;
    } else if (std::any_of(std::begin(kDataOptions), std::end(kDataOptions),
                           [&](const DataOption& o) { return Matches(o, flag, fs_type); })) {
      data.push_back(flag);
    } else {
      return absl::InvalidArgumentError(absl::StrCat(
          "mount flag ", i + 1, " of ", mount_flags.size(), " is not allowed",
          fs_type.empty() ? "" : " for ", fs_type, "; docs/csi.md lists those that are"));
    }
  }
  options.data = absl::StrJoin(data, ",");
  return options;
}

}  // namespace diskd::csi
