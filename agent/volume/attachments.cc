// SPDX-License-Identifier: Apache-2.0
#include "agent/volume/attachments.h"

#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "agent/supervisor/driver_calls.h"
#include "agent/volume/check.h"
#include "agent/volume/resize.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "drivers/sdk/device/buse_device.h"
#include "drivers/sdk/device/loop_device.h"

namespace diskd::agent {
namespace {

using diskd::v1::Attachment;
using diskd::v1::ATTACHMENT_STATE_ATTACHED;
using diskd::v1::ATTACHMENT_STATE_ATTACHING;
using diskd::v1::ATTACHMENT_STATE_FAILED;
using diskd::v1::ATTACHMENT_STATE_RECOVERING;

constexpr absl::Duration kSettleLimit = absl::Seconds(5);
constexpr absl::Duration kSettlePoll = absl::Milliseconds(20);

std::string DiskPath(const AttachmentRecord& record) {
  if (record.device_number < 0) return "";
  return record.transport == diskd::v1::TRANSPORT_BUSE
             ? sdk::BuseControl::DiskPath(record.device_number)
             : sdk::LoopPath(record.device_number);
}

// A disk appears with help of its driver: one that dies meanwhile must not hold us up.
absl::Status PublishWhileAlive(Device& device, DriverProcess& process) {
  std::thread watch([&] {
    if (process.WaitExit(absl::InfiniteDuration())) device.Abort();
  });
  const absl::Status status = device.Publish();
  process.Interrupt();
  watch.join();
  process.Resume();
  if (status.ok() || !process.WaitExit(absl::ZeroDuration())) return status;
  return absl::UnavailableError(absl::StrCat("driver process ", process.pid(), " ended (",
                                             process.ExitText(), "): ", status.message()));
}

// Hands the descriptors over; ours close at the end.
absl::Status ServeDevice(Device& device, DriverProcess& process, bool successor, uid_t user) {
  ASSIGN_OR_RETURN(const std::vector<Fd> descriptors, device.Descriptors());
  const bool resend = successor && device.transport() == diskd::v1::TRANSPORT_FUSE;
  return Serve(process, device.transport(), descriptors, resend, user);
}

}  // namespace

absl::StatusOr<Attachment> Attachments::Attach(const diskd::v1::AttachVolumeRequest& request) {
  ASSIGN_OR_RETURN(LockedVolume locked, LockVolume(environment_, request.volume()));
  VolumeRecord& volume = locked.record;
  if (volume.state() != diskd::v1::VOLUME_STATE_READY) {
    return absl::FailedPreconditionError(absl::StrCat(
        "volume \"", volume.name(), "\" is in state ", diskd::v1::VolumeState_Name(volume.state()),
        ": finish that first (create or delete it again)"));
  }
  ASSIGN_OR_RETURN(const auto existing, environment_.store->FindAttachment(volume.id()));
  if (existing) {
    if (existing->state != ATTACHMENT_STATE_ATTACHED) {
      return absl::FailedPreconditionError(absl::StrCat("the attachment of volume \"",
                                                        volume.name(), "\" has failed (",
                                                        existing->message, "): detach it first"));
    }
    const std::string difference = Difference(*existing, request);
    if (difference.empty()) {
      RETURN_IF_ERROR(CheckDisk(volume, *existing));
      Attachment shown = Show(volume, *existing);
      if (shown.state() != ATTACHMENT_STATE_FAILED) return shown;
      return absl::FailedPreconditionError(absl::StrCat("volume \"", volume.name(),
                                                        "\" is attached and every request fails (",
                                                        shown.message(), "): detach it first"));
    }
    return absl::AlreadyExistsError(absl::StrCat(
        "volume \"", volume.name(), "\" is attached and its ", difference, ": detach it first"));
  }
  ASSIGN_OR_RETURN(AttachmentRecord record, CheckAttach(request, environment_.devices->Transports(),
                                                        std::thread::hardware_concurrency()));
  RETURN_IF_ERROR(FinishResize(environment_, volume));
  record.volume_id = volume.id();
  record.state = ATTACHMENT_STATE_ATTACHING;
  record.boot_id = environment_.boot_id;
  record.attach_time = absl::Now();
  RETURN_IF_ERROR(environment_.store->PutAttachment(record));
  SPDLOG_INFO("volume {} ({}): attaching over {}", volume.id(), volume.name(),
              diskd::v1::Transport_Name(record.transport));
  Parts parts;
  const absl::Status status =
      environment_.stoppable_calls->ForCaller(ForCaller(Build(volume, record, parts)));
  if (!status.ok()) {
    SPDLOG_WARN("volume {} ({}): attach failed: {}", volume.id(), volume.name(),
                std::string(status.message()));
    const absl::Status undone = TakeDown(volume, record, std::move(parts), /*force=*/true);
    if (undone.ok()) return status;
    return absl::Status(
        status.code(),
        absl::StrCat(status.message(), "; left behind: ", undone.message(), "; detach it"));
  }
  Supervise(volume, record, std::move(parts));
  SPDLOG_INFO("volume {} ({}): attached at {}", volume.id(), volume.name(), DiskPath(record));
  return Show(volume, record);
}

absl::Status Attachments::Build(const VolumeRecord& volume, AttachmentRecord& record,
                                Parts& parts) {
  ASSIGN_OR_RETURN(parts.process, environment_.launcher->Launch(volume.id(), volume.driver(), 0));
  DeviceSpec spec{.volume_id = volume.id(),
                  .read_only = record.read_only,
                  .queues = record.queues,
                  .queue_depth = record.queue_depth};
  {
    const StoppableCalls::Call call(environment_.stoppable_calls, parts.process.get());
    const auto config = ConfigOf(environment_, volume, record.read_only);
    ASSIGN_OR_RETURN(spec.geometry, OpenVolume(*parts.process, config, OpenAs::kFirst));
  }
  ASSIGN_OR_RETURN(parts.device, environment_.devices->Create(record.transport, spec));
  RETURN_IF_ERROR(ServeDevice(*parts.device, *parts.process, /*successor=*/false,
                              environment_.users.Of(volume.id())));
  RETURN_IF_ERROR(PublishWhileAlive(*parts.device, *parts.process));
  record.device_number = parts.device->number();
  record.survives_driver_death = parts.device->survives_driver_death();
  RETURN_IF_ERROR(environment_.devices->Link(volume.name(), parts.device->path()));
  record.state = ATTACHMENT_STATE_ATTACHED;
  return environment_.store->PutAttachment(record);
}

void Attachments::Supervise(const VolumeRecord& volume, const AttachmentRecord& record,
                            Parts parts) {
  auto live = std::make_shared<Live>();
  live->device = std::move(parts.device);
  Device* const device = live->device.get();
  SupervisedService service;
  service.launch = [this, volume] {
    return environment_.launcher->Launch(volume.id(), volume.driver(), 0);
  };
  const uid_t user = environment_.users.Of(volume.id());
  service.serve = [this, device, volume, read_only = record.read_only,
                   user](DriverProcess& process) -> absl::Status {
    // Size and secrets may have changed since the attach.
    ASSIGN_OR_RETURN(const auto now, environment_.store->FindVolume(volume.id()));
    const auto config = ConfigOf(environment_, now ? *now : volume, read_only);
    RETURN_IF_ERROR(OpenVolume(process, config, OpenAs::kSuccessor).status());
    return ServeDevice(*device, process, /*successor=*/true, user);
  };
  service.restart = record.survives_driver_death;
  service.lost = [device] { return device->Lost(); };
  service.give_up = [this, device, volume, record](const std::string& reason) {
    const std::string why = device->Lost()
                                ? "its FUSE connection was aborted"
                                : reason + "; this kernel can't keep its I/O for a new process";
    device->Abort();
    Fail(volume, record, absl::StrCat(why, ": detach, then attach again"));
  };
  live->supervisor = std::make_unique<Supervisor>(
      absl::StrCat("volume ", volume.id(), " (", volume.name(), ")"), std::move(parts.process),
      std::move(service), environment_.limits);
  absl::MutexLock lock(&mutex_);
  live_[volume.id()] = std::move(live);
}

void Attachments::Fail(const VolumeRecord& volume, AttachmentRecord record,
                       const std::string& reason) {
  SPDLOG_ERROR("volume {} ({}): attachment failed: {}", volume.id(), volume.name(), reason);
  record.state = ATTACHMENT_STATE_FAILED;
  record.message = reason;
  // The device number may go to another disk: nothing must lead to it any more.
  absl::Status status = environment_.devices->Unlink(volume.name());
  if (!status.ok()) SPDLOG_ERROR("volume {}: {}", volume.id(), std::string(status.message()));
  status = environment_.store->PutAttachment(record);
  if (!status.ok()) SPDLOG_ERROR("volume {}: {}", volume.id(), std::string(status.message()));
}

absl::Status Attachments::CheckDisk(const VolumeRecord& volume, const AttachmentRecord& record) {
  const absl::Status status =
      environment_.devices->CheckDisk(record.transport, volume.id(), record.device_number);
  if (status.ok()) return status;
  return absl::Status(status.code(),
                      absl::StrCat("volume \"", volume.name(), "\": ", status.message()));
}

std::shared_ptr<Attachments::Live> Attachments::FindLive(const std::string& volume_id) {
  absl::MutexLock lock(&mutex_);
  const auto found = live_.find(volume_id);
  return found == live_.end() ? nullptr : found->second;
}

absl::Status Attachments::UseServing(const VolumeRecord& volume,
                                     const std::function<absl::Status(DriverProcess&)>& body) {
  ASSIGN_OR_RETURN(const auto record, environment_.store->FindAttachment(volume.id()));
  const auto live = FindLive(volume.id());
  if (!record || live == nullptr || record->state != ATTACHMENT_STATE_ATTACHED) {
    return absl::FailedPreconditionError(
        absl::StrCat("volume \"", volume.name(), "\" has no running driver: it is ",
                     record ? "not in order, see `diskctl ls`" : "not attached"));
  }
  return live->supervisor->Use(body);
}

Attachment Attachments::Show(const VolumeRecord& volume, const AttachmentRecord& record) {
  Attachment shown;
  shown.set_volume_id(volume.id());
  shown.set_volume_name(volume.name());
  shown.set_transport(record.transport);
  shown.set_state(record.state);
  shown.set_read_only(record.read_only);
  shown.set_queues(record.queues);
  shown.set_message(record.message);
  shown.mutable_attach_time()->set_seconds(absl::ToUnixSeconds(record.attach_time));
  shown.mutable_attach_time()->set_nanos(
      static_cast<int32_t>(absl::ToUnixNanos(record.attach_time) % 1'000'000'000));
  if (record.state == ATTACHMENT_STATE_FAILED) return shown;
  const absl::Status disk =
      environment_.devices->CheckDisk(record.transport, volume.id(), record.device_number);
  // The path of a disk that was taken away may lead to another volume's.
  if (record.device_number >= 0 && disk.ok()) {
    shown.set_device_path(DiskPath(record));
    shown.set_stable_path(environment_.devices->LinkPath(volume.name()));
  }
  const auto live = FindLive(volume.id());
  if (live == nullptr) return shown;
  const SupervisorHealth health = live->supervisor->health();
  shown.set_driver_pid(health.pid);
  shown.set_driver_restarts(health.restarts);
  if (!health.trouble.empty()) shown.set_message(health.trouble);
  if (!health.message.empty()) shown.set_message(health.message);
  if (record.state == ATTACHMENT_STATE_ATTACHED && health.pid == 0) {
    shown.set_state(ATTACHMENT_STATE_RECOVERING);
  }
  if (record.state == ATTACHMENT_STATE_ATTACHED && !health.failure.empty()) {
    shown.set_state(ATTACHMENT_STATE_FAILED);
    shown.set_message(health.failure);
  }
  if (record.state == ATTACHMENT_STATE_ATTACHED && !disk.ok()) {
    shown.set_state(ATTACHMENT_STATE_FAILED);
    shown.set_message(std::string(disk.message()));
  }
  return shown;
}

void Attachments::Settle() {
  const absl::Time deadline = absl::Now() + kSettleLimit;
  absl::MutexLock lock(&mutex_);
  for (const auto& [id, live] : live_) {
    SupervisorHealth health = live->supervisor->health();
    while (health.pid == 0 && !health.gave_up && absl::Now() < deadline) {
      absl::SleepFor(kSettlePoll);
      health = live->supervisor->health();
    }
    if (health.pid == 0) {
      SPDLOG_WARN("volume {}: left without a driver process: {}", id, health.message);
    }
  }
}

absl::StatusOr<std::optional<Attachment>> Attachments::Describe(const VolumeRecord& volume) {
  ASSIGN_OR_RETURN(const auto record, environment_.store->FindAttachment(volume.id()));
  if (!record) return std::optional<Attachment>();
  return std::optional<Attachment>(Show(volume, *record));
}

absl::StatusOr<std::vector<Attachment>> Attachments::List() {
  std::vector<Attachment> shown;
  ASSIGN_OR_RETURN(const std::vector<AttachmentRecord> records,
                   environment_.store->ListAttachments());
  for (const AttachmentRecord& record : records) {
    ASSIGN_OR_RETURN(const auto volume, environment_.store->FindVolume(record.volume_id));
    if (volume) shown.push_back(Show(*volume, record));
  }
  return shown;
}

}  // namespace diskd::agent
