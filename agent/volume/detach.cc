// SPDX-License-Identifier: Apache-2.0
//
// Attachments: taking them down.
#include "absl/strings/str_cat.h"
#include "agent/supervisor/driver_calls.h"
#include "agent/volume/attachments.h"
#include "base/log.h"
#include "base/status_macros.h"

namespace diskd::agent {
namespace {

using diskd::v1::ATTACHMENT_STATE_ATTACHED;
using diskd::v1::ATTACHMENT_STATE_DETACHING;
using diskd::v1::ATTACHMENT_STATE_FAILED;

// A forced end does not wait for a driver that may be hung.
constexpr absl::Duration kForcedShutdownLimit = absl::Seconds(3);

// Keeps the first error and goes on.
void Note(absl::Status& first, const absl::Status& status) {
  if (first.ok()) first = status;
}

}  // namespace

absl::Status Attachments::Detach(const diskd::v1::DetachVolumeRequest& request) {
  const auto locked = LockVolume(environment_, request.volume());
  if (absl::IsNotFound(locked.status())) return absl::OkStatus();
  if (!locked.ok()) return locked.status();
  const VolumeRecord& volume = locked->record;
  ASSIGN_OR_RETURN(const auto record, environment_.store->FindAttachment(volume.id()));
  if (!record) return absl::OkStatus();
  SPDLOG_INFO("volume {} ({}): detaching{}", volume.id(), volume.name(),
              request.force() ? " by force" : "");
  const auto live = FindLive(volume.id());
  if (live == nullptr) return RemoveRemains(volume, *record);
  const bool failed = record->state == ATTACHMENT_STATE_FAILED;
  return DetachLive(volume, *record, *live, request.force() || failed);
}

absl::Status Attachments::DetachLive(const VolumeRecord& volume, AttachmentRecord record,
                                     Live& live, bool force) {
  const SupervisorHealth health = live.supervisor->health();
  if (!force && health.pid == 0) {
    return absl::UnavailableError(
        absl::StrCat("volume \"", volume.name(), "\" has no driver process now (", health.message,
                     "), so its last writes can't be made durable: try again, or detach by force"));
  }
  const AttachmentRecord before = record;
  record.state = ATTACHMENT_STATE_DETACHING;
  record.force = force;
  RETURN_IF_ERROR(environment_.store->PutAttachment(record));
  Parts parts;
  // Without force the driver stays supervised: the last flush waits for a successor if it dies.
  if (force) parts.process = live.supervisor->Stop();
  const absl::Status status = live.device->Unpublish(force);
  if (!status.ok() && !force && !absl::IsDeadlineExceeded(status)) {
    if (!live.supervisor->health().gave_up) {
      RETURN_IF_ERROR(environment_.store->PutAttachment(before));
    }
    return absl::Status(status.code(), absl::StrCat("volume \"", volume.name(),
                                                    "\" stays attached: ", status.message()));
  }
  if (!force) parts.process = live.supervisor->Stop();
  parts.device = std::move(live.device);
  {
    absl::MutexLock lock(&mutex_);
    live_.erase(volume.id());
  }
  const absl::Status down = TakeDown(volume, record, std::move(parts), force || !status.ok());
  return ForCaller(down.ok() ? status : down);
}

absl::Status Attachments::RemoveRemains(const VolumeRecord& volume, AttachmentRecord record) {
  Parts parts;
  auto device = environment_.devices->Find(record.transport, volume.id(), record.device_number,
                                           record.survives_driver_death);
  if (device.ok()) parts.device = *std::move(device);
  if (!device.ok() && !absl::IsNotFound(device.status())) return device.status();
  for (auto& process : environment_.launcher->Adopt(volume.id())) {
    if (parts.process != nullptr && !parts.process->Kill()) {
      return absl::InternalError(absl::StrCat("driver process ", parts.process->pid(),
                                              " hangs in the kernel and can't be killed"));
    }
    parts.process = std::move(process);
  }
  return TakeDown(volume, record, std::move(parts), /*force=*/true);
}

absl::Status Attachments::Dismantle(const VolumeRecord& volume, Parts& parts, bool force) {
  absl::Status first;
  if (parts.device != nullptr) Note(first, parts.device->Unpublish(force));
  if (parts.process != nullptr) {
    const absl::Status ended =
        ShutDown(*parts.process, force ? kForcedShutdownLimit : kShutdownLimit);
    if (!ended.ok()) {
      SPDLOG_WARN("volume {} ({}): driver process {} ended badly: {}", volume.id(), volume.name(),
                  parts.process->pid(), std::string(ended.message()));
    }
    if (!parts.process->WaitExit(absl::ZeroDuration())) Note(first, ended);
  }
  if (parts.device != nullptr) Note(first, parts.device->Destroy());
  Note(first, environment_.devices->Unlink(volume.name()));
  return first;
}

absl::Status Attachments::TakeDown(const VolumeRecord& volume, AttachmentRecord record, Parts parts,
                                   bool force) {
  const absl::Status status = Dismantle(volume, parts, force);
  if (!status.ok()) {
    // The record stays, so that detaching again finds what is left.
    record.state = ATTACHMENT_STATE_FAILED;
    record.message = absl::StrCat("not all of it could be removed: ", status.message());
    RETURN_IF_ERROR(environment_.store->PutAttachment(record));
    return status;
  }
  RETURN_IF_ERROR(environment_.store->RemoveAttachment(volume.id()));
  SPDLOG_INFO("volume {} ({}): not attached any more", volume.id(), volume.name());
  return absl::OkStatus();
}

}  // namespace diskd::agent
