// SPDX-License-Identifier: Apache-2.0
#include "agent/device/holder.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace diskd::agent {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxProcessesNamed = 3;

std::string ReadText(const fs::path& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return std::string(absl::StripAsciiWhitespace(text.str()));
}

// Device numbers of the disk and its partitions.
std::vector<std::string> DeviceNumbers(const std::string& device_path) {
  std::vector<std::string> numbers;
  const fs::path disk = fs::path("/sys/block") / fs::path(device_path).filename();
  numbers.push_back(ReadText(disk / "dev"));
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(disk, ignored)) {
    if (fs::exists(entry.path() / "partition", ignored)) {
      numbers.push_back(ReadText(entry.path() / "dev"));
    }
  }
  return numbers;
}

bool HoldsOpen(const fs::path& process, const std::string& device_path) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(process / "fd", ignored)) {
    const std::string target = fs::read_symlink(entry.path(), ignored).string();
    absl::string_view rest = target;
    // The disk itself or a partition of it: /dev/loop3, /dev/loop3p1.
    if (!absl::ConsumePrefix(&rest, device_path)) continue;
    if (rest.empty() || rest[0] == 'p') return true;
  }
  return false;
}

std::vector<std::string> FindOpeners(const std::string& device_path) {
  std::vector<std::string> openers;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator("/proc", ignored)) {
    int pid;
    const std::string name = entry.path().filename().string();
    if (!absl::SimpleAtoi(name, &pid) || pid == getpid()) continue;
    if (!HoldsOpen(entry.path(), device_path)) continue;
    openers.push_back(absl::StrCat("process ", pid, " (", ReadText(entry.path() / "comm"), ")"));
    if (openers.size() == kMaxProcessesNamed) break;
  }
  return openers;
}

}  // namespace

std::vector<std::string> MountPointsOf(absl::string_view mountinfo,
                                       const std::vector<std::string>& devices) {
  std::vector<std::string> points;
  for (const absl::string_view line : absl::StrSplit(mountinfo, '\n')) {
    const std::vector<absl::string_view> fields = absl::StrSplit(line, ' ');
    if (fields.size() < 5 || fields[2].empty()) continue;
    if (std::find(devices.begin(), devices.end(), fields[2]) != devices.end()) {
      points.emplace_back(fields[4]);
    }
  }
  return points;
}

std::vector<std::string> FindMounts(const std::string& device_path) {
  return MountPointsOf(ReadText("/proc/self/mountinfo"), DeviceNumbers(device_path));
}

std::string DescribeHolder(const std::string& device_path) {
  const std::vector<std::string> mounts = FindMounts(device_path);
  if (!mounts.empty()) return absl::StrCat("mounted on ", absl::StrJoin(mounts, ", "));
  const std::vector<std::string> openers = FindOpeners(device_path);
  if (!openers.empty()) return absl::StrCat("open in ", absl::StrJoin(openers, ", "));
  return "open";
}

}  // namespace diskd::agent
