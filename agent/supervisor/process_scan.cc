// SPDX-License-Identifier: Apache-2.0
#include "agent/supervisor/process_scan.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "agent/supervisor/driver_process.h"

namespace diskd::agent {
namespace {

constexpr char kVolumeMark[] = "DISKD_VOLUME_ID=";
constexpr char kRunDirMark[] = "DISKD_RUN_DIR=";
constexpr char kSlotMark[] = "DISKD_SLOT=";

// How long one scan waits in all for processes without an environment: most of them are between
// two programs, the others (zombies, processes that gave theirs up) never show one.
constexpr absl::Duration kExecPatience = absl::Milliseconds(20);
constexpr absl::Duration kExecPoll = absl::Milliseconds(1);

// Real, effective, saved and file system user in one; false: not known, or not all the same. The
// owner of the folder in /proc would not do: it is root for every process that may not be traced.
bool OnlyUser(const std::filesystem::path& process, uid_t& user) {
  std::ifstream in(process / "status");
  for (std::string line; std::getline(in, line);) {
    absl::string_view rest = line;
    if (!absl::ConsumePrefix(&rest, "Uid:\t")) continue;
    const std::vector<absl::string_view> ids = absl::StrSplit(rest, '\t');
    return absl::SimpleAtoi(ids[0], &user) &&
           std::all_of(ids.begin(), ids.end(), [&](absl::string_view id) { return id == ids[0]; });
  }
  return false;
}

std::string ReadEnvironment(const std::filesystem::path& process) {
  std::ifstream in(process / "environ", std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

// While a process changes its program its environment reads as empty, and a driver must not be
// overlooked for that. `patience` is what is left of the scan's waiting.
std::vector<std::string> EnvironmentOf(const std::filesystem::path& process,
                                       absl::Duration& patience) {
  std::string text = ReadEnvironment(process);
  while (text.empty() && patience > absl::ZeroDuration()) {
    absl::SleepFor(kExecPoll);
    patience -= kExecPoll;
    text = ReadEnvironment(process);
  }
  return absl::StrSplit(text, '\0');
}

// The volume that the process is marked for; empty: none, or it is not to be trusted.
std::string VolumeOf(MarkedProcess& process, const std::string& run_dir, const DriverUsers& users,
                     absl::Duration& patience) {
  // Children of a driver inherit its environment, but only the driver leads the session.
  if (getsid(process.pid) != process.pid) return "";
  const std::filesystem::path folder = absl::StrCat("/proc/", process.pid);
  const std::vector<std::string> environment = EnvironmentOf(folder, patience);
  const std::string run_dir_mark = absl::StrCat(kRunDirMark, run_dir);
  if (std::find(environment.begin(), environment.end(), run_dir_mark) == environment.end()) {
    return "";
  }
  std::string volume_id;
  for (absl::string_view e : environment) {
    if (absl::ConsumePrefix(&e, kVolumeMark)) volume_id = std::string(e);
    if (absl::ConsumePrefix(&e, kSlotMark)) process.slot = e == "1" ? 1 : e == "2" ? kLookSlot : 0;
  }
  // Anybody can put the marks into an environment, but of this machine's users only we and the
  // volume's driver run as these. Root of another container may: LocalDriverProcess sees that.
  uid_t user;
  if (volume_id.empty() || !OnlyUser(folder, user)) return "";
  return user == geteuid() || user == users.Of(volume_id) ? volume_id : "";
}

}  // namespace

std::vector<std::string> DriverMarks(const std::string& run_dir, const std::string& volume_id,
                                     int slot) {
  return {absl::StrCat(kRunDirMark, run_dir), absl::StrCat(kVolumeMark, volume_id),
          absl::StrCat(kSlotMark, slot)};
}

MarkedProcesses FindMarkedProcesses(const std::string& run_dir, const DriverUsers& users) {
  MarkedProcesses found;
  std::error_code error;
  absl::Duration patience = kExecPatience;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    MarkedProcess process;
    if (!absl::SimpleAtoi(entry.path().filename().string(), &process.pid)) continue;
    const std::string volume_id = VolumeOf(process, run_dir, users, patience);
    if (!volume_id.empty()) found[volume_id].push_back(process);
  }
  return found;
}

bool IsMarked(pid_t pid, const std::string& run_dir, const std::string& volume_id,
              const DriverUsers& users) {
  MarkedProcess process{.pid = pid};
  absl::Duration patience = kExecPatience;
  return VolumeOf(process, run_dir, users, patience) == volume_id;
}

}  // namespace diskd::agent
