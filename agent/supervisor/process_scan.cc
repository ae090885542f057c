// SPDX-License-Identifier: Apache-2.0
#include "agent/supervisor/process_scan.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace diskd::agent {
namespace {

constexpr char kVolumeMark[] = "DISKD_VOLUME_ID=";
constexpr char kRunDirMark[] = "DISKD_RUN_DIR=";

}  // namespace

std::vector<std::string> DriverMarks(const std::string& run_dir, const std::string& volume_id) {
  return {absl::StrCat(kRunDirMark, run_dir), absl::StrCat(kVolumeMark, volume_id)};
}

std::map<std::string, pid_t> FindMarkedProcesses(const std::string& run_dir) {
  const std::string run_dir_mark = absl::StrCat(kRunDirMark, run_dir);
  std::map<std::string, pid_t> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    int pid;
    if (!absl::SimpleAtoi(entry.path().filename().string(), &pid)) continue;
    // Children of a driver inherit its environment, but only the driver leads the session.
    if (getsid(pid) != pid) continue;
    // Anybody can put the marks into an environment; only we can run as ourselves.
    struct stat status;
    if (stat(entry.path().c_str(), &status) != 0 || status.st_uid != geteuid()) continue;
    std::ifstream in(entry.path() / "environ", std::ios::binary);
    std::stringstream text;
    text << in.rdbuf();
    const std::string environment = text.str();
    const std::vector<absl::string_view> entries = absl::StrSplit(environment, '\0');
    if (std::find(entries.begin(), entries.end(), run_dir_mark) == entries.end()) continue;
    for (absl::string_view e : entries) {
      if (absl::ConsumePrefix(&e, kVolumeMark)) found[std::string(e)] = pid;
    }
  }
  return found;
}

}  // namespace diskd::agent
