// SPDX-License-Identifier: Apache-2.0
#include "agent/supervisor/fake_drivers.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace diskd::agent {

using diskd::driver::v1::Request;

constexpr uint64_t kDevice = 7;
constexpr uint64_t kSnapshotBytes = 1 << 20;  // of every snapshot

// One process; shared by the world and by every handle to it.
struct FakeDrivers::State {
  pid_t pid = 0;
  int slot = 0;
  uint64_t program = 0;
  absl::Mutex mutex;
  bool alive ABSL_GUARDED_BY(mutex) = true;
  bool hung ABSL_GUARDED_BY(mutex) = false;
  absl::Duration busy ABSL_GUARDED_BY(mutex);
  bool serving ABSL_GUARDED_BY(mutex) = false;
  std::string trouble ABSL_GUARDED_BY(mutex);
  std::string failure ABSL_GUARDED_BY(mutex);
  bool refused ABSL_GUARDED_BY(mutex) = false;  // the disk it stood by for will not come
  diskd::driver::v1::VolumeConfig config ABSL_GUARDED_BY(mutex);
};

class FakeDrivers::Process : public DriverProcess {
 public:
  Process(FakeDrivers* world, std::shared_ptr<State> state)
      : world_(world), state_(std::move(state)) {}

  pid_t pid() const override { return state_->pid; }
  int slot() const override { return state_->slot; }

  absl::StatusOr<DriverAnswer> Call(const Request& request, const std::vector<int>& descriptors,
                                    absl::Duration limit) override {
    {
      absl::MutexLock lock(&state_->mutex);
      auto ready = [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
        return interrupted_ || !state_->alive || !state_->hung;
      };
      const bool in_time = state_->mutex.AwaitWithTimeout(absl::Condition(&ready), limit);
      if (interrupted_) return absl::CancelledError("interrupted");
      if (!in_time) return absl::DeadlineExceededError("the fake driver hangs");
      if (limit < state_->busy) return absl::DeadlineExceededError("the fake driver is busy");
      state_->busy = absl::ZeroDuration();
      if (!state_->alive) return absl::UnavailableError("driver process ended");
    }
    return Answer(request);
  }

  bool WaitExit(absl::Duration limit) override {
    absl::MutexLock lock(&state_->mutex);
    auto ready = [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return interrupted_ || !state_->alive; };
    state_->mutex.AwaitWithTimeout(absl::Condition(&ready), limit);
    return !state_->alive;
  }
  void Interrupt() override {
    absl::MutexLock lock(&state_->mutex);
    interrupted_ = true;
  }
  void Resume() override {
    absl::MutexLock lock(&state_->mutex);
    interrupted_ = false;
  }
  bool Kill() override {
    if (!world_->Effect("kill").ok()) return false;
    absl::MutexLock lock(&state_->mutex);
    state_->alive = false;
    return true;
  }
  std::string ExitText() override { return "killed by signal 9 (KILL)"; }

 private:
  absl::Status FailureOf(const std::string& kind) {
    absl::MutexLock lock(&world_->mutex_);
    const auto answers = [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
      return world_->held_.count(kind) == 0;
    };
    world_->mutex_.Await(absl::Condition(&answers));
    const auto found = world_->failures_.find(kind);
    return found == world_->failures_.end() ? absl::OkStatus() : found->second;
  }

  absl::StatusOr<DriverAnswer> Answer(const Request& request) {
    DriverAnswer answer;
    switch (request.request_case()) {
      case Request::kProvision:
        RETURN_IF_ERROR(FailureOf("provision"));
        if (request.provision().has_source()) RETURN_IF_ERROR(FailureOf("clone"));
        RETURN_IF_ERROR(world_->Effect("provision"));
        {
          absl::MutexLock lock(&world_->mutex_);
          world_->provisioned_.insert({request.provision().config().volume_id(),
                                       request.provision().config().size_bytes()});
          world_->NoteSecret(request.provision().config());
          if (request.provision().has_source()) {
            world_->clones_[request.provision().config().volume_id()] =
                request.provision().source().volume_id() + "@" +
                request.provision().source_snapshot();
          }
        }
        break;
      case Request::kDeprovision:
        RETURN_IF_ERROR(FailureOf("deprovision"));
        RETURN_IF_ERROR(world_->Effect("deprovision"));
        {
          absl::MutexLock lock(&world_->mutex_);
          world_->provisioned_.erase(request.deprovision().config().volume_id());
        }
        break;
      case Request::kOpen:
        RETURN_IF_ERROR(FailureOf("open"));
        {
          absl::MutexLock lock(&world_->mutex_);
          if (request.open().successor()) ++world_->successors_;
          world_->NoteSecret(request.open().config());
        }
        return Open(request.open().config());
      case Request::kServe:
        RETURN_IF_ERROR(FailureOf("serve"));
        RETURN_IF_ERROR(world_->Effect("serve"));
        {
          absl::MutexLock lock(&world_->mutex_);
          if (request.serve().resend()) ++world_->resends_;
        }
        {
          absl::MutexLock lock(&state_->mutex);
          state_->serving = true;
        }
        break;
      case Request::kPing: {
        absl::MutexLock lock(&state_->mutex);
        answer.response.mutable_ping()->set_failure(state_->failure);
        answer.response.mutable_ping()->set_trouble(state_->trouble);
        answer.response.mutable_ping()->set_trouble_since_unix(1);
        break;
      }
      case Request::kStatus: {
        absl::MutexLock lock(&state_->mutex);
        auto* status = answer.response.mutable_status();
        status->set_volume_id(state_->config.volume_id());
        status->set_opened(!state_->config.volume_id().empty());
        status->set_executable_device(kDevice);
        status->set_executable_inode(state_->program);
        status->mutable_geometry()->set_size_bytes(state_->config.size_bytes());
        status->mutable_geometry()->set_logical_block_bytes(state_->config.logical_block_bytes());
        if (state_->serving) status->set_serving(diskd::driver::v1::TRANSPORT_FUSE);
        break;
      }
      case Request::kStandby:
        RETURN_IF_ERROR(FailureOf("standby"));
        RETURN_IF_ERROR(world_->Effect("standby"));
        break;
      case Request::kTakeOver:
        return AwaitTurn();
      case Request::kHandOver:
        RETURN_IF_ERROR(HandOver());
        break;
      case Request::kFeature:
        RETURN_IF_ERROR(FailureOf("feature"));
        RETURN_IF_ERROR(world_->Effect("feature"));
        return Feature(request.feature());
      case Request::kDescriptors:
        answer.response.mutable_descriptors()->set_count(1);
        answer.descriptors.emplace_back(dup(STDERR_FILENO));
        break;
      case Request::kShutdown: {
        RETURN_IF_ERROR(FailureOf("shutdown"));
        RETURN_IF_ERROR(world_->Effect("shutdown"));
        absl::MutexLock lock(&state_->mutex);
        state_->alive = false;
        break;
      }
      default:
        break;
    }
    return answer;
  }

  // One snapshot in each answer of a list.
  absl::StatusOr<DriverAnswer> Feature(const diskd::driver::v1::FeatureRequest& request) {
    bool serving = false;
    {
      absl::MutexLock lock(&state_->mutex);
      serving = state_->serving;
    }
    DriverAnswer answer;
    auto* response = answer.response.mutable_feature();
    const std::string& id = request.config().volume_id();
    absl::MutexLock lock(&world_->mutex_);
    ++world_->feature_calls_[{id, serving}];
    std::vector<std::string>& names = world_->snapshots_[id];
    if (request.has_create_snapshot()) {
      const std::string& name = request.create_snapshot().name();
      auto* created = response->mutable_create_snapshot();
      created->set_existed(std::find(names.begin(), names.end(), name) != names.end());
      if (!created->existed()) names.push_back(name);
      created->mutable_snapshot()->set_name(name);
      created->mutable_snapshot()->set_id(names.size());
      created->mutable_snapshot()->set_size_bytes(kSnapshotBytes);
    } else if (request.has_list_snapshots()) {
      const uint64_t after = request.list_snapshots().after_id();
      auto* list = response->mutable_list_snapshots();
      if (after < names.size()) {
        list->add_snapshots()->set_name(names[after]);
        list->mutable_snapshots(0)->set_id(after + 1);
        list->mutable_snapshots(0)->set_size_bytes(kSnapshotBytes);
      }
      list->set_more(after + 1 < names.size());
    } else if (request.has_delete_snapshot()) {
      names.erase(std::remove(names.begin(), names.end(), request.delete_snapshot().name()),
                  names.end());
      response->mutable_delete_snapshot();
    } else if (request.has_roll_back()) {
      const std::string& name = request.roll_back().snapshot();
      if (std::find(names.begin(), names.end(), name) == names.end()) {
        return absl::NotFoundError(absl::StrCat("there is no snapshot ", name));
      }
      world_->provisioned_[id] = kSnapshotBytes;
      response->mutable_roll_back()->set_size_bytes(kSnapshotBytes);
    } else if (request.has_resize()) {
      world_->resized_[id] = request.resize().size_bytes();
      world_->provisioned_[id] = request.resize().size_bytes();
      response->mutable_resize();
    } else if (request.has_diff()) {
      auto* diff = response->mutable_diff();
      diff->add_extents()->set_offset(request.diff().begin());
      diff->set_next(request.diff().begin() + 1);
      diff->set_size_bytes(kSnapshotBytes);
    } else if (request.has_check()) {
      response->mutable_check()->add_problems("block 7 is gone");
      response->mutable_check()->add_counts()->set_name("objects");
    } else {
      auto* statistic = response->mutable_statistics()->add_statistics();
      statistic->set_name("dirty");
      statistic->set_value(42);
      statistic->set_unit("bytes");
    }
    return answer;
  }

  absl::StatusOr<DriverAnswer> AwaitTurn() {
    absl::MutexLock lock(&state_->mutex);
    auto ready = [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
      return state_->serving || state_->refused || !state_->alive;
    };
    state_->mutex.Await(absl::Condition(&ready));
    if (!state_->serving) return absl::UnavailableError("it was not handed over");
    return DriverAnswer();
  }

  absl::Status HandOver() {
    absl::Status status = FailureOf("hand_over");
    if (status.ok()) status = world_->Effect("hand_over");
    std::string id;
    {
      absl::MutexLock lock(&state_->mutex);
      id = state_->config.volume_id();
      if (status.ok()) state_->serving = false;
    }
    for (const auto& other : world_->Living(id)) {
      if (other == state_) continue;
      absl::MutexLock lock(&other->mutex);
      other->serving = status.ok();
      other->refused = !status.ok();
    }
    return status;
  }

  absl::StatusOr<DriverAnswer> Open(const diskd::driver::v1::VolumeConfig& config) {
    const uint64_t bytes = world_->BackingBytes(config.volume_id());
    if (bytes == 0) {
      return absl::NotFoundError(absl::StrCat("no backing store of ", config.volume_id()));
    }
    absl::MutexLock lock(&state_->mutex);
    state_->config = config;
    DriverAnswer answer;
    auto* geometry = answer.response.mutable_open()->mutable_geometry();
    geometry->set_size_bytes(bytes);
    geometry->set_logical_block_bytes(config.logical_block_bytes());
    return answer;
  }

  FakeDrivers* const world_;
  const std::shared_ptr<State> state_;
  bool interrupted_ = false;  // by state_->mutex
};

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
  std::vector<std::unique_ptr<DriverProcess>> adopted;
  for (const auto& state : Living(volume_id)) {
    adopted.push_back(std::make_unique<Process>(this, state));
  }
  return adopted;
}

std::vector<std::string> FakeDrivers::List() {
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
