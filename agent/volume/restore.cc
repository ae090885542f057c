// SPDX-License-Identifier: Apache-2.0
//
// Attachments: what a new agent does with the ones of its predecessor.
#include <set>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "agent/supervisor/driver_calls.h"
#include "agent/volume/attachments.h"
#include "base/log.h"
#include "base/status_macros.h"

namespace diskd::agent {
namespace {

using diskd::v1::ATTACHMENT_STATE_ATTACHED;
using diskd::v1::ATTACHMENT_STATE_ATTACHING;
using diskd::v1::ATTACHMENT_STATE_DETACHING;
using diskd::v1::ATTACHMENT_STATE_FAILED;

constexpr absl::Duration kHandOverPoll = absl::Milliseconds(20);

// OK: the process serves the volume.
absl::Status CheckServing(DriverProcess& process, const std::string& volume_id,
                          absl::Duration limit) {
  ASSIGN_OR_RETURN(const auto status, GetStatus(process, limit));
  if (status.volume_id() != volume_id ||
      status.serving() == diskd::driver::v1::TRANSPORT_UNSPECIFIED) {
    return absl::FailedPreconditionError(
        absl::StrCat("driver process ", process.pid(), " does not serve it"));
  }
  return absl::OkStatus();
}

bool MayServe(const DriverProcess& process) { return process.slot() != kLookSlot; }

// Processes of one slot have one control socket between them: one of them at most is a driver.
bool AreInOneSlot(const std::vector<std::unique_ptr<DriverProcess>>& processes) {
  std::set<int> slots;
  for (const auto& process : processes) {
    if (MayServe(*process)) slots.insert(process->slot());
  }
  return slots.size() < 2;
}

// The index of the process that serves; their number: none does. Two of them may be handing the
// disk over at this very moment.
size_t FindServing(const std::vector<std::unique_ptr<DriverProcess>>& processes,
                   const std::string& volume_id) {
  // One alone may be at a snapshot that the last agent has asked for, and answers after that.
  const bool alone = AreInOneSlot(processes);
  const absl::Time deadline = absl::Now() + kHandOverLimit;
  bool patient = alone;
  for (;;) {
    std::set<int> reached;  // slots, by the process that has the socket
    for (size_t i = 0; i < processes.size(); ++i) {
      const int slot = processes[i]->slot();
      if (!MayServe(*processes[i]) || reached.count(slot) != 0) continue;
      const absl::Status status =
          CheckServing(*processes[i], volume_id, patient ? kServingFeatureLimit : kStatusLimit);
      if (status.ok()) return i;
      if (absl::IsDeadlineExceeded(status) || absl::IsFailedPrecondition(status)) {
        reached.insert(slot);
      }
    }
    // What nobody answers for must not cost the one that is there its time.
    const bool one_left = reached.size() < 2;
    if (alone || (absl::Now() >= deadline && (patient || !one_left))) return processes.size();
    patient = one_left;
    absl::SleepFor(kHandOverPoll);
  }
}

void LogError(const VolumeRecord& volume, const char* what, const absl::Status& status) {
  if (status.ok()) return;
  SPDLOG_ERROR("volume {} ({}): {}: {}", volume.id(), volume.name(), what,
               std::string(status.message()));
}

}  // namespace

absl::Status Attachments::Restore() {
  ASSIGN_OR_RETURN(const std::vector<AttachmentRecord> records,
                   environment_.store->ListAttachments());
  environment_.launcher->KeepLook(true);
  const auto forget = absl::MakeCleanup([&] { environment_.launcher->KeepLook(false); });
  for (const AttachmentRecord& record : records) {
    ASSIGN_OR_RETURN(const auto volume, environment_.store->FindVolume(record.volume_id));
    if (!volume) continue;  // the schema forbids it
    if (record.boot_id != environment_.boot_id) {
      SPDLOG_INFO("volume {} ({}): the machine was started anew, not attached any more",
                  volume->id(), volume->name());
      LogError(*volume, "remove the link", environment_.devices->Unlink(volume->name()));
      RETURN_IF_ERROR(environment_.store->RemoveAttachment(record.volume_id));
      continue;
    }
    RestoreOne(*volume, record);
  }
  RemoveOrphans();
  return absl::OkStatus();
}

void Attachments::RestoreOne(const VolumeRecord& volume, AttachmentRecord record) {
  if (record.state == ATTACHMENT_STATE_FAILED) return;
  if (record.state == ATTACHMENT_STATE_ATTACHING) {
    // Nobody was told of the device yet.
    SPDLOG_INFO("volume {} ({}): undoing an interrupted attach", volume.id(), volume.name());
    LogError(volume, "undo the attach", RemoveRemains(volume, record));
    return;
  }
  const bool detaching = record.state == ATTACHMENT_STATE_DETACHING;
  if (detaching && record.force) {
    SPDLOG_INFO("volume {} ({}): finishing an interrupted detach", volume.id(), volume.name());
    LogError(volume, "finish the detach", RemoveRemains(volume, record));
    return;
  }
  const absl::Status adopted = Adopt(volume, record);
  if (!adopted.ok() && detaching) {
    LogError(volume, "finish the detach", RemoveRemains(volume, record));
    return;
  }
  if (!adopted.ok()) {
    const absl::Status removed = RemoveRemains(volume, record);
    LogError(volume, "remove what is left", removed);
    Fail(volume, record,
         absl::StrCat(adopted.message(), "; I/O fails: detach it, then attach it again"));
    return;
  }
  if (!detaching) return;
  const auto live = FindLive(volume.id());
  LogError(volume, "finish the detach", DetachLive(volume, record, *live, /*force=*/false));
}

absl::Status Attachments::Adopt(const VolumeRecord& volume, AttachmentRecord& record) {
  Parts parts;
  auto device = environment_.devices->Find(record.transport, volume.id(), record.device_number,
                                           record.survives_driver_death);
  if (!device.ok()) return device.status();
  parts.device = *std::move(device);
  if (parts.device->number() < 0) {
    return absl::FailedPreconditionError("its loop device was detached by somebody else");
  }
  ASSIGN_OR_RETURN(parts.process, AdoptProcess(volume, record, *parts.device));
  // From here on the disk works, whatever else fails: somebody may have it mounted.
  const bool known =
      record.state == ATTACHMENT_STATE_ATTACHED && record.device_number == parts.device->number();
  record.state = ATTACHMENT_STATE_ATTACHED;
  record.device_number = parts.device->number();
  if (!known) LogError(volume, "record it", environment_.store->PutAttachment(record));
  LogError(volume, "link it", environment_.devices->Link(volume.name(), parts.device->path()));
  SPDLOG_INFO("volume {} ({}): took over {}, driver process {}", volume.id(), volume.name(),
              parts.device->path(), parts.process == nullptr ? 0 : parts.process->pid());
  Supervise(volume, record, std::move(parts));
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<DriverProcess>> Attachments::AdoptProcess(
    const VolumeRecord& volume, const AttachmentRecord& record, Device& device) {
  std::vector<std::unique_ptr<DriverProcess>> processes = environment_.launcher->Adopt(volume.id());
  const size_t serving = FindServing(processes, volume.id());
  if (record.transport == diskd::v1::TRANSPORT_FUSE) {
    std::vector<Fd> descriptors;
    for (size_t i = 0; i < processes.size() && descriptors.empty(); ++i) {
      if (serving < processes.size() && i != serving) continue;
      auto held = GetDescriptors(*processes[i]);
      if (held.ok()) descriptors = *std::move(held);
    }
    const bool lost = serving == processes.size() && !record.survives_driver_death;
    if (descriptors.empty() || lost) {
      return absl::UnavailableError("its FUSE connection ended while no agent ran");
    }
    device.Hold(std::move(descriptors));
  }
  std::unique_ptr<DriverProcess> adopted;
  if (serving < processes.size()) adopted = std::move(processes[serving]);
  for (size_t i = 0; i < processes.size(); ++i) {
    if (i == serving) continue;
    const bool has_no_socket = adopted != nullptr && adopted->slot() == processes[i]->slot();
    if (processes[i]->impostor() || has_no_socket) {
      SPDLOG_WARN("volume {} ({}): process {} has the marks of its driver, but another answers",
                  volume.id(), volume.name(), processes[i]->pid());
    } else if (!processes[i]->Kill()) {
      return absl::InternalError(absl::StrCat("driver process ", processes[i]->pid(),
                                              " hangs in the kernel and can't be killed"));
    }
  }
  return adopted;
}

void Attachments::RemoveOrphans() {
  std::set<std::string> attached;
  const auto records = environment_.store->ListAttachments();
  if (!records.ok()) return;
  for (const AttachmentRecord& record : *records) attached.insert(record.volume_id);

  for (const std::string& id : environment_.launcher->List()) {
    if (attached.count(id) != 0) continue;
    for (const auto& process : environment_.launcher->Adopt(id)) {
      SPDLOG_WARN("volume {}: not attached, ending its driver process {}", id, process->pid());
      if (!process->Kill()) SPDLOG_ERROR("process {} can't be killed", process->pid());
    }
  }
  const auto devices = environment_.devices->List();
  if (!devices.ok()) {
    SPDLOG_ERROR("list devices: {}", std::string(devices.status().message()));
    return;
  }
  for (const auto& [id, transport] : *devices) {
    if (attached.count(id) != 0) continue;
    const auto volume = environment_.store->FindVolume(id);
    // FUSE mounts are found below our own run directory; a buse device may be another agent's.
    const bool ours = transport == diskd::v1::TRANSPORT_FUSE || (volume.ok() && *volume);
    if (!ours) {
      SPDLOG_WARN("buse device of unknown volume {}: another agent's, or left behind", id);
      continue;
    }
    SPDLOG_WARN("volume {}: not attached, removing its device", id);
    auto device = environment_.devices->Find(transport, id, -1, false);
    if (!device.ok()) continue;
    absl::Status status = (*device)->Unpublish(/*force=*/true);
    if (status.ok()) status = (*device)->Destroy();
    if (!status.ok()) SPDLOG_ERROR("volume {}: {}", id, std::string(status.message()));
  }
}

}  // namespace diskd::agent
