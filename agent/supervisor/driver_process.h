// SPDX-License-Identifier: Apache-2.0
//
// Driver processes, and what the agent needs to start and find them. One per volume.
#ifndef DISKD_AGENT_SUPERVISOR_DRIVER_PROCESS_H_
#define DISKD_AGENT_SUPERVISOR_DRIVER_PROCESS_H_

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/fd.h"
#include "proto/diskd/v1/types.pb.h"
#include "proto/driver/v1/driver.pb.h"

namespace diskd::agent {

struct DriverAnswer {
  diskd::driver::v1::Response response;
  std::vector<Fd> descriptors;
};

// Of calls whose driver tells that it is at work, where the limit of the call is not longer: so
// long without a step, and so long in all, or as long as the driver expects, up to `longest`. The
// first ends before the minute that a client waits unless told otherwise, so that its user learns
// what the driver said.
struct ProgressLimits {
  absl::Duration step = absl::Seconds(50);
  absl::Duration all = absl::Minutes(15);
  absl::Duration longest = absl::Hours(6);
};

// Thread-safe; calls wait for each other. The destructor leaves the process alone.
class DriverProcess {
 public:
  virtual ~DriverProcess() = default;

  virtual pid_t pid() const = 0;
  virtual int slot() const = 0;  // of DriverLauncher::Launch
  // True once a call has met another process at its control socket: it has the marks of a driver,
  // which root of another container can set, and is none. No business of ours.
  virtual bool impostor() const { return false; }

  // One request. The driver's own error is the status. Besides: UNAVAILABLE, the process has
  // exited or its socket is gone; DEADLINE_EXCEEDED, no answer in time; CANCELLED, interrupted;
  // PERMISSION_DENIED, it is an impostor.
  // `limit` is of silence: a driver that tells of progress meanwhile has the ProgressLimits.
  virtual absl::StatusOr<DriverAnswer> Call(const diskd::driver::v1::Request& request,
                                            const std::vector<int>& descriptors,
                                            absl::Duration limit) = 0;
  // True: the process has exited. False: still there at the limit, or interrupted.
  virtual bool WaitExit(absl::Duration limit) = 0;
  // Calls and waits return at once, those in progress and later ones, until Resume.
  virtual void Interrupt() = 0;
  virtual void Resume() = 0;
  // SIGKILL; false: the process is still there (it hangs in the kernel). Not interrupted.
  virtual bool Kill() = 0;
  // Why it ended: "killed by signal 9 (KILL)".
  virtual std::string ExitText() = 0;
};

// Of a process that looks at a volume beside the one that may serve it.
inline constexpr int kLookSlot = 2;

// Thread-safe.
class DriverLauncher {
 public:
  virtual ~DriverLauncher() = default;

  // `slot`: 0, or 1 for a process that runs beside one in slot 0, and so on.
  virtual absl::StatusOr<std::unique_ptr<DriverProcess>> Launch(const std::string& volume_id,
                                                                const std::string& driver,
                                                                int slot) = 0;
  // The processes a former agent started for the volume: none, one, or, when it ended during an
  // upgrade, two; and impostors.
  virtual std::vector<std::unique_ptr<DriverProcess>> Adopt(const std::string& volume_id) = 0;
  // While it is on, Adopt and List go by one look at all processes of the machine, and what Launch
  // starts: for who adopts the processes of many volumes one after the other.
  virtual void KeepLook(bool on) = 0;
  // Volumes that have a driver process.
  virtual std::vector<std::string> List() = 0;
  // Removes socket, log and directory of a volume without a process. Best effort.
  virtual void RemoveFiles(const std::string& volume_id) = 0;
};

// Thread-safe.
class DriverCatalog {
 public:
  virtual ~DriverCatalog() = default;

  // By name; unusable ones with `problem`.
  virtual std::vector<diskd::v1::DriverInfo> List() = 0;
  // The path of a driver's executable, at once: asks no executable anything. NOT_FOUND.
  virtual absl::StatusOr<std::string> FindExecutable(const std::string& name) = 0;
  // Which program a process started now would run; StatusResponse says which one it does run.
  struct Program {
    uint64_t device = 0;
    uint64_t inode = 0;
  };
  virtual absl::StatusOr<Program> FindProgram(const std::string& name) = 0;
};

}  // namespace diskd::agent

#endif  // DISKD_AGENT_SUPERVISOR_DRIVER_PROCESS_H_
