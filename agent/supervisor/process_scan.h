// SPDX-License-Identifier: Apache-2.0
//
// Finding driver processes again. They carry marks in their environment, so that they are found
// also when an agent died right after starting one, and no number from a file can be mistaken
// for another process.
#ifndef DISKD_AGENT_SUPERVISOR_PROCESS_SCAN_H_
#define DISKD_AGENT_SUPERVISOR_PROCESS_SCAN_H_

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

#include "agent/supervisor/driver_users.h"

namespace diskd::agent {

// The environment entries that mark a driver process of a volume.
std::vector<std::string> DriverMarks(const std::string& run_dir, const std::string& volume_id,
                                     int slot);

struct MarkedProcess {
  pid_t pid = 0;
  int slot = 0;
};
// Volume id -> its processes, for all that are marked for this run directory and run as us or as
// the volume's driver user.
using MarkedProcesses = std::map<std::string, std::vector<MarkedProcess>>;
MarkedProcesses FindMarkedProcesses(const std::string& run_dir, const DriverUsers& users);
// Whether this one process would be among them.
bool IsMarked(pid_t pid, const std::string& run_dir, const std::string& volume_id,
              const DriverUsers& users);

}  // namespace diskd::agent

#endif  // DISKD_AGENT_SUPERVISOR_PROCESS_SCAN_H_
