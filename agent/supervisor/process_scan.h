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

namespace diskd::agent {

// The environment entries that mark the driver process of a volume.
std::vector<std::string> DriverMarks(const std::string& run_dir, const std::string& volume_id);

// Volume id -> process, for all processes marked for this run directory.
std::map<std::string, pid_t> FindMarkedProcesses(const std::string& run_dir);

}  // namespace diskd::agent

#endif  // DISKD_AGENT_SUPERVISOR_PROCESS_SCAN_H_
