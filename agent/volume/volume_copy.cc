// SPDX-License-Identifier: Apache-2.0
//
// Volumes: full copies. The record in state CREATING says that one is under way; the driver knows
// how far it is, and goes on there in a new process. Undone only when it can't be completed.
#include <filesystem>
#include <fstream>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "agent/supervisor/driver_calls.h"
#include "agent/volume/volumes.h"
#include "base/log.h"
#include "base/status_macros.h"

namespace diskd::agent {
namespace {

using diskd::v1::Volume;

// A store that is away for longer than all of these takes the copy with it.
constexpr int kCopyTries = 20;
constexpr absl::Duration kCopyPause = absl::Seconds(3);
// While another call works on the source.
constexpr int kDropTries = 20;
constexpr absl::Duration kDropPause = absl::Seconds(1);
constexpr absl::Duration kShortShutdownLimit = absl::Seconds(5);

// In the volume's state directory, while the agent concludes the copy.
constexpr char kCompleteFile[] = "/complete";

std::string SnapshotFor(const VolumeRecord& copy) { return absl::StrCat("diskd-copy-", copy.id()); }

}  // namespace

absl::StatusOr<std::optional<LongCalls::Place>> Volumes::PlaceFor(const VolumeRecord& volume) {
  std::optional<LongCalls::Place> place;
  if (!volume.source().full_copy()) return place;
  ASSIGN_OR_RETURN(LongCalls::Place begun, environment_.long_calls->Begin());
  place.emplace(std::move(begun));
  return place;
}

absl::StatusOr<Volume> Volumes::FinishCopy(VolumeRecord volume,
                                           const diskd::driver::v1::VolumeConfig& config) {
  {
    absl::MutexLock lock(&copies_mutex_);
    copies_[volume.name()];
  }
  const auto unregister = absl::MakeCleanup([this, name = volume.name()] {
    absl::MutexLock lock(&copies_mutex_);
    copies_.erase(name);
  });
  const std::string complete = absl::StrCat(config.state_dir(), kCompleteFile);
  absl::Status status;
  if (!std::filesystem::exists(complete)) {
    status = RunCopy(volume, config);
    if (absl::IsCancelled(status) && Stopping()) {
      return absl::UnavailableError("the agent ends; the next one goes on with the copy");
    }
  }
  // Without its snapshot the driver would not know the copy again.
  if (status.ok()) std::ofstream(complete).flush();
  DropCopySnapshot(volume);
  if (absl::IsCancelled(status)) {
    // ABORTED would be repeated.
    status = absl::FailedPreconditionError(
        absl::StrCat("the copy was broken off: volume \"", volume.name(), "\" is being deleted"));
  }
  return Conclude(std::move(volume), ForCaller(status));
}

absl::Status Volumes::RunCopy(const VolumeRecord& volume,
                              const diskd::driver::v1::VolumeConfig& config) {
  ASSIGN_OR_RETURN(const auto source, SourceOf(volume));
  for (int tries = 1;; ++tries) {
    const absl::Status status = TryCopy(volume, config, source);
    const bool passes =
        absl::IsUnavailable(status) || absl::IsAborted(status) || absl::IsDeadlineExceeded(status);
    if (!passes || tries == kCopyTries) return status;
    SPDLOG_WARN("volume {} ({}): the copy stopped and goes on: {}", volume.id(), volume.name(),
                std::string(status.message()));
    absl::MutexLock lock(&copies_mutex_);
    const auto ended = [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
      return stopping_ || copies_[volume.name()].broken_off;
    };
    if (copies_mutex_.AwaitWithTimeout(absl::Condition(&ended), kCopyPause)) {
      return absl::CancelledError("interrupted");
    }
  }
}

// UNAVAILABLE, ABORTED, DEADLINE_EXCEEDED: worth another try. CANCELLED: interrupted.
absl::Status Volumes::TryCopy(const VolumeRecord& volume,
                              const diskd::driver::v1::VolumeConfig& config,
                              const diskd::driver::v1::VolumeConfig& source) {
  std::string snapshot = volume.source().snapshot();
  if (snapshot.empty()) {
    snapshot = SnapshotFor(volume);
    diskd::v1::CreateSnapshotRequest request;
    request.set_volume(volume.source().volume());
    request.set_name(snapshot);
    RETURN_IF_ERROR(features_->CreateSnapshot(request).status());
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<DriverProcess> process,
                   environment_.launcher->Launch(volume.id(), volume.driver(), 0));
  {
    // From now on it can be interrupted.
    absl::MutexLock lock(&copies_mutex_);
    CopyState& state = copies_[volume.name()];
    if (state.broken_off || stopping_) process->Interrupt();
    state.process = process.get();
  }
  const absl::Status status = Copy(*process, config, source, snapshot);
  {
    absl::MutexLock lock(&copies_mutex_);
    copies_[volume.name()].process = nullptr;
  }
  process->Resume();
  if (status.ok()) {
    const absl::Status ended = ShutDown(*process, kShortShutdownLimit);
    if (ended.ok()) return status;
    SPDLOG_WARN("volume {}: driver process {} ended badly: {}", volume.id(), process->pid(),
                std::string(ended.message()));
    return status;
  }
  if (!process->Kill()) SPDLOG_ERROR("process {} can't be killed", process->pid());
  return status;
}

void Volumes::DropCopySnapshot(const VolumeRecord& volume) {
  if (!volume.source().full_copy() || !volume.source().snapshot().empty()) return;
  diskd::v1::DeleteSnapshotRequest request;
  request.set_volume(volume.source().volume());
  request.set_name(SnapshotFor(volume));
  absl::Status status = features_->DeleteSnapshot(request);
  for (int tries = 1; absl::IsAborted(status) && tries < kDropTries; ++tries) {
    absl::SleepFor(kDropPause);
    status = features_->DeleteSnapshot(request);
  }
  if (status.ok() || absl::IsNotFound(status)) return;
  SPDLOG_WARN("volume {} ({}): the snapshot {} of volume {} that the copy needed is left: {}",
              volume.id(), volume.name(), request.name(), request.volume(),
              std::string(status.message()));
}

bool Volumes::BreakOffCopy(const std::string& name) {
  absl::MutexLock lock(&copies_mutex_);
  const auto found = copies_.find(name);
  if (found == copies_.end()) return false;
  found->second.broken_off = true;
  if (found->second.process != nullptr) found->second.process->Interrupt();
  return true;
}

void Volumes::StopCopies() {
  absl::MutexLock lock(&copies_mutex_);
  stopping_ = true;
  for (const auto& [name, state] : copies_) {
    if (state.process != nullptr) state.process->Interrupt();
  }
}

bool Volumes::Stopping() {
  absl::MutexLock lock(&copies_mutex_);
  return stopping_;
}

void Volumes::ShowProgress(VolumeRecord& volume) {
  if (!volume.source().full_copy() || volume.state() != diskd::v1::VOLUME_STATE_CREATING) return;
  {
    absl::MutexLock lock(&copies_mutex_);
    if (copies_.find(volume.name()) == copies_.end()) return;  // nobody works on it
  }
  std::ifstream in(absl::StrCat(environment_.state_dir, "/volumes/", volume.id(), "/progress"));
  uint64_t done = 0, all = 0;
  if (!(in >> done >> all)) done = 0;
  volume.set_copied_bytes(done);
  volume.set_copy_bytes(volume.size_bytes());
}

}  // namespace diskd::agent
