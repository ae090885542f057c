// SPDX-License-Identifier: Apache-2.0
#include "agent/process/command.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "agent/process/process.h"
#include "base/errno_status.h"
#include "base/status_macros.h"

namespace diskd::agent {
namespace {

constexpr absl::Duration kKillLimit = absl::Seconds(5);

absl::Status ReadAll(int fd, absl::Time deadline, std::string& output) {
  char buffer[4096];
  for (;;) {
    const absl::Duration left = std::max(deadline - absl::Now(), absl::ZeroDuration());
    pollfd poll_fd{.fd = fd, .events = POLLIN, .revents = 0};
    const int ready = poll(&poll_fd, 1, static_cast<int>(absl::ToInt64Milliseconds(left)) + 1);
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return absl::DeadlineExceededError("did not finish in time");
    const ssize_t got = read(fd, buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, "read its output");
    if (got == 0) return absl::OkStatus();
    output.append(buffer, got);
    if (output.size() > kMaxCommandOutputBytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat("wrote more than ", kMaxCommandOutputBytes, " bytes"));
    }
  }
}

}  // namespace

absl::StatusOr<std::string> RunCommand(const std::vector<std::string>& argv, absl::Duration limit) {
  const absl::Time deadline = absl::Now() + limit;
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoStatus(errno, "create a pipe");
  Fd reader(ends[0]), writer(ends[1]);
  ASSIGN_OR_RETURN(Process process, Process::Spawn({.argv = argv, .stdout_fd = writer.get()}));
  writer.reset();
  const std::string name = absl::StrJoin(argv, " ");
  std::string output;
  absl::Status status = ReadAll(reader.get(), deadline, output);
  if (status.ok() && !process.WaitExit(deadline - absl::Now())) {
    status = absl::DeadlineExceededError("did not finish in time");
  }
  if (!status.ok()) {
    process.Kill(kKillLimit);
    return absl::Status(status.code(), absl::StrCat("\"", name, "\" ", status.message(), " (",
                                                    absl::FormatDuration(limit), ")"));
  }
  if (!process.exited_zero()) {
    return absl::UnavailableError(absl::StrCat("\"", name, "\" ended with ", process.exit_text()));
  }
  return output;
}

}  // namespace diskd::agent
