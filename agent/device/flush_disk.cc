// SPDX-License-Identifier: Apache-2.0
#include "agent/device/flush_disk.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/fd.h"

namespace diskd::agent {

absl::Status FlushDisk(const std::string& path) {
  // Read-only, because the close of a writable descriptor makes udev open the disk for a look,
  // and a removal right after would find it busy.
  const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(errno, absl::StrCat("open ", path));
  if (fsync(fd.get()) != 0) return ErrnoStatus(errno, absl::StrCat("flush ", path));
  return absl::OkStatus();
}

}  // namespace diskd::agent
