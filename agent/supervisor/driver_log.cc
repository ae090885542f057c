// SPDX-License-Identifier: Apache-2.0
#include "agent/supervisor/driver_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/base/attributes.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/errno_status.h"
#include "base/log.h"

namespace diskd::agent {
namespace {

std::string OlderLog(const std::string& path) { return absl::StrCat(path, ".1"); }

std::string ReadTail(int fd, int64_t size) {
  std::string tail(std::min(size, kMaxDriverLogBytes), '\0');
  const ssize_t got = pread(fd, tail.data(), tail.size(), size - tail.size());
  tail.resize(std::max<ssize_t>(got, 0));
  return tail;
}

bool IsTooLarge(const struct stat& st) { return st.st_size > kMaxDriverLogBytes; }

}  // namespace

absl::StatusOr<Fd> OpenDriverLog(const std::string& path) {
  // Not renamed: a process that writes to it already would go on out of sight.
  TrimDriverLog(path);
  Fd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!fd.valid()) return ErrnoStatus(errno, absl::StrCat("open ", path));
  return fd;
}

void TrimDriverLog(const std::string& path) {
  struct stat st;
  if (stat(path.c_str(), &st) != 0 || !IsTooLarge(st)) return;
  // Several threads may wait for the processes of one volume.
  static absl::Mutex mutex(absl::kConstInit);
  absl::MutexLock lock(&mutex);
  const Fd log(open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!log.valid() || fstat(log.get(), &st) != 0 || !IsTooLarge(st)) return;
  const std::string tail = ReadTail(log.get(), st.st_size);
  // Before the tail is written: there may be no space left.
  if (ftruncate(log.get(), 0) != 0) {
    SPDLOG_WARN("{}", std::string(ErrnoStatus(errno, absl::StrCat("empty ", path)).message()));
    return;
  }
  const Fd older(open(OlderLog(path).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!older.valid() || write(older.get(), tail.data(), tail.size()) < 0) {
    SPDLOG_WARN("{}", std::string(ErrnoStatus(errno, absl::StrCat("keep the end of ", path, " in ",
                                                                  OlderLog(path)))
                                      .message()));
  }
}

void RemoveDriverLog(const std::string& path) {
  unlink(path.c_str());
  unlink(OlderLog(path).c_str());
}

}  // namespace diskd::agent
