// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/served_log.h"

#include <fcntl.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/boot_id.h"
#include "base/errno_status.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "drivers/object/engine/write_log.h"
#include "drivers/object/runtime/log_file.h"

namespace diskd::object {
namespace {

constexpr char kForce[] = "detach the volume with --force, which goes back to what is";

absl::StatusOr<LogFile> OpenFile(const std::string& volume_id, const ObjectVolume& volume,
                                 bool successor) {
  absl::StatusOr<LogFile> file = OpenLogFile(volume.log_path);
  if (!absl::IsNotFound(file.status())) return file;
  if (successor) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the write log ", volume.log_path,
        " is gone while the volume is in use: bring it back, or ", kForce, " in the store"));
  }
  SPDLOG_WARN("the write log {} is lost: volume {} goes back to what is in the store",
              volume.log_path, volume_id);
  RETURN_IF_ERROR(MakeLogFile(volume.log_path, volume.log_bytes));
  return OpenLogFile(volume.log_path);
}

void WarnOfMissing(const LogMemory& memory) {
  if (memory.missing().ok()) return;
  SPDLOG_WARN("writes wait for the disk of the write log: {}",
              std::string(memory.missing().message()));
}

// A volume works without it, only slower; but not without what is in it.
absl::StatusOr<std::unique_ptr<LogMemory>> OpenMemory(const ObjectVolume& volume, bool successor,
                                                      uint64_t log_bytes) {
  LogMemory::Place place{volume.memory_path, volume.memory_mark_path, ""};
  ASSIGN_OR_RETURN(place.boot_id, ReadBootId());
  const auto lost = successor ? LogMemory::Lost::kRefuse : LogMemory::Lost::kForget;
  auto memory =
      LogMemory::Open(std::move(place), WriteLog::MemoryBytes(volume.options, log_bytes), lost);
  if (absl::IsDataLoss(memory.status())) {
    return absl::FailedPreconditionError(absl::StrCat(
        memory.status().message(), ". Bring it back, or ", kForce, " on the log's disk"));
  }
  if (memory.ok()) WarnOfMissing(**memory);
  return memory;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ServedLog>> ServedLog::Open(const std::string& volume_id,
                                                           const ObjectVolume& volume,
                                                           bool successor, EngineThread* thread) {
  ASSIGN_OR_RETURN(LogFile file, OpenFile(volume_id, volume, successor));
  Fd lock(fcntl(file.fd.get(), F_DUPFD_CLOEXEC, 0));
  if (!lock.valid()) return ErrnoStatus(errno, "duplicate a descriptor");
  ASSIGN_OR_RETURN(auto memory, OpenMemory(volume, successor, file.size_bytes));
  return std::unique_ptr<ServedLog>(new ServedLog(thread, volume.log_path, std::move(lock),
                                                  std::move(file.fd), file.size_bytes,
                                                  std::move(memory)));
}

ServedLog::ServedLog(EngineThread* thread, std::string path, Fd lock, Fd file, uint64_t size_bytes,
                     std::unique_ptr<LogMemory> memory)
    : path_(std::move(path)),
      lock_(std::move(lock)),
      file_(thread, std::move(file), size_bytes, "the write log"),
      memory_(std::move(memory)) {}

absl::Status ServedLog::LetGo() { return UnlockLogFile(lock_.get()); }

absl::Status ServedLog::TakeBack(absl::Duration limit) {
  RETURN_IF_ERROR(LockLogFile(lock_.get(), path_, limit));
  RETURN_IF_ERROR(memory_->OpenAgain());
  WarnOfMissing(*memory_);
  return absl::OkStatus();
}

void ServedLog::DropMemory() {
  const absl::Status dropped = memory_->Drop();
  if (!dropped.ok()) SPDLOG_WARN("{}", std::string(dropped.message()));
}

}  // namespace diskd::object
