// SPDX-License-Identifier: Apache-2.0
//
// Driver processes of this machine. They live in sessions of their own and outlive the agent:
// nothing but the control socket in the volume's run directory connects the two.
#ifndef DISKD_AGENT_SUPERVISOR_LOCAL_DRIVER_H_
#define DISKD_AGENT_SUPERVISOR_LOCAL_DRIVER_H_

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "agent/process/process.h"
#include "agent/supervisor/driver_process.h"
#include "agent/supervisor/driver_users.h"
#include "agent/supervisor/process_scan.h"

namespace diskd::agent {

// Why a process is taken for a driver process.
enum class Origin {
  kStarted,  // this agent has started it
  kFound,    // it has the marks; so it has to answer itself at its control socket
};

// While it waits for the process it keeps the log from growing without end.
class LocalDriverProcess : public DriverProcess {
 public:
  LocalDriverProcess(Process process, int slot, Origin origin, std::string socket_path,
                     std::string log_path, const ProgressLimits& limits = {});

  pid_t pid() const override { return pid_; }
  int slot() const override { return slot_; }
  bool impostor() const override { return impostor_; }
  absl::StatusOr<DriverAnswer> Call(const diskd::driver::v1::Request& request,
                                    const std::vector<int>& descriptors,
                                    absl::Duration limit) override;
  bool WaitExit(absl::Duration limit) override;
  void Interrupt() override;
  void Resume() override;
  bool Kill() override;
  std::string ExitText() override;

 private:
  enum class Event { kReadable, kExited, kInterrupted, kTimeout };
  // `socket`: -1 waits for the process only.
  Event Wait(int socket, absl::Duration limit);
  absl::Status Exchange(const std::string& payload, const std::vector<int>& descriptors,
                        absl::Duration limit, DriverAnswer& answer)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(call_mutex_);
  absl::Status AwaitAnswer(absl::Duration limit, DriverAnswer& answer)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(call_mutex_);
  absl::Status Receive(DriverAnswer& answer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(call_mutex_);
  absl::Status CheckSender(pid_t sender);
  absl::Status Ended();

  const pid_t pid_;
  const int slot_;
  const Origin origin_;
  const std::string socket_path_;
  const std::string log_path_;
  const ProgressLimits limits_;
  const Fd interrupt_;  // eventfd
  std::atomic<bool> impostor_ = false;

  absl::Mutex call_mutex_;
  Fd socket_ ABSL_GUARDED_BY(call_mutex_);  // of the connection, opened by the first call
  absl::Mutex process_mutex_;
  Process process_ ABSL_GUARDED_BY(process_mutex_);
  const int pidfd_;
};

class LocalDriverLauncher : public DriverLauncher {
 public:
  // `look`: at all processes of the machine, as FindMarkedProcesses; nullptr: that itself.
  using Look = std::function<MarkedProcesses()>;
  LocalDriverLauncher(std::string run_dir, DriverCatalog* catalog, const DriverUsers& users,
                      Look look = nullptr);

  absl::StatusOr<std::unique_ptr<DriverProcess>> Launch(const std::string& volume_id,
                                                        const std::string& driver,
                                                        int slot) override;
  std::vector<std::unique_ptr<DriverProcess>> Adopt(const std::string& volume_id) override;
  void KeepLook(bool on) override;
  std::vector<std::string> List() override;
  void RemoveFiles(const std::string& volume_id) override;

 private:
  std::unique_ptr<DriverProcess> Attend(Process process, const std::string& volume_id, int slot,
                                        Origin origin);
  MarkedProcesses& Marked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string run_dir_;
  DriverCatalog* const catalog_;
  const DriverUsers users_;
  const Look look_;
  absl::Mutex mutex_;
  bool keep_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<MarkedProcesses> marked_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace diskd::agent

#endif  // DISKD_AGENT_SUPERVISOR_LOCAL_DRIVER_H_
