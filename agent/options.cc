// SPDX-License-Identifier: Apache-2.0
#include "agent/options.h"

#include <sys/un.h>
#include <unistd.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "agent/paths/volume_paths.h"
#include "base/errno_status.h"

namespace diskd::agent {
namespace {

namespace fs = std::filesystem;

constexpr char kSystemDriverDir[] = "/usr/lib/diskd/drivers";
constexpr char kLongestVolumeId[] = "vol-0123456789abcdef";

std::string Absolute(const std::string& path) {
  return fs::absolute(path).lexically_normal().string();
}

}  // namespace

absl::Status Options::Complete() {
  state_dir = Absolute(state_dir);
  run_dir = Absolute(run_dir);
  link_dir = Absolute(link_dir);
  socket = Absolute(socket.empty() ? run_dir + "/diskd.sock" : socket);
  if (driver_dirs.empty()) {
    std::error_code error;
    const fs::path executable = fs::read_symlink("/proc/self/exe", error);
    if (!error) driver_dirs.push_back((executable.parent_path() / "drivers").string());
    driver_dirs.push_back(kSystemDriverDir);
  }
  for (std::string& directory : driver_dirs) directory = Absolute(directory);
  if (node_name.empty()) {
    char name[256] = {};
    if (gethostname(name, sizeof(name) - 1) != 0) return ErrnoStatus(errno, "get the host's name");
    node_name = name;
  }
  const size_t longest = ControlSocketPath(run_dir, kLongestVolumeId, 0).size();
  if (longest >= sizeof(sockaddr_un::sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat("run directory ", run_dir, " is ",
                                                   longest - sizeof(sockaddr_un::sun_path) + 1,
                                                   " bytes too long for the sockets below it"));
  }
  return absl::OkStatus();
}

}  // namespace diskd::agent
