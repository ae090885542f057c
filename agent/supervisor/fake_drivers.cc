// SPDX-License-Identifier: Apache-2.0
#include "agent/supervisor/fake_drivers.h"

#include "agent/supervisor/fake_driver_process.h"
#include "base/status_macros.h"

namespace diskd::agent {

FakeDrivers::FakeDrivers(EffectHook hook) : hook_(std::move(hook)) {}

absl::Status FakeDrivers::Effect(const std::string& effect) {
  return hook_ ? hook_(effect) : absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<DriverProcess>> FakeDrivers::Launch(const std::string& volume_id,
                                                                   const std::string& driver,
                                                                   int slot) {
  RETURN_IF_ERROR(Effect("launch"));
  absl::MutexLock lock(&mutex_);
  auto state = std::make_shared<State>();
  state->pid = 1000 + ++launches_;
  state->slot = slot;
  state->program = catalog_.installed;
  started_[volume_id].push_back(state);
  return std::make_unique<Process>(this, std::move(state));
}

std::vector<std::shared_ptr<FakeDrivers::State>> FakeDrivers::Living(const std::string& volume_id) {
  absl::MutexLock lock(&mutex_);
  std::vector<std::shared_ptr<State>> living;
  for (const auto& state : started_[volume_id]) {
    absl::MutexLock state_lock(&state->mutex);
    if (state->alive) living.push_back(state);
  }
  return living;
}

std::shared_ptr<FakeDrivers::State> FakeDrivers::Find(const std::string& volume_id) {
  const auto living = Living(volume_id);
  for (const auto& state : living) {
    absl::MutexLock lock(&state->mutex);
    if (state->serving) return state;
  }
  if (!living.empty()) return living.back();
  absl::MutexLock lock(&mutex_);
  return started_[volume_id].empty() ? nullptr : started_[volume_id].back();
}

std::vector<std::unique_ptr<DriverProcess>> FakeDrivers::Adopt(const std::string& volume_id) {
  Look();
  std::vector<std::unique_ptr<DriverProcess>> adopted;
  for (const auto& state : Living(volume_id)) {
    adopted.push_back(std::make_unique<Process>(this, state));
  }
  return adopted;
}

void FakeDrivers::KeepLook(bool on) {
  absl::MutexLock lock(&mutex_);
  keep_look_ = on;
  if (on) ++looks_;
}

void FakeDrivers::Look() {
  absl::MutexLock lock(&mutex_);
  if (!keep_look_) ++looks_;
}

std::vector<std::string> FakeDrivers::List() {
  Look();
  std::vector<std::string> started, ids;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [id, states] : started_) started.push_back(id);
  }
  for (const std::string& id : started) {
    if (!Living(id).empty()) ids.push_back(id);
  }
  return ids;
}

std::vector<diskd::v1::DriverInfo> FakeDrivers::Catalog::List() {
  diskd::v1::DriverInfo memory, broken;
  memory.set_name("memory");
  memory.add_parameters()->set_name("dir");
  memory.add_parameters()->set_name("place");
  memory.mutable_parameters(1)->set_own(true);
  memory.add_secrets("token");
  broken.set_name("broken");
  broken.set_problem("it exits with status 3");
  return {broken, memory};
}

absl::StatusOr<std::string> FakeDrivers::Catalog::FindExecutable(const std::string& name) {
  return "/drivers/" + name;
}

absl::StatusOr<DriverCatalog::Program> FakeDrivers::Catalog::FindProgram(const std::string&) {
  return Program{kDevice, installed};
}

bool FakeDrivers::Running(const std::string& volume_id) { return PidOf(volume_id) != 0; }

pid_t FakeDrivers::PidOf(const std::string& volume_id) {
  const auto state = Find(volume_id);
  if (state == nullptr) return 0;
  absl::MutexLock lock(&state->mutex);
  return state->alive ? state->pid : 0;
}

bool FakeDrivers::Serving(const std::string& volume_id) {
  const auto state = Find(volume_id);
  if (state == nullptr) return false;
  absl::MutexLock lock(&state->mutex);
  return state->alive && state->serving;
}

int FakeDrivers::count(const std::string& volume_id) {
  return static_cast<int>(Living(volume_id).size());
}

std::set<std::string> FakeDrivers::Provisioned() {
  absl::MutexLock lock(&mutex_);
  std::set<std::string> ids;
  for (const auto& [id, bytes] : provisioned_) ids.insert(id);
  return ids;
}

uint64_t FakeDrivers::BackingBytes(const std::string& volume_id) {
  absl::MutexLock lock(&mutex_);
  const auto found = provisioned_.find(volume_id);
  return found == provisioned_.end() ? 0 : found->second;
}

int FakeDrivers::launches() {
  absl::MutexLock lock(&mutex_);
  return launches_;
}

int FakeDrivers::looks() {
  absl::MutexLock lock(&mutex_);
  return looks_;
}

int FakeDrivers::successors() {
  absl::MutexLock lock(&mutex_);
  return successors_;
}

int FakeDrivers::resends() {
  absl::MutexLock lock(&mutex_);
  return resends_;
}

std::vector<std::string> FakeDrivers::Snapshots(const std::string& volume_id) {
  absl::MutexLock lock(&mutex_);
  return snapshots_[volume_id];
}

std::string FakeDrivers::CloneOf(const std::string& volume_id) {
  absl::MutexLock lock(&mutex_);
  return clones_[volume_id];
}

uint64_t FakeDrivers::Resized(const std::string& volume_id) {
  absl::MutexLock lock(&mutex_);
  return resized_[volume_id];
}

int FakeDrivers::feature_calls(const std::string& volume_id, bool serving) {
  absl::MutexLock lock(&mutex_);
  return feature_calls_[{volume_id, serving}];
}

bool FakeDrivers::feature_may_tell_progress(const std::string& volume_id) {
  absl::MutexLock lock(&mutex_);
  return may_tell_progress_[volume_id];
}

void FakeDrivers::KillProcess(const std::string& volume_id) {
  const auto state = Find(volume_id);
  absl::MutexLock lock(&state->mutex);
  state->alive = false;
}

void FakeDrivers::Occupy(const std::string& volume_id, absl::Duration time) {
  const auto state = Find(volume_id);
  absl::MutexLock lock(&state->mutex);
  state->busy = time;
}

void FakeDrivers::AddImpostor(const std::string& volume_id, int slot, bool found_first) {
  absl::MutexLock lock(&mutex_);
  auto state = std::make_shared<State>();
  state->pid = 1000 + ++launches_;
  state->slot = slot;
  state->impostor = true;
  {
    absl::MutexLock state_lock(&state->mutex);
    state->config.set_volume_id(volume_id);
  }
  auto& all = started_[volume_id];
  all.insert(found_first ? all.begin() : all.end(), std::move(state));
}

void FakeDrivers::Hang(const std::string& volume_id) {
  const auto state = Find(volume_id);
  absl::MutexLock lock(&state->mutex);
  state->hung = true;
}

void FakeDrivers::FailRequests(const std::string& volume_id, const std::string& why) {
  const auto state = Find(volume_id);
  absl::MutexLock lock(&state->mutex);
  state->failure = why;
}

void FakeDrivers::TellTrouble(const std::string& volume_id, const std::string& why) {
  const auto state = Find(volume_id);
  absl::MutexLock lock(&state->mutex);
  state->trouble = why;
}

void FakeDrivers::FailCalls(const std::string& kind, absl::Status status) {
  absl::MutexLock lock(&mutex_);
  failures_[kind] = std::move(status);
}

void FakeDrivers::HoldCalls(const std::string& kind, bool hold) {
  absl::MutexLock lock(&mutex_);
  if (hold) {
    held_.insert(kind);
  } else {
    held_.erase(kind);
  }
}

void FakeDrivers::NoteSecret(const diskd::driver::v1::VolumeConfig& config) {
  const auto found = config.secrets().find("token");
  secrets_[config.volume_id()] = found == config.secrets().end() ? "" : found->second;
}

std::string FakeDrivers::SecretOf(const std::string& volume_id) {
  const absl::MutexLock lock(&mutex_);
  return secrets_[volume_id];
}

}  // namespace diskd::agent
