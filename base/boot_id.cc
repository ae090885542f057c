// SPDX-License-Identifier: Apache-2.0
#include "base/boot_id.h"

#include <fstream>

namespace diskd {

absl::StatusOr<std::string> ReadBootId() {
  std::ifstream in("/proc/sys/kernel/random/boot_id");
  std::string boot_id;
  if (!std::getline(in, boot_id)) {
    return absl::InternalError("/proc/sys/kernel/random/boot_id can't be read: mount /proc");
  }
  return boot_id;
}

}  // namespace diskd
