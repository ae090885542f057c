// SPDX-License-Identifier: Apache-2.0
#include "client/csi/command.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/errno_status.h"
#include "base/fd.h"

extern char** environ;

namespace diskd::csi {
namespace {

constexpr size_t kOutputTailBytes = 512;
// A killed process may stay in the kernel, waiting for its device; we don't wait with it.
constexpr absl::Duration kKillGrace = absl::Seconds(5);

int64_t MillisecondsUntil(absl::Time deadline) {
  return std::clamp<int64_t>(absl::ToInt64Milliseconds(deadline - absl::Now()), 0, 1 << 30);
}

// Reads until end of file; false: the deadline came first.
bool DrainUntil(int fd, absl::Time deadline, std::string& tail) {
  for (;;) {
    pollfd entry{fd, POLLIN, 0};
    const int ready = poll(&entry, 1, MillisecondsUntil(deadline));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return false;
    char buffer[1024];
    const ssize_t count = read(fd, buffer, sizeof(buffer));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return true;
    tail.append(buffer, count);
    if (tail.size() > kOutputTailBytes) tail.erase(0, tail.size() - kOutputTailBytes);
  }
}

// False: it did not end in time.
bool WaitUntil(pid_t pid, absl::Time deadline, int& wait_status) {
  const Fd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  pollfd entry{pidfd.get(), POLLIN, 0};
  int ready;
  do {
    ready = poll(&entry, 1, MillisecondsUntil(deadline));
  } while (ready < 0 && errno == EINTR);
  return waitpid(pid, &wait_status, WNOHANG) == pid;
}

absl::StatusOr<pid_t> Spawn(const std::vector<std::string>& argv, int output) {
  std::vector<char*> arguments;
  for (const std::string& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, output, 1);
  posix_spawn_file_actions_adddup2(&actions, output, 2);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  pid_t pid;
  const int error =
      posix_spawnp(&pid, arguments[0], &actions, &attributes, arguments.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return ErrnoStatus(error, absl::StrCat("start ", argv[0]));
  return pid;
}

}  // namespace

absl::Status RunCommand(const std::vector<std::string>& argv, absl::Duration timeout) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe");
  Fd reader(ends[0]), writer(ends[1]);
  absl::StatusOr<pid_t> pid = Spawn(argv, writer.get());
  writer.reset();
  if (!pid.ok()) return pid.status();

  const absl::Time deadline = absl::Now() + timeout;
  std::string tail;
  int wait_status = 0;
  const bool ended =
      DrainUntil(reader.get(), deadline, tail) && WaitUntil(*pid, deadline, wait_status);
  if (!ended) {
    kill(*pid, SIGKILL);
    const bool gone = WaitUntil(*pid, absl::Now() + kKillGrace, wait_status);
    return absl::DeadlineExceededError(
        absl::StrCat(argv[0], " took more than ", absl::FormatDuration(timeout),
                     gone ? " and was killed" : " and can't be killed"));
  }
  if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0) return absl::OkStatus();
  return absl::InternalError(
      absl::StrCat(argv[0], WIFEXITED(wait_status) ? " exited with " : " was ended by signal ",
                   WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : WTERMSIG(wait_status), ": ",
                   std::string(absl::StripAsciiWhitespace(tail))));
}

}  // namespace diskd::csi
