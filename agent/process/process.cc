// SPDX-License-Identifier: Apache-2.0
#include "agent/process/process.h"

extern "C" {  // glibc 2.36 declares these without
#include <sys/pidfd.h>
}
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/errno_status.h"

namespace diskd::agent {
namespace {

constexpr char kNullDevice[] = "/dev/null";
constexpr absl::Duration kLongestPoll = absl::Hours(1);

// What posix_spawn needs, freed at the end of the scope.
struct SpawnSetup {
  SpawnSetup() {
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
  }
  ~SpawnSetup() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
};

void SetOutput(SpawnSetup& setup, int source, int target) {
  if (source >= 0) {
    posix_spawn_file_actions_adddup2(&setup.actions, source, target);
  } else {
    posix_spawn_file_actions_addopen(&setup.actions, target, kNullDevice, O_WRONLY, 0);
  }
}

void Configure(SpawnSetup& setup, const SpawnOptions& options) {
  posix_spawn_file_actions_addchdir_np(&setup.actions, "/");
  posix_spawn_file_actions_addopen(&setup.actions, STDIN_FILENO, kNullDevice, O_RDONLY, 0);
  SetOutput(setup, options.stdout_fd, STDOUT_FILENO);
  SetOutput(setup, options.stderr_fd, STDERR_FILENO);
  int first_closed = kInheritedFd;
  if (options.inherited_fd >= 0) {
    posix_spawn_file_actions_adddup2(&setup.actions, options.inherited_fd, kInheritedFd);
    ++first_closed;
  }
  posix_spawn_file_actions_addclosefrom_np(&setup.actions, first_closed);

  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&setup.attributes, &none);
  posix_spawnattr_setsigdefault(&setup.attributes, &all);
  posix_spawnattr_setflags(&setup.attributes,
                           POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

// Ours first: an inherited entry of the same name must not stand beside it.
std::vector<std::string> Environment(const std::vector<std::string>& added) {
  std::vector<std::string> environment = added;
  for (char** e = environ; *e != nullptr; ++e) {
    const std::string entry = *e;
    const std::string name = entry.substr(0, entry.find('=') + 1);
    const bool replaced = std::any_of(added.begin(), added.end(), [&](const std::string& a) {
      return a.compare(0, name.size(), name) == 0;
    });
    if (!replaced) environment.push_back(entry);
  }
  return environment;
}

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (const std::string& s : strings) pointers.push_back(const_cast<char*>(s.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

std::string ExitText(const siginfo_t& info) {
  if (info.si_code == CLD_EXITED) return absl::StrCat("exit status ", info.si_status);
  const char* name = sigabbrev_np(info.si_status);
  return absl::StrCat("killed by signal ", info.si_status, " (", name ? name : "?", ")");
}

}  // namespace

absl::StatusOr<Process> Process::Spawn(const SpawnOptions& options) {
  SpawnSetup setup;
  Configure(setup, options);
  const std::vector<std::string> environment = Environment(options.environment);
  pid_t pid = -1;
  const int error = posix_spawn(&pid, options.argv[0].c_str(), &setup.actions, &setup.attributes,
                                Pointers(options.argv).data(), Pointers(environment).data());
  if (error != 0) return ErrnoStatus(error, absl::StrCat("start ", options.argv[0]));
  Fd pidfd(pidfd_open(pid, 0));
  if (!pidfd.valid()) {
    const int pidfd_error = errno;
    kill(-pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    return ErrnoStatus(pidfd_error, absl::StrCat("watch process ", pid));
  }
  return Process(pid, std::move(pidfd));
}

absl::StatusOr<Process> Process::Watch(pid_t pid) {
  Fd pidfd(pidfd_open(pid, 0));
  if (!pidfd.valid()) {
    if (errno == ESRCH) return absl::NotFoundError(absl::StrCat("no process ", pid));
    return ErrnoStatus(errno, absl::StrCat("watch process ", pid));
  }
  return Process(pid, std::move(pidfd));
}

bool Process::WaitExit(absl::Duration limit) {
  const absl::Time deadline = absl::Now() + limit;
  for (;;) {
    const absl::Duration left =
        std::clamp(deadline - absl::Now(), absl::ZeroDuration(), kLongestPoll);
    pollfd poll_fd{.fd = pidfd_.get(), .events = POLLIN, .revents = 0};
    const int ready = poll(&poll_fd, 1, static_cast<int>(absl::ToInt64Milliseconds(left)));
    if (ready > 0) break;
    if (ready == 0 && absl::Now() >= deadline) return false;
  }
  siginfo_t info{};
  // Fails for a process that is no child of ours: somebody else reaps it.
  if (waitid(P_PIDFD, pidfd_.get(), &info, WEXITED | WNOHANG) == 0 && info.si_pid == pid_) {
    exit_text_ = ExitText(info);
  }
  return true;
}

bool Process::Kill(absl::Duration limit) {
  if (WaitExit(absl::ZeroDuration())) return true;
  pidfd_send_signal(pidfd_.get(), SIGKILL, nullptr, 0);
  // The leader is not reaped yet, so its group can't be another's.
  if (getpgid(pid_) == pid_) kill(-pid_, SIGKILL);
  return WaitExit(limit);
}

}  // namespace diskd::agent
