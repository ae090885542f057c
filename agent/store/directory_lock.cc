// SPDX-License-Identifier: Apache-2.0
#include "agent/store/directory_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/errno_status.h"
#include "base/log.h"

namespace diskd::agent {
namespace {

constexpr int kOwnerWidth = 10;

}  // namespace

absl::StatusOr<Fd> LockDirectory(const std::string& directory) {
  const std::string path = absl::StrCat(directory, "/lock");
  Fd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd.valid()) return ErrnoStatus(errno, absl::StrCat("open ", path));
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return ErrnoStatus(errno, absl::StrCat("lock ", path));
    char owner[32];
    const ssize_t length = pread(fd.get(), owner, sizeof(owner), 0);
    return absl::FailedPreconditionError(absl::StrCat(
        "directory ", directory, " is in use by another diskd, process ",
        length > 0 ? absl::StripAsciiWhitespace({owner, static_cast<size_t>(length)}) : "unknown",
        ": stop it, or choose another --state-dir and --run-dir"));
  }
  // Over what is there: that takes no room on a full file system. Where it is not to be had, the
  // name is missing in a message, which is no reason to leave all disks alone.
  const std::string owner = absl::StrFormat("%-*d\n", kOwnerWidth, getpid());
  if (pwrite(fd.get(), owner.data(), owner.size(), 0) != static_cast<ssize_t>(owner.size())) {
    SPDLOG_WARN("write {}: errno {}", path, errno);
  }
  return fd;
}

}  // namespace diskd::agent
