// SPDX-License-Identifier: Apache-2.0
#include "agent/agent.h"

#include <signal.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "agent/device/host_device_factory.h"
#include "agent/process/oom_score.h"
#include "agent/server/server.h"
#include "agent/server/services.h"
#include "agent/store/directory_lock.h"
#include "agent/store/sqlite_store.h"
#include "agent/supervisor/host_driver_catalog.h"
#include "agent/supervisor/local_driver.h"
#include "base/boot_id.h"
#include "base/errno_status.h"
#include "base/log.h"
#include "base/status_macros.h"

namespace diskd::agent {
namespace {

absl::Status MakeDirectory(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return ErrnoStatus(error.value(), absl::StrCat("create ", path));
  return absl::OkStatus();
}

// The agent goes before its drivers do: it starts again and stops no I/O meanwhile.
constexpr int kAgentOomScore = -800;

void ProtectFromOomKiller() {
  const absl::Status status = SetOomScore(getpid(), kAgentOomScore);
  if (status.ok()) return;
  SPDLOG_WARN("the OOM killer may take the agent: {} (needs CAP_SYS_RESOURCE)",
              std::string(status.message()));
}

absl::StatusOr<DriverUsers> ReadDriverUsers(const std::string& text) {
  std::ifstream in("/proc/self/uid_map");
  std::stringstream map;
  map << in.rdbuf();
  auto users = DriverUsers::Parse(text, map.str());
  // In a user namespace, root is no more than a user; who asks for numbers gets them or an error.
  if (text == kDefaultDriverUsers && absl::IsFailedPrecondition(users.status())) {
    SPDLOG_WARN("driver processes stay root: {}", std::string(users.status().message()));
    return DriverUsers();
  }
  return users;
}

std::string KernelRelease() {
  utsname name{};
  uname(&name);
  return name.release;
}

// In all threads to come, so that only sigwait() sees them.
sigset_t BlockSignals() {
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return ends;
}

}  // namespace

absl::Status RunAgent(const Options& options) {
  const sigset_t ends = BlockSignals();
  ProtectFromOomKiller();
  RETURN_IF_ERROR(MakeDirectory(options.state_dir));
  ASSIGN_OR_RETURN(const Fd state_lock, LockDirectory(options.state_dir));
  ASSIGN_OR_RETURN(const auto store,
                   SqliteStore::Open(absl::StrCat(options.state_dir, "/diskd.db")));
  RETURN_IF_ERROR(MakeDirectory(options.run_dir));
  // Driver processes are known by their run directory; two agents would end each other's.
  ASSIGN_OR_RETURN(const Fd run_lock, LockDirectory(options.run_dir));
  RETURN_IF_ERROR(MakeDirectory(std::filesystem::path(options.socket).parent_path().string()));

  HostDriverCatalog catalog(options.driver_dirs);
  ASSIGN_OR_RETURN(const DriverUsers users, ReadDriverUsers(options.driver_users));
  LocalDriverLauncher launcher(options.run_dir, &catalog, users);
  HostDeviceFactory devices(options.run_dir, options.link_dir);
  VolumeLocks locks;
  LongCalls long_calls;
  StoppableCalls stoppable_calls;
  Secrets secrets(absl::StrCat(options.run_dir, "/secrets"));
  Environment environment{.store = store.get(),
                          .devices = &devices,
                          .launcher = &launcher,
                          .catalog = &catalog,
                          .locks = &locks,
                          .long_calls = &long_calls,
                          .stoppable_calls = &stoppable_calls,
                          .secrets = &secrets,
                          .state_dir = options.state_dir,
                          .run_dir = options.run_dir,
                          .users = users};
  ASSIGN_OR_RETURN(environment.boot_id, ReadBootId());
  Attachments attachments(environment);
  Features features(environment, &attachments);
  Volumes volumes(environment, &attachments, &features);
  volumes.DropStraySecrets();
  RETURN_IF_ERROR(attachments.Restore());

  VolumeService volume_service(&volumes, &features);
  SnapshotService snapshot_service(&features);
  AttachmentService attachment_service(&attachments);
  NodeService node_service({.node_name = options.node_name,
                            .agent_version = kVersion,
                            .kernel_release = KernelRelease(),
                            .state_dir = options.state_dir},
                           store.get(), &devices, &catalog);
  ASSIGN_OR_RETURN(const auto server,
                   StartServer(options.socket, {&volume_service, &snapshot_service,
                                                &attachment_service, &node_service}));
  // Provisioning may take long; callers for these volumes are told to try again.
  std::thread finishing([&] {
    volumes.FinishInterrupted();
    catalog.List();  // so that the first create does not wait for the descriptions
  });
  auto join = absl::MakeCleanup([&] { finishing.join(); });
  SPDLOG_INFO("diskd {} serves {} (state {}, process {})", kVersion, options.socket,
              options.state_dir, getpid());

  int signal_number = 0;
  sigwait(&ends, &signal_number);
  SPDLOG_INFO("signal {}: ending; driver processes and devices stay", signal_number);
  volumes.StopCopies();
  stoppable_calls.Stop();
  server->Shutdown(std::chrono::system_clock::now() +
                   absl::ToChronoMilliseconds(kServerShutdownLimit));
  unlink(options.socket.c_str());
  attachments.Settle();
  return absl::OkStatus();
}

}  // namespace diskd::agent
