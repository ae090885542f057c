// SPDX-License-Identifier: Apache-2.0
//
// Attachments: a new driver process in the place of a living one.
//
// No record says that an upgrade is under way: the two processes do, and they settle between
// themselves who serves. An agent that finds both keeps that one.
#include <sys/socket.h>

#include <cerrno>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "agent/supervisor/driver_calls.h"
#include "agent/volume/attachments.h"
#include "base/errno_status.h"
#include "base/log.h"
#include "base/status_macros.h"

namespace diskd::agent {
namespace {

using diskd::driver::v1::Geometry;

// Everything it held is with its successor.
constexpr absl::Duration kFormerShutdownLimit = absl::Seconds(5);

// The disk was made for what the present driver can; its users must not notice a difference.
absl::Status CheckSameDisk(const Geometry& present, const Geometry& fresh) {
  std::string lost;
  if (fresh.logical_block_bytes() != present.logical_block_bytes()) lost = "another logical block";
  if (fresh.read_only() && !present.read_only()) lost = "a read-only disk";
  if (fresh.volatile_cache() && !present.volatile_cache()) lost = "a volatile cache";
  if (present.fua() && !fresh.fua()) lost = "no FUA";
  if (present.discard() && !fresh.discard()) lost = "no discard";
  if (present.write_zeroes() && !fresh.write_zeroes()) lost = "no write-zeroes";
  if (lost.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "the new driver has ", lost, ", unlike the present one: detach the volume, then attach it"));
}

absl::Status CheckUsable(const std::vector<diskd::v1::DriverInfo>& drivers,
                         const std::string& name) {
  for (const auto& driver : drivers) {
    if (driver.name() != name) continue;
    if (driver.problem().empty()) return absl::OkStatus();
    return absl::FailedPreconditionError(
        absl::StrCat("the installed driver ", driver.path(), " can't be used: ", driver.problem()));
  }
  return absl::FailedPreconditionError(absl::StrCat("driver \"", name, "\" is not installed"));
}

// Lets the two settle it. OK: the successor serves.
absl::Status Exchange(DriverProcess& present, DriverProcess& successor,
                      const std::vector<Fd>& spare) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return ErrnoStatus(errno, "create a socket pair");
  }
  Fd for_successor(ends[0]), for_present(ends[1]);
  absl::Status taken;
  std::thread taking([&] { taken = TakeOver(successor, std::move(for_successor)); });
  const absl::Status handed = HandOver(present, std::move(for_present), spare);
  // In doubt the successor must be gone before the present one may go on.
  if (!handed.ok()) successor.Kill();
  taking.join();
  if (taken.ok() && handed.ok()) return absl::OkStatus();
  return handed.ok() ? taken : handed;
}

bool Serves(DriverProcess& process) {
  if (process.WaitExit(absl::ZeroDuration())) return false;
  const auto status = GetStatus(process);
  return status.ok() && status->serving() != diskd::driver::v1::TRANSPORT_UNSPECIFIED;
}

}  // namespace

absl::StatusOr<diskd::v1::UpgradeDriverResponse> Attachments::UpgradeDriver(
    const diskd::v1::UpgradeDriverRequest& request) {
  ASSIGN_OR_RETURN(const LockedVolume locked, LockVolume(environment_, request.volume()));
  const VolumeRecord& volume = locked.record;
  ASSIGN_OR_RETURN(const auto record, environment_.store->FindAttachment(volume.id()));
  const auto live = FindLive(volume.id());
  if (!record || live == nullptr || record->state != diskd::v1::ATTACHMENT_STATE_ATTACHED) {
    return absl::FailedPreconditionError(
        absl::StrCat("volume \"", volume.name(), "\" has no running driver: it is ",
                     record ? "not in order, see `diskctl ls`" : "not attached"));
  }
  RETURN_IF_ERROR(CheckUsable(environment_.catalog->List(), volume.driver()));
  ASSIGN_OR_RETURN(const DriverCatalog::Program installed,
                   environment_.catalog->FindProgram(volume.driver()));
  std::unique_ptr<DriverProcess> process = live->supervisor->Stop();
  if (process == nullptr || process->WaitExit(absl::ZeroDuration())) {
    const SupervisorHealth health = live->supervisor->health();
    if (!health.gave_up) live->supervisor->Resume(std::move(process), /*replaced=*/false);
    return absl::UnavailableError(absl::StrCat("volume \"", volume.name(),
                                               "\" has no driver process now (", health.message,
                                               "): the next one runs the installed driver"));
  }
  diskd::v1::UpgradeDriverResponse response;
  const auto present = GetStatus(*process);
  const bool current = present.ok() && present->executable_device() == installed.device &&
                       present->executable_inode() == installed.inode;
  absl::Status status;
  if (!current || request.force()) {
    status = Swap(volume, *record, *live->device, process);
    response.set_replaced(status.ok());
  }
  live->supervisor->Resume(std::move(process), response.replaced());
  if (!status.ok()) {
    SPDLOG_WARN("volume {} ({}): driver not upgraded: {}", volume.id(), volume.name(),
                std::string(status.message()));
    return ForCaller(status);
  }
  *response.mutable_attachment() = Show(volume, *record);
  return response;
}

absl::Status Attachments::ShowNewSize(const VolumeRecord& volume) {
  ASSIGN_OR_RETURN(const auto record, environment_.store->FindAttachment(volume.id()));
  const auto live = FindLive(volume.id());
  if (!record || live == nullptr || record->state != diskd::v1::ATTACHMENT_STATE_ATTACHED) {
    return absl::FailedPreconditionError(
        absl::StrCat("volume \"", volume.name(), "\" is not in order, see `diskctl ls`"));
  }
  std::unique_ptr<DriverProcess> process = live->supervisor->Stop();
  absl::Status status;
  bool replaced = false;
  if (process != nullptr && !process->WaitExit(absl::ZeroDuration())) {
    const auto present = GetStatus(*process);
    const bool old = !present.ok() || present->geometry().size_bytes() != volume.size_bytes();
    if (old) {
      status = Swap(volume, *record, *live->device, process);
      replaced = status.ok();
    }
  } else {
    status = absl::UnavailableError("its driver process has ended; the next one has the new size");
  }
  const SupervisorHealth health = live->supervisor->health();
  if (!health.gave_up) live->supervisor->Resume(std::move(process), replaced);
  // Supervised: the kernel asks the driver.
  if (status.ok()) status = live->device->Resize(volume.size_bytes());
  if (status.ok()) return status;
  return absl::Status(ForCaller(status).code(),
                      absl::StrCat("volume \"", volume.name(),
                                   "\" has its new size, but its disk "
                                   "does not show it yet: repeat the request (",
                                   status.message(), ")"));
}

absl::Status Attachments::Prepare(const VolumeRecord& volume, const AttachmentRecord& record,
                                  Device& device, DriverProcess& present,
                                  DriverProcess& successor) {
  Geometry fresh;
  {
    const StoppableCalls::Call call(environment_.stoppable_calls, &successor);
    const auto config = ConfigOf(environment_, volume, record.read_only);
    ASSIGN_OR_RETURN(fresh, OpenVolume(successor, config, OpenAs::kStandby));
  }
  ASSIGN_OR_RETURN(const auto status, GetStatus(present));
  RETURN_IF_ERROR(CheckSameDisk(status.geometry(), fresh));
  ASSIGN_OR_RETURN(const std::vector<Fd> descriptors, device.Descriptors());
  return Standby(successor, device.transport(), descriptors, environment_.users.Of(volume.id()));
}

absl::Status Attachments::Swap(const VolumeRecord& volume, const AttachmentRecord& record,
                               Device& device, std::unique_ptr<DriverProcess>& process) {
  ASSIGN_OR_RETURN(
      std::unique_ptr<DriverProcess> successor,
      environment_.launcher->Launch(volume.id(), volume.driver(), 1 - process->slot()));
  absl::Status status = Prepare(volume, record, device, *process, *successor);
  std::vector<Fd> spare;
  if (status.ok() && device.transport() == diskd::v1::TRANSPORT_BUSE) {
    auto descriptors = device.Descriptors();
    status = descriptors.status();
    if (status.ok()) spare = *std::move(descriptors);
  }
  if (!status.ok()) {
    successor->Kill();
    // To the caller NOT_FOUND would mean that there is no volume.
    const auto code =
        absl::IsNotFound(status) ? absl::StatusCode::kFailedPrecondition : status.code();
    return absl::Status(code, absl::StrCat("the new driver process does not start (",
                                           status.message(), "); the present one goes on"));
  }
  const absl::Time before = absl::Now();
  status = Exchange(*process, *successor, spare);
  spare.clear();
  if (status.ok()) {
    SPDLOG_INFO("volume {} ({}): driver process {} has handed over to {} within {}", volume.id(),
                volume.name(), process->pid(), successor->pid(),
                absl::FormatDuration(absl::Now() - before));
    const absl::Status ended = ShutDown(*process, kFormerShutdownLimit);
    if (!ended.ok()) SPDLOG_WARN("volume {}: {}", volume.id(), std::string(ended.message()));
    process = std::move(successor);
    return absl::OkStatus();
  }
  successor->Kill();
  if (Serves(*process)) {
    return absl::Status(status.code(), absl::StrCat("the new driver process failed (",
                                                    status.message(), "); the former one goes on"));
  }
  // Neither is certain to be in order: a fresh process takes up what the kernel keeps.
  process->Kill();
  process.reset();
  return absl::UnavailableError(absl::StrCat("the hand-over failed (", status.message(),
                                             "): both driver processes were ended, and a new one "
                                             "goes on"));
}

}  // namespace diskd::agent
