// SPDX-License-Identifier: Apache-2.0
#include "agent/volume/volumes.h"

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "agent/supervisor/driver_calls.h"
#include "agent/volume/check.h"
#include "agent/volume/names.h"
#include "agent/volume/page_token.h"
#include "agent/volume/secret_names.h"
#include "base/errno_status.h"
#include "base/log.h"
#include "base/status_macros.h"

namespace diskd::agent {
namespace {

using diskd::v1::Volume;
using diskd::v1::VOLUME_STATE_CREATING;
using diskd::v1::VOLUME_STATE_DELETING;
using diskd::v1::VOLUME_STATE_READY;

constexpr int kMaxPage = 1000;
// Provisioning has made everything durable already; only the process has to go.
constexpr absl::Duration kShortShutdownLimit = absl::Seconds(5);

void SetNow(google::protobuf::Timestamp& time) {
  const absl::Time now = absl::Now();
  time.set_seconds(absl::ToUnixSeconds(now));
  time.set_nanos(static_cast<int32_t>(absl::ToUnixNanos(now) % 1'000'000'000));
}

absl::Status MakeDirectory(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return ErrnoStatus(error.value(), absl::StrCat("create ", path));
  std::filesystem::permissions(path, std::filesystem::perms::owner_all, error);
  return absl::OkStatus();
}

absl::Status RemoveDirectory(const std::string& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (error) return ErrnoStatus(error.value(), absl::StrCat("remove ", path));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<diskd::v1::CreateVolumeRequest> Volumes::Inherit(
    diskd::v1::CreateVolumeRequest request) {
  diskd::v1::VolumeSource& source = *request.mutable_source();
  ASSIGN_OR_RETURN(const auto parent, environment_.store->FindVolume(source.volume()));
  if (!parent) return NoSuchVolume(source.volume());
  source.set_volume(parent->id());
  if (request.driver().empty()) request.set_driver(parent->driver());
  if (request.driver() != parent->driver()) {
    return absl::InvalidArgumentError(
        absl::StrCat("a clone has its source's driver, ", parent->driver()));
  }
  if (request.logical_block_bytes() == 0) {
    request.set_logical_block_bytes(parent->logical_block_bytes());
  }
  if (source.full_copy() && source.snapshot().empty()) {
    if (request.size_bytes() == 0) request.set_size_bytes(parent->size_bytes());
    return request;
  }
  for (const auto& driver : environment_.catalog->List()) {
    if (driver.name() != parent->driver() || source.full_copy()) continue;
    for (const auto& parameter : driver.parameters()) {
      const auto had = parent->parameters().find(parameter.name());
      if (parameter.own() || had == parent->parameters().end()) continue;
      request.mutable_parameters()->insert({parameter.name(), had->second});
    }
  }
  diskd::v1::ListSnapshotsRequest list;
  list.set_volume(parent->id());
  ASSIGN_OR_RETURN(const auto listed, features_->ListSnapshots(list));
  for (const auto& snapshot : listed.snapshots()) {
    if (snapshot.name() != source.snapshot()) continue;
    if (request.size_bytes() == 0) request.set_size_bytes(snapshot.size_bytes());
    if (request.size_bytes() == snapshot.size_bytes()) return request;
    return absl::InvalidArgumentError(
        absl::StrCat("snapshot \"", snapshot.name(), "\" has ", snapshot.size_bytes(),
                     " bytes: clone it as it is, then change the size"));
  }
  return absl::NotFoundError(
      absl::StrCat("volume \"", parent->name(), "\" has no snapshot \"", source.snapshot(), "\""));
}

absl::StatusOr<diskd::driver::v1::VolumeConfig> Volumes::SourceOf(const VolumeRecord& volume) {
  ASSIGN_OR_RETURN(const auto parent, environment_.store->FindVolume(volume.source().volume()));
  if (!parent) return NoSuchVolume(volume.source().volume());
  return ConfigOf(environment_, *parent, /*read_only=*/true);
}

absl::StatusOr<Volume> Volumes::Create(const diskd::v1::CreateVolumeRequest& given) {
  diskd::v1::CreateVolumeRequest request = given;
  if (request.has_source()) {
    // The snapshot may be gone since the same request made the clone.
    ASSIGN_OR_RETURN(const auto made, environment_.store->FindVolume(request.name()));
    ASSIGN_OR_RETURN(const auto parent, environment_.store->FindVolume(request.source().volume()));
    if (parent) request.mutable_source()->set_volume(parent->id());
    if (made && made->state() == VOLUME_STATE_READY &&
        made->source().volume() == request.source().volume() &&
        made->source().snapshot() == request.source().snapshot() &&
        made->source().full_copy() == request.source().full_copy()) {
      RETURN_IF_ERROR(
          CheckSecretsKnown(*made, environment_.secrets->Get(made->id()), request.secrets()));
      return WithAttachment(*made);
    }
    ASSIGN_OR_RETURN(request, Inherit(std::move(request)));
  }
  ASSIGN_OR_RETURN(VolumeRecord wanted, CheckCreate(request, environment_.catalog->List()));
  if (request.has_source()) *wanted.mutable_source() = request.source();
  RETURN_IF_ERROR(CheckDriversSecrets(wanted.driver(), request.secrets()));
  const bool inherits = request.has_source() && !request.source().full_copy();
  const SecretMap secrets = request.secrets().empty() && inherits
                                ? environment_.secrets->Get(request.source().volume())
                                : request.secrets();
  ASSIGN_OR_RETURN(const VolumeLocks::Lock lock, environment_.locks->Acquire(wanted.name()));
  ASSIGN_OR_RETURN(const auto existing, environment_.store->FindVolume(wanted.name()));
  if (existing) {
    const std::string difference = Difference(*existing, wanted);
    if (!difference.empty()) {
      return absl::AlreadyExistsError(
          absl::StrCat("volume \"", wanted.name(), "\" exists and its ", difference));
    }
    RETURN_IF_ERROR(
        CheckSecretsKnown(*existing, environment_.secrets->Get(existing->id()), request.secrets()));
    if (existing->state() == VOLUME_STATE_READY) return WithAttachment(*existing);
    if (existing->state() == VOLUME_STATE_DELETING) {
      return absl::FailedPreconditionError(absl::StrCat(
          "volume \"", wanted.name(), "\" is half deleted: delete it again, then create it"));
    }
    ASSIGN_OR_RETURN(const auto place, PlaceFor(*existing));
    SPDLOG_INFO("volume {} ({}): taking up its creation", existing->id(), existing->name());
    if (!secrets.empty()) RETURN_IF_ERROR(environment_.secrets->Put(existing->id(), secrets));
    return Finish(*existing);
  }
  ASSIGN_OR_RETURN(const auto place, PlaceFor(wanted));
  wanted.set_id(NewVolumeId());
  wanted.set_state(VOLUME_STATE_CREATING);
  wanted.set_never_ready(true);
  RecordSecretNames(secrets, wanted);
  SetNow(*wanted.mutable_create_time());
  // Before the record, or the next agent could make the volume without them.
  RETURN_IF_ERROR(environment_.secrets->Put(wanted.id(), secrets));
  const absl::Status recorded = environment_.store->PutVolume(wanted);
  if (!recorded.ok()) {
    environment_.secrets->Remove(wanted.id());
    return recorded;
  }
  SPDLOG_INFO("volume {} ({}): creating, driver {}, {} bytes", wanted.id(), wanted.name(),
              wanted.driver(), wanted.size_bytes());
  return Finish(std::move(wanted));
}

absl::StatusOr<Volume> Volumes::Finish(VolumeRecord volume) {
  RETURN_IF_ERROR(CheckSecretsHere(volume, environment_.secrets->Get(volume.id())));
  const auto config = ConfigOf(environment_, volume, /*read_only=*/false);
  absl::Status status = MakeDirectory(config.state_dir());
  if (status.ok() && volume.source().full_copy()) return FinishCopy(std::move(volume), config);
  if (status.ok()) {
    status = ForCaller(WithDriver(volume, [&](DriverProcess& p) -> absl::Status {
      if (!volume.has_source()) return Provision(p, config, nullptr, "");
      ASSIGN_OR_RETURN(const auto source, SourceOf(volume));
      return Provision(p, config, &source, volume.source().snapshot());
    }));
  }
  // The next agent goes on with it.
  if (!status.ok() && environment_.stoppable_calls->stopped()) return status;
  return Conclude(std::move(volume), status);
}

absl::StatusOr<Volume> Volumes::Conclude(VolumeRecord volume, const absl::Status& status) {
  if (status.ok()) {
    volume.set_state(VOLUME_STATE_READY);
    volume.set_never_ready(false);
    RETURN_IF_ERROR(environment_.store->PutVolume(volume));
    SPDLOG_INFO("volume {} ({}): ready", volume.id(), volume.name());
    return volume;
  }
  SPDLOG_WARN("volume {} ({}): creation failed: {}", volume.id(), volume.name(),
              std::string(status.message()));
  const absl::Status undone = Remove(volume);
  if (undone.ok()) return status;
  return absl::Status(status.code(),
                      absl::StrCat(status.message(), "; and what was begun is left: ",
                                   undone.message(), "; delete volume ", volume.id()));
}

absl::Status Volumes::WithDriver(const VolumeRecord& volume,
                                 const std::function<absl::Status(DriverProcess&)>& body) {
  ASSIGN_OR_RETURN(const std::unique_ptr<DriverProcess> process,
                   environment_.launcher->Launch(volume.id(), volume.driver(), 0));
  const absl::Status status = [&] {
    const StoppableCalls::Call call(environment_.stoppable_calls, process.get());
    return body(*process);
  }();
  const absl::Status ended = ShutDown(*process, kShortShutdownLimit);
  if (status.ok() && !ended.ok()) {
    SPDLOG_WARN("volume {}: driver process {} ended badly: {}", volume.id(), process->pid(),
                std::string(ended.message()));
  }
  return environment_.stoppable_calls->ForCaller(status);
}

absl::Status Volumes::Remove(const VolumeRecord& volume) {
  const auto config = ConfigOf(environment_, volume, /*read_only=*/false);
  RETURN_IF_ERROR(MakeDirectory(config.state_dir()));
  const absl::Status undone =
      WithDriver(volume, [&](DriverProcess& p) { return Deprovision(p, config); });
  // What is impossible, and was so from the beginning, was never made. Without a secret that it had
  // then, this says nothing.
  const bool impossible = absl::IsInvalidArgument(undone) && volume.never_ready() &&
                          CheckSecretsHere(volume, environment_.secrets->Get(volume.id())).ok();
  if (!impossible) RETURN_IF_ERROR(undone);
  RETURN_IF_ERROR(RemoveDirectory(config.state_dir()));
  environment_.launcher->RemoveFiles(volume.id());
  RETURN_IF_ERROR(environment_.store->RemoveVolume(volume.id()));
  environment_.secrets->Remove(volume.id());
  SPDLOG_INFO("volume {} ({}): removed", volume.id(), volume.name());
  return absl::OkStatus();
}

absl::Status Volumes::Delete(const std::string& key) {
  auto volume = LockVolume(environment_, key);
  if (absl::IsNotFound(volume.status())) return absl::OkStatus();
  if (absl::IsAborted(volume.status())) {
    ASSIGN_OR_RETURN(const auto busy, environment_.store->FindVolume(key));
    if (busy && BreakOffCopy(busy->name())) {
      return absl::AbortedError(
          absl::StrCat("the copy to volume \"", busy->name(), "\" is being undone: try again"));
    }
  }
  if (!volume.ok()) return volume.status();
  VolumeRecord& record = volume->record;
  ASSIGN_OR_RETURN(const auto attachment, environment_.store->FindAttachment(record.id()));
  if (attachment) {
    return absl::FailedPreconditionError(
        absl::StrCat("volume \"", record.name(), "\" is attached: detach it first"));
  }
  if (record.state() == VOLUME_STATE_CREATING) DropCopySnapshot(record);
  record.set_state(VOLUME_STATE_DELETING);
  RETURN_IF_ERROR(environment_.store->PutVolume(record));
  SPDLOG_INFO("volume {} ({}): deleting", record.id(), record.name());
  const absl::Status removed = Remove(record);
  if (absl::IsNotFound(removed)) {
    // To the caller NOT_FOUND would mean that the volume is gone.
    return absl::FailedPreconditionError(removed.message());
  }
  return ForCaller(removed);
}

absl::Status Volumes::CheckDriversSecrets(const std::string& driver, const SecretMap& secrets) {
  if (secrets.empty()) return absl::OkStatus();
  for (const auto& info : environment_.catalog->List()) {
    if (info.name() == driver) return CheckSecrets(secrets, info);
  }
  return absl::FailedPreconditionError(absl::StrCat("driver \"", driver, "\" is not installed"));
}

absl::Status Volumes::SetSecrets(const diskd::v1::SetVolumeSecretsRequest& request) {
  // Without the lock: one that waits for a secret must not keep it away.
  ASSIGN_OR_RETURN(const auto volume, environment_.store->FindVolume(request.volume()));
  if (!volume) return NoSuchVolume(request.volume());
  RETURN_IF_ERROR(CheckDriversSecrets(volume->driver(), request.secrets()));
  RETURN_IF_ERROR(environment_.secrets->Put(volume->id(), request.secrets()));
  SPDLOG_INFO("volume {} ({}): has {} secrets now", volume->id(), volume->name(),
              request.secrets().size());
  return absl::OkStatus();
}

absl::StatusOr<Volume> Volumes::Get(const std::string& key) {
  ASSIGN_OR_RETURN(const auto found, environment_.store->FindVolume(key));
  if (!found) return NoSuchVolume(key);
  return WithAttachment(*found);
}

absl::StatusOr<Volume> Volumes::WithAttachment(VolumeRecord volume) {
  ShowProgress(volume);
  ASSIGN_OR_RETURN(const auto attachment, attachments_->Describe(volume));
  if (attachment) *volume.mutable_attachment() = *attachment;
  return volume;
}

absl::StatusOr<diskd::v1::ListVolumesResponse> Volumes::List(
    const diskd::v1::ListVolumesRequest& request) {
  if (request.page_size() < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("page size ", request.page_size(), ": use 0 or a positive number"));
  }
  const int page = request.page_size() == 0 ? kMaxPage : std::min(request.page_size(), kMaxPage);
  ASSIGN_OR_RETURN(const std::string after, ParsePageToken(request.page_token()));
  // One more than wanted tells whether there is a next page.
  ASSIGN_OR_RETURN(std::vector<VolumeRecord> volumes,
                   environment_.store->ListVolumes(after, page + 1));
  diskd::v1::ListVolumesResponse response;
  if (static_cast<int>(volumes.size()) > page) {
    volumes.resize(page);
    response.set_next_page_token(MakePageToken(volumes.back().id()));
  }
  for (VolumeRecord& volume : volumes) {
    ASSIGN_OR_RETURN(*response.add_volumes(), WithAttachment(std::move(volume)));
  }
  return response;
}

void Volumes::DropStraySecrets() {
  for (const std::string& id : environment_.secrets->List()) {
    const auto volume = environment_.store->FindVolume(id);
    if (volume.ok() && !volume->has_value()) environment_.secrets->Remove(id);
  }
}

void Volumes::FinishInterrupted() {
  // Copies take long: nothing else waits for them.
  FinishInterrupted(/*copies=*/false);
  FinishInterrupted(/*copies=*/true);
}

// The next attach tries again.
void Volumes::FinishResizeOf(const VolumeRecord& volume) {
  const absl::Status status = features_->FinishResize(volume.id());
  if (status.ok()) return;
  SPDLOG_ERROR("volume {} ({}): interrupted resize to {} bytes not finished: {}", volume.id(),
               volume.name(), volume.resize_bytes(), std::string(status.message()));
}

void Volumes::FinishInterrupted(bool copies) {
  std::string after;
  for (;;) {
    const auto page = environment_.store->ListVolumes(after, kMaxPage);
    if (!page.ok()) {
      SPDLOG_ERROR("list volumes: {}", std::string(page.status().message()));
      return;
    }
    if (page->empty()) return;
    after = page->back().id();
    for (const VolumeRecord& listed : *page) {
      if (environment_.stoppable_calls->stopped()) return;
      if (listed.resize_bytes() != 0 && !copies) FinishResizeOf(listed);
      const bool copy = listed.state() == VOLUME_STATE_CREATING && listed.source().full_copy();
      if (listed.state() == VOLUME_STATE_READY || copy != copies || Stopping()) continue;
      auto volume = LockVolume(environment_, listed.id());
      if (!volume.ok()) continue;  // a caller was faster
      absl::Status status;
      if (volume->record.state() == VOLUME_STATE_CREATING) {
        status = Finish(volume->record).status();
      } else if (volume->record.state() == VOLUME_STATE_DELETING) {
        status = Remove(volume->record);
      }
      if (!status.ok()) {
        SPDLOG_ERROR("volume {} ({}): interrupted {} not finished: {}", listed.id(), listed.name(),
                     diskd::v1::VolumeState_Name(listed.state()), std::string(status.message()));
      }
    }
  }
}

}  // namespace diskd::agent
