// SPDX-License-Identifier: Apache-2.0
#include "agent/process/oom_score.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/fd.h"

namespace diskd::agent {

absl::Status SetOomScore(pid_t pid, int adjustment) {
  const std::string path = absl::StrCat("/proc/", pid, "/oom_score_adj");
  const std::string text = absl::StrCat(adjustment);
  const Fd file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (file.valid() && write(file.get(), text.data(), text.size()) >= 0) return absl::OkStatus();
  return ErrnoStatus(errno, absl::StrCat("write ", text, " to ", path));
}

}  // namespace diskd::agent
