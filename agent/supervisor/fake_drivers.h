// SPDX-License-Identifier: Apache-2.0
//
// Driver processes and their backing stores in memory, for tests. Outlives the agent under test,
// as real ones do.
#ifndef DISKD_AGENT_SUPERVISOR_FAKE_DRIVERS_H_
#define DISKD_AGENT_SUPERVISOR_FAKE_DRIVERS_H_

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "agent/supervisor/driver_process.h"

namespace diskd::agent {

class FakeDrivers : public DriverLauncher {
 public:
  // Called before everything that changes the world; an error keeps it from happening.
  using EffectHook = std::function<absl::Status(const std::string& effect)>;

  explicit FakeDrivers(EffectHook hook = nullptr);

  absl::StatusOr<std::unique_ptr<DriverProcess>> Launch(const std::string& volume_id,
                                                        const std::string& driver,
                                                        int slot) override;
  std::vector<std::unique_ptr<DriverProcess>> Adopt(const std::string& volume_id) override;
  void KeepLook(bool on) override;
  std::vector<std::string> List() override;
  void RemoveFiles(const std::string& volume_id) override {}

  // The catalog: a good driver "memory" with parameters "dir" and, its own, "place", and
  // secret "token"; a bad one, "broken".
  class Catalog : public DriverCatalog {
   public:
    std::vector<diskd::v1::DriverInfo> List() override;
    absl::StatusOr<std::string> FindExecutable(const std::string& name) override;
    absl::StatusOr<Program> FindProgram(const std::string& name) override;
    std::atomic<uint64_t> installed = 1;  // inode of every driver
  };
  Catalog* catalog() { return &catalog_; }

  // What a test looks at and does. Of two processes of a volume, the one that serves counts.
  bool Running(const std::string& volume_id);
  pid_t PidOf(const std::string& volume_id);  // 0: none
  bool Serving(const std::string& volume_id);
  std::set<std::string> Provisioned();
  int launches();
  int looks();                              // at all processes
  int count(const std::string& volume_id);  // of living processes
  int resends();                            // serve requests with `resend`
  int successors();                         // open requests with `successor`
  void KillProcess(const std::string& volume_id);
  // A process that has the marks of the volume's driver and none of its sockets. It is found before
  // those that are there, or after them.
  void AddImpostor(const std::string& volume_id, int slot, bool found_first);
  void Hang(const std::string& volume_id);  // answers nothing any more
  // Answers nobody before somebody waits so long.
  void Occupy(const std::string& volume_id, absl::Duration time);
  // Every request fails from now on, and the process says so.
  void FailRequests(const std::string& volume_id, const std::string& why);
  // It can't reach its backing store, since 1970-01-01T00:00:01Z; empty: it can again.
  void TellTrouble(const std::string& volume_id, const std::string& why);
  // 0: there is none. A driver opens what is there, whatever the agent believes.
  uint64_t BackingBytes(const std::string& volume_id);
  // Of a volume, in the order of creation.
  std::vector<std::string> Snapshots(const std::string& volume_id);
  std::string CloneOf(const std::string& volume_id);   // "ID@SNAPSHOT"; empty: of nothing
  std::string SecretOf(const std::string& volume_id);  // "token", of the last open or provision
  uint64_t Resized(const std::string& volume_id);      // 0: never
  int feature_calls(const std::string& volume_id, bool serving);
  // Of the last one.
  bool feature_may_tell_progress(const std::string& volume_id);
  // Calls of this kind have no answer while `hold`.
  void HoldCalls(const std::string& kind, bool hold);
  // Calls of this kind ("open", "serve", "provision", ...) fail with the status from now on.
  void FailCalls(const std::string& kind, absl::Status status);

 private:
  class Process;
  struct State;
  absl::Status Effect(const std::string& effect);
  void Look();
  void NoteSecret(const diskd::driver::v1::VolumeConfig& config)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // nullptr: none was ever there.
  std::shared_ptr<State> Find(const std::string& volume_id);
  std::vector<std::shared_ptr<State>> Living(const std::string& volume_id);

  EffectHook hook_;
  Catalog catalog_;
  absl::Mutex mutex_;
  std::map<std::string, std::vector<std::shared_ptr<State>>> started_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, uint64_t> provisioned_ ABSL_GUARDED_BY(mutex_);  // bytes
  std::map<std::string, std::vector<std::string>> snapshots_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::string> clones_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::string> secrets_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, uint64_t> resized_ ABSL_GUARDED_BY(mutex_);
  std::map<std::pair<std::string, bool>, int> feature_calls_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, bool> may_tell_progress_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> held_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, absl::Status> failures_ ABSL_GUARDED_BY(mutex_);
  bool keep_look_ ABSL_GUARDED_BY(mutex_) = false;
  int looks_ ABSL_GUARDED_BY(mutex_) = 0;
  int launches_ ABSL_GUARDED_BY(mutex_) = 0;
  int resends_ ABSL_GUARDED_BY(mutex_) = 0;
  int successors_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace diskd::agent

#endif  // DISKD_AGENT_SUPERVISOR_FAKE_DRIVERS_H_
