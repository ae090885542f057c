// SPDX-License-Identifier: Apache-2.0
#include "agent/supervisor/local_driver.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "agent/paths/volume_paths.h"
#include "agent/process/oom_score.h"
#include "agent/supervisor/driver_log.h"
#include "base/errno_status.h"
#include "base/log.h"
#include "base/packet_socket.h"
#include "base/status_macros.h"

namespace diskd::agent {
namespace {

constexpr absl::Duration kKillLimit = absl::Seconds(5);
// For a packet that is there already.
constexpr absl::Duration kReceiveLimit = absl::Seconds(1);
// Disks must not go because some program took too much memory.
constexpr int kDriverOomScore = -900;

std::string Rounded(absl::Duration time) {
  return absl::FormatDuration(absl::Trunc(time, absl::Seconds(1)));
}

void ProtectFromOomKiller(const std::string& volume_id, pid_t pid) {
  const absl::Status status = SetOomScore(pid, kDriverOomScore);
  if (status.ok() || absl::IsNotFound(status)) return;
  SPDLOG_WARN(
      "volume {}: the OOM killer may take its driver, do not swap on its disk: {} (needs "
      "CAP_SYS_RESOURCE)",
      volume_id, std::string(status.message()));
}

}  // namespace

LocalDriverProcess::LocalDriverProcess(Process process, int slot, Origin origin,
                                       std::string socket_path, std::string log_path,
                                       const ProgressLimits& limits)
    : pid_(process.pid()),
      slot_(slot),
      origin_(origin),
      socket_path_(std::move(socket_path)),
      log_path_(std::move(log_path)),
      limits_(limits),
      interrupt_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      process_(std::move(process)),
      pidfd_(process_.pidfd()) {}

LocalDriverProcess::Event LocalDriverProcess::Wait(int socket, absl::Duration limit) {
  const absl::Time deadline = absl::Now() + limit;
  for (;;) {
    // Here, because whatever a driver process does, somebody waits for it meanwhile.
    TrimDriverLog(log_path_);
    const absl::Duration left =
        std::clamp(deadline - absl::Now(), absl::ZeroDuration(), kDriverLogLook);
    pollfd fds[] = {{interrupt_.get(), POLLIN, 0}, {socket, POLLIN, 0}, {pidfd_, POLLIN, 0}};
    // Rounded up: a fraction of a millisecond must not become a busy loop.
    const int timeout = static_cast<int>(absl::ToInt64Milliseconds(left + absl::Microseconds(999)));
    const int ready = poll(fds, 3, timeout);
    if (ready < 0) continue;
    if (fds[0].revents != 0) return Event::kInterrupted;
    // Before the exit: a driver's last answer counts.
    if (fds[1].revents != 0) return Event::kReadable;
    if (fds[2].revents != 0) return Event::kExited;
    if (absl::Now() >= deadline) return Event::kTimeout;
  }
}

absl::Status LocalDriverProcess::Ended() {
  return absl::UnavailableError(
      absl::StrCat("driver process ", pid_, " ended: ", ExitText(), "; its log is ", log_path_));
}

absl::Status LocalDriverProcess::Exchange(const std::string& payload,
                                          const std::vector<int>& descriptors, absl::Duration limit,
                                          DriverAnswer& answer) {
  if (!socket_.valid()) {
    auto connected = ConnectPacketSocket(socket_path_);
    if (!connected.ok()) {
      return WaitExit(absl::ZeroDuration()) ? Ended() : connected.status();
    }
    RETURN_IF_ERROR(NameSenders(connected->get()));
    socket_ = *std::move(connected);
  }
  const absl::Status sent = SendPacket(socket_.get(), payload, descriptors);
  if (!sent.ok()) return WaitExit(kKillLimit) ? Ended() : sent;
  return AwaitAnswer(limit, answer);
}

absl::Status LocalDriverProcess::AwaitAnswer(absl::Duration limit, DriverAnswer& answer) {
  const absl::Time begin = absl::Now();
  absl::Time deadline = begin + limit;
  absl::Time step = begin;
  uint64_t steps = 0;
  std::string doing;
  for (;;) {
    switch (Wait(socket_.get(), deadline - absl::Now())) {
      case Event::kInterrupted:
        return absl::CancelledError(absl::StrCat("call to driver process ", pid_, " interrupted"));
      case Event::kTimeout:
        if (doing.empty()) {
          return absl::DeadlineExceededError(absl::StrCat(
              "driver process ", pid_, " did not answer within ", absl::FormatDuration(limit)));
        }
        return absl::DeadlineExceededError(
            absl::StrCat("driver process ", pid_, " did not get through within ",
                         Rounded(absl::Now() - begin), ", and came no further for the last ",
                         Rounded(absl::Now() - step), "; it says: ", doing, ". Try again"));
      case Event::kExited:
        return Ended();
      case Event::kReadable:
        break;
    }
    RETURN_IF_ERROR(Receive(answer));
    if (!answer.response.has_progress()) return absl::OkStatus();
    const absl::Time now = absl::Now();
    if (doing.empty() || answer.response.progress().steps() > steps) step = now;
    steps = answer.response.progress().steps();
    doing = answer.response.progress().doing();
    const absl::Duration expected =
        std::min(absl::Seconds(answer.response.progress().expected_s()), limits_.longest);
    deadline = std::min({now + limit, step + std::max(limit, limits_.step),
                         begin + std::max({limit, limits_.all, expected})});
  }
}

absl::Status LocalDriverProcess::Receive(DriverAnswer& answer) {
  auto packet = ReceivePacket(socket_.get(), kReceiveLimit);
  if (absl::IsUnavailable(packet.status()) && WaitExit(kKillLimit)) return Ended();
  if (!packet.ok()) return packet.status();
  RETURN_IF_ERROR(CheckSender(packet->sender));
  if (!answer.response.ParseFromString(packet->payload)) {
    return absl::InternalError(absl::StrCat("driver process ", pid_, " sent rubbish"));
  }
  answer.descriptors = std::move(packet->fds);
  return absl::OkStatus();
}

absl::Status LocalDriverProcess::CheckSender(pid_t sender) {
  // A driver may be a program that starts another one; nobody gets into its session from outside.
  if (origin_ == Origin::kStarted || sender == pid_ || (sender > 0 && getsid(sender) == pid_)) {
    return absl::OkStatus();
  }
  impostor_ = true;
  return absl::PermissionDeniedError(
      absl::StrCat("process ", pid_, " has the marks of a driver process, but process ", sender,
                   " answers at ", socket_path_));
}

absl::StatusOr<DriverAnswer> LocalDriverProcess::Call(const diskd::driver::v1::Request& request,
                                                      const std::vector<int>& descriptors,
                                                      absl::Duration limit) {
  absl::MutexLock lock(&call_mutex_);
  DriverAnswer answer;
  const absl::Status status = Exchange(request.SerializeAsString(), descriptors, limit, answer);
  if (!status.ok()) {
    // An answer that comes too late must not be taken for the next one's.
    socket_.reset();
    return status;
  }
  if (answer.response.code() != 0) {
    return absl::Status(static_cast<absl::StatusCode>(answer.response.code()),
                        answer.response.message());
  }
  return answer;
}

bool LocalDriverProcess::WaitExit(absl::Duration limit) {
  if (Wait(-1, limit) != Event::kExited) return false;
  absl::MutexLock lock(&process_mutex_);
  return process_.WaitExit(absl::ZeroDuration());
}

void LocalDriverProcess::Interrupt() { eventfd_write(interrupt_.get(), 1); }

void LocalDriverProcess::Resume() {
  eventfd_t ignored;
  eventfd_read(interrupt_.get(), &ignored);
}

bool LocalDriverProcess::Kill() {
  absl::MutexLock lock(&process_mutex_);
  return process_.Kill(kKillLimit);
}

std::string LocalDriverProcess::ExitText() {
  absl::MutexLock lock(&process_mutex_);
  process_.WaitExit(absl::ZeroDuration());
  return process_.exit_text();
}

LocalDriverLauncher::LocalDriverLauncher(std::string run_dir, DriverCatalog* catalog,
                                         const DriverUsers& users, Look look)
    : run_dir_(std::move(run_dir)),
      catalog_(catalog),
      users_(users),
      look_(look ? std::move(look) : [this] { return FindMarkedProcesses(run_dir_, users_); }) {}

std::unique_ptr<DriverProcess> LocalDriverLauncher::Attend(Process process,
                                                           const std::string& volume_id, int slot,
                                                           Origin origin) {
  return std::make_unique<LocalDriverProcess>(std::move(process), slot, origin,
                                              ControlSocketPath(run_dir_, volume_id, slot),
                                              DriverLogPath(run_dir_, volume_id));
}

absl::StatusOr<std::unique_ptr<DriverProcess>> LocalDriverLauncher::Launch(
    const std::string& volume_id, const std::string& driver, int slot) {
  ASSIGN_OR_RETURN(const std::string executable, catalog_->FindExecutable(driver));
  std::error_code error;
  std::filesystem::create_directories(DriverMemoryDir(run_dir_, volume_id), error);
  if (error) {
    return ErrnoStatus(error.value(),
                       absl::StrCat("create ", DriverMemoryDir(run_dir_, volume_id)));
  }
  ASSIGN_OR_RETURN(const Fd log, OpenDriverLog(DriverLogPath(run_dir_, volume_id)));
  ASSIGN_OR_RETURN(const Fd listener,
                   ListenPacketSocket(ControlSocketPath(run_dir_, volume_id, slot)));
  ASSIGN_OR_RETURN(
      Process process,
      Process::Spawn({.argv = {executable, "serve", absl::StrCat("--control-fd=", kInheritedFd)},
                      .environment = DriverMarks(run_dir_, volume_id, slot),
                      .stdout_fd = log.get(),
                      .stderr_fd = log.get(),
                      .inherited_fd = listener.get()}));
  ProtectFromOomKiller(volume_id, process.pid());
  {
    absl::MutexLock lock(&mutex_);
    if (keep_ && marked_) (*marked_)[volume_id].push_back({.pid = process.pid(), .slot = slot});
  }
  SPDLOG_INFO("volume {}: started driver {} as process {}", volume_id, driver, process.pid());
  return Attend(std::move(process), volume_id, slot, Origin::kStarted);
}

void LocalDriverLauncher::KeepLook(bool on) {
  absl::MutexLock lock(&mutex_);
  keep_ = on;
  marked_.reset();
}

MarkedProcesses& LocalDriverLauncher::Marked() {
  if (!keep_ || !marked_) marked_ = look_();
  return *marked_;
}

std::vector<std::unique_ptr<DriverProcess>> LocalDriverLauncher::Adopt(
    const std::string& volume_id) {
  std::vector<std::unique_ptr<DriverProcess>> adopted;
  std::vector<MarkedProcess> marked;
  {
    absl::MutexLock lock(&mutex_);
    MarkedProcesses& all = Marked();
    const auto found = all.find(volume_id);
    if (found != all.end()) marked = found->second;
  }
  for (const MarkedProcess& mark : marked) {
    auto process = Process::Watch(mark.pid);
    if (!process.ok()) continue;
    // Since the look the number could have gone to another process.
    if (!IsMarked(mark.pid, run_dir_, volume_id, users_)) continue;
    adopted.push_back(Attend(*std::move(process), volume_id, mark.slot, Origin::kFound));
  }
  return adopted;
}

std::vector<std::string> LocalDriverLauncher::List() {
  std::vector<std::string> ids;
  absl::MutexLock lock(&mutex_);
  for (const auto& [id, processes] : Marked()) ids.push_back(id);
  return ids;
}

void LocalDriverLauncher::RemoveFiles(const std::string& volume_id) {
  std::error_code ignored;
  std::filesystem::remove_all(DriverMemoryDir(run_dir_, volume_id), ignored);
  // This one never recursively: it may hold the mount of a dead driver.
  for (const int slot : {0, 1, kLookSlot})
    unlink(ControlSocketPath(run_dir_, volume_id, slot).c_str());
  RemoveDriverLog(DriverLogPath(run_dir_, volume_id));
  rmdir(FuseMountPoint(run_dir_, volume_id).c_str());
  rmdir(VolumeRunDir(run_dir_, volume_id).c_str());
}

}  // namespace diskd::agent
