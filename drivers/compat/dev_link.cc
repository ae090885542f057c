// SPDX-License-Identifier: Apache-2.0
#include "drivers/compat/dev_link.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "base/errno_status.h"

namespace diskd::compat {
namespace {

namespace fs = std::filesystem;

// Longer ones would not fit into a device's name.
constexpr size_t kMaxName = 100;

}  // namespace

absl::StatusOr<DevPath> CheckDevPath(const std::string& path) {
  if (path.size() < 2 || path[0] != '/' || path.back() == '/' || path.size() > kMaxName) {
    return absl::InvalidArgumentError(absl::StrCat(
        "device file \"", path, "\" is not an absolute path of at most ", kMaxName, " bytes"));
  }
  struct stat status;
  if (lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return DevPath::kFree;
    return ErrnoStatus(errno, absl::StrCat("look at ", path));
  }
  if (S_ISBLK(status.st_mode)) return DevPath::kDevice;
  if (S_ISLNK(status.st_mode)) {
    const bool dangling = stat(path.c_str(), &status) != 0;
    if (dangling || S_ISBLK(status.st_mode)) return DevPath::kFree;
  }
  return absl::AlreadyExistsError(
      absl::StrCat(path, " exists and is no block device: choose another name or remove it"));
}

std::string NameOfDevPath(const std::string& path) {
  std::string name;
  for (const char c : path.substr(1)) {
    // A dot of the path is doubled, so that /a/b and /a.b differ.
    if (c == '.') name += '.';
    name += c == '/' ? '.' : c;
  }
  return name;
}

absl::Status MakeDevLink(const std::string& path, const std::string& target) {
  const std::string fresh = absl::StrCat(path, ".new-", getpid());
  if (symlink(target.c_str(), fresh.c_str()) != 0 || rename(fresh.c_str(), path.c_str()) != 0) {
    const int error = errno;
    unlink(fresh.c_str());
    return ErrnoStatus(error, absl::StrCat("link ", path, " to ", target));
  }
  return absl::OkStatus();
}

void RemoveDevLink(const std::string& path, const std::string& target) {
  std::error_code error;
  if (fs::read_symlink(path, error) == target && !error) unlink(path.c_str());
}

}  // namespace diskd::compat
