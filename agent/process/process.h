// SPDX-License-Identifier: Apache-2.0
//
// A process seen through a pidfd: safe against the reuse of process numbers, and the same for
// children and for processes that a former agent started.
//
// Not thread-safe; pid() and pidfd() may be read from any thread. The destructor leaves the
// process alone.
#ifndef DISKD_AGENT_PROCESS_PROCESS_H_
#define DISKD_AGENT_PROCESS_PROCESS_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/fd.h"

namespace diskd::agent {

// The descriptor number under which a child finds SpawnOptions::inherited_fd.
inline constexpr int kInheritedFd = 3;

struct SpawnOptions {
  std::vector<std::string> argv;         // argv[0]: path of the executable
  std::vector<std::string> environment;  // NAME=value, besides the agent's own
  int stdout_fd = -1;                    // -1: /dev/null
  int stderr_fd = -1;                    // -1: /dev/null
  int inherited_fd = -1;                 // -1: none; nothing else is inherited
};

class Process {
 public:
  // Starts a child in a session of its own (it outlives the agent), with default signals and
  // "/" as working directory. NOT_FOUND, PERMISSION_DENIED: the executable.
  static absl::StatusOr<Process> Spawn(const SpawnOptions& options);
  // NOT_FOUND: no such process.
  static absl::StatusOr<Process> Watch(pid_t pid);

  Process(Process&&) = default;
  Process& operator=(Process&&) = default;

  pid_t pid() const { return pid_; }
  int pidfd() const { return pidfd_.get(); }  // readable when the process has exited

  // True: it has exited (a child has been reaped).
  bool WaitExit(absl::Duration limit);
  // SIGKILL to the process and its group, then WaitExit.
  bool Kill(absl::Duration limit);

  // "exit status 3", "killed by signal 9 (KILL)"; "unknown" while it runs and for strangers.
  const std::string& exit_text() const { return exit_text_; }
  bool exited_zero() const { return exit_text_ == "exit status 0"; }

 private:
  Process(pid_t pid, Fd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}

  pid_t pid_;
  Fd pidfd_;
  std::string exit_text_ = "unknown";
};

}  // namespace diskd::agent

#endif  // DISKD_AGENT_PROCESS_PROCESS_H_
