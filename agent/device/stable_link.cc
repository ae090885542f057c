// SPDX-License-Identifier: Apache-2.0
#include "agent/device/stable_link.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/log.h"

namespace diskd::agent {

absl::Status MakeStableLink(const std::string& link, const std::string& target) {
  const std::filesystem::path parent = std::filesystem::path(link).parent_path();
  std::error_code error;
  std::filesystem::create_directories(parent, error);
  if (error) return ErrnoStatus(error.value(), absl::StrCat("create ", parent.string()));
  // A name that no volume can have.
  const std::string fresh = absl::StrCat(parent.string(), "/.", getpid(), ".",
                                         std::filesystem::path(link).filename().string());
  unlink(fresh.c_str());
  if (symlink(target.c_str(), fresh.c_str()) != 0) {
    return ErrnoStatus(errno, absl::StrCat("create link ", fresh));
  }
  if (rename(fresh.c_str(), link.c_str()) != 0) {
    const int rename_error = errno;
    unlink(fresh.c_str());
    return ErrnoStatus(rename_error, absl::StrCat("create link ", link));
  }
  return absl::OkStatus();
}

void RemoveOtherLinks(const std::string& link, const std::string& target) {
  namespace fs = std::filesystem;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(fs::path(link).parent_path(), error)) {
    if (entry.path() == fs::path(link)) continue;
    const fs::path leads_to = fs::read_symlink(entry.path(), error);
    if (error || leads_to != fs::path(target)) continue;
    SPDLOG_WARN("{} led to {}, which is another volume's now: removed", entry.path().string(),
                target);
    fs::remove(entry.path(), error);
  }
}

absl::Status RemoveStableLink(const std::string& link) {
  if (unlink(link.c_str()) == 0 || errno == ENOENT) return absl::OkStatus();
  return ErrnoStatus(errno, absl::StrCat("remove link ", link));
}

}  // namespace diskd::agent
