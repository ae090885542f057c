// SPDX-License-Identifier: Apache-2.0
//
// A process of the fake driver, with what it answers. Part of fake_drivers.cc.
#ifndef DISKD_AGENT_SUPERVISOR_FAKE_DRIVER_PROCESS_H_
#define DISKD_AGENT_SUPERVISOR_FAKE_DRIVER_PROCESS_H_

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "agent/supervisor/fake_drivers.h"
#include "base/status_macros.h"

namespace diskd::agent {

inline constexpr uint64_t kDevice = 7;               // of every executable
inline constexpr uint64_t kSnapshotBytes = 1 << 20;  // of every snapshot

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
  bool impostor = false;
  bool refused ABSL_GUARDED_BY(mutex) = false;  // the disk it stood by for will not come
  diskd::driver::v1::VolumeConfig config ABSL_GUARDED_BY(mutex);
};

class FakeDrivers::Process : public DriverProcess {
 public:
  using Request = diskd::driver::v1::Request;

  Process(FakeDrivers* world, std::shared_ptr<State> state)
      : world_(world), state_(std::move(state)) {}

  pid_t pid() const override { return state_->pid; }
  int slot() const override { return state_->slot; }
  bool impostor() const override { return met_another_; }

  absl::StatusOr<DriverAnswer> Call(const Request& request, const std::vector<int>& descriptors,
                                    absl::Duration limit) override {
    if (state_->impostor) return MeetTheRealOne(limit);
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
    {
      absl::MutexLock lock(&state_->mutex);
      interrupted_ = true;
    }
    absl::MutexLock lock(&world_->mutex_);  // whoever is held there looks again
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
  absl::Status MeetTheRealOne(absl::Duration limit) {
    for (const auto& other : world_->Living(state_->config.volume_id())) {
      if (other->impostor || other->slot != state_->slot) continue;
      absl::MutexLock lock(&other->mutex);
      if (limit < other->busy) return absl::DeadlineExceededError("the fake driver is busy");
      other->busy = absl::ZeroDuration();
      met_another_ = true;
      return absl::PermissionDeniedError("another process answers");
    }
    return absl::UnavailableError("nobody listens");
  }

  absl::Status FailureOf(const std::string& kind) {
    absl::MutexLock lock(&world_->mutex_);
    const auto answers = [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
      return interrupted_ || world_->held_.count(kind) == 0;
    };
    world_->mutex_.Await(absl::Condition(&answers));
    if (interrupted_) return absl::CancelledError("interrupted");
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
    world_->may_tell_progress_[id] = request.tell_progress();
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
  std::atomic<bool> interrupted_ = false;  // set with state_->mutex, for who waits there
  bool met_another_ = false;
};

}  // namespace diskd::agent

#endif  // DISKD_AGENT_SUPERVISOR_FAKE_DRIVER_PROCESS_H_
