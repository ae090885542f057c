// SPDX-License-Identifier: Apache-2.0
#ifndef DISKD_AGENT_OPTIONS_H_
#define DISKD_AGENT_OPTIONS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "agent/supervisor/driver_users.h"

namespace diskd::agent {

inline constexpr char kVersion[] = DISKD_VERSION;

// The command line; paths are absolute after Complete().
struct Options {
  std::string state_dir = "/var/lib/diskd";
  std::string run_dir = "/run/diskd";
  std::string socket;  // empty: RUN/diskd.sock
  std::string link_dir = "/dev/disk/by-diskd";
  std::vector<std::string> driver_dirs;  // empty: beside the executable, then the system's
  std::string node_name;                 // empty: the host's
  std::string log_level = "info";
  std::string driver_users = kDefaultDriverUsers;

  // Fills in what was left empty.
  absl::Status Complete();
};

}  // namespace diskd::agent

#endif  // DISKD_AGENT_OPTIONS_H_
