// SPDX-License-Identifier: Apache-2.0
//
// Keeps one driver process serving: watches it, pings it, replaces it when it dies or hangs.
//
// One thread per supervisor, so that a hung driver delays no other. All functions are thread-safe.
// The destructor ends the supervision and leaves the process running.
#ifndef DISKD_AGENT_SUPERVISOR_SUPERVISOR_H_
#define DISKD_AGENT_SUPERVISOR_SUPERVISOR_H_

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "agent/supervisor/driver_process.h"
#include "agent/supervisor/restart_backoff.h"

namespace diskd::agent {

struct SupervisorLimits {
  RestartLimits restart;
  absl::Duration ping_interval = absl::Seconds(2);
  absl::Duration ping_limit = absl::Seconds(10);  // a driver silent for so long is replaced
};

// What a supervisor does with processes. Called in its thread.
struct SupervisedService {
  std::function<absl::StatusOr<std::unique_ptr<DriverProcess>>()> launch;
  // Makes a fresh process serve what its predecessor served.
  std::function<absl::Status(DriverProcess&)> serve;
  // False: a dead process is not replaced; give_up is called instead, and supervision ends.
  bool restart = true;
  // Asked when a process is to be started, may be null. True: none can serve any more; give_up is
  // called.
  std::function<bool()> lost;
  std::function<void(const std::string& reason)> give_up;
};

struct SupervisorHealth {
  pid_t pid = 0;          // 0: no process serves
  uint32_t restarts = 0;  // processes replaced
  bool gave_up = false;
  std::string message;  // why no process serves, or that they keep dying
  std::string failure;  // not empty: a process serves, but every request fails, and why
  std::string trouble;  // what keeps the process from its backing store
};

class Supervisor {
 public:
  // `name` is for the log. `process` serves already; nullptr: one is to be started.
  Supervisor(std::string name, std::unique_ptr<DriverProcess> process, SupervisedService service,
             const SupervisorLimits& limits);
  ~Supervisor();

  SupervisorHealth health() const;

  // Runs `body` with the process that serves, which stays supervised. UNAVAILABLE: there is none;
  // CANCELLED: the supervision ends meanwhile.
  absl::Status Use(const std::function<absl::Status(DriverProcess&)>& body);

  // Ends the supervision. The serving process goes to the caller; nullptr: there is none.
  std::unique_ptr<DriverProcess> Stop();
  // Goes on after Stop(). `process` serves; nullptr: one is to be started. `replaced`: it is not
  // the one that Stop() gave.
  void Resume(std::unique_ptr<DriverProcess> process, bool replaced);

 private:
  void Begin();
  void Run();
  void Watch();
  // `reason` the last one ended or failed to start.
  void Replace(const std::string& reason);
  void TryStart();
  // False: a new process may be started.
  bool GiveUp(const std::string& reason);
  void SetTrouble(const std::string& trouble);
  // False: stopped meanwhile.
  bool Pause(absl::Duration delay);
  bool Stopping() const;
  void AwaitUsers();  // they end with the process, or when it is interrupted
  // What Stop() has to interrupt; false: stopped already.
  bool SetBusy(DriverProcess* process);
  void SetFailure(const std::string& failure);
  void Report(const std::string& reason, absl::Duration delay);

  const std::string name_;
  const SupervisedService service_;
  const SupervisorLimits limits_;
  RestartBackoff backoff_;                  // thread_ only
  std::unique_ptr<DriverProcess> process_;  // thread_ only, until it has ended

  mutable absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  DriverProcess* busy_ ABSL_GUARDED_BY(mutex_) = nullptr;
  int users_ ABSL_GUARDED_BY(mutex_) = 0;  // of `busy_`, in Use()
  SupervisorHealth health_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace diskd::agent

#endif  // DISKD_AGENT_SUPERVISOR_SUPERVISOR_H_
