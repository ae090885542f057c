// SPDX-License-Identifier: Apache-2.0
#include "agent/volume/secrets.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/errno_status.h"
#include "base/fd.h"
#include "base/log.h"
#include "proto/driver/v1/driver.pb.h"

namespace diskd::agent {
namespace {

constexpr char kFreshSuffix[] = ".new";

void WarnOfDisk(const std::string& directory) {
  struct statfs at {};
  if (statfs(directory.c_str(), &at) != 0 || at.f_type == TMPFS_MAGIC) return;
  SPDLOG_WARN("secrets of volumes are kept in {}, which is not memory: put --run-dir on a tmpfs",
              directory);
}

}  // namespace

absl::Status CheckSecrets(const SecretMap& secrets, const diskd::v1::DriverInfo& driver) {
  size_t bytes = 0;
  for (const auto& [name, value] : secrets) {
    bytes += name.size() + value.size();
    const auto& known = driver.secrets();
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("driver \"", driver.name(), "\" takes no secret \"", name, "\": it takes ",
                     known.empty() ? "none" : absl::StrJoin(known, ", ")));
  }
  if (bytes <= kMaxSecretBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("secrets of ", bytes, " bytes: use at most ", kMaxSecretBytes));
}

absl::Status Secrets::Put(const std::string& volume_id, const SecretMap& secrets) {
  if (secrets.empty()) {
    Remove(volume_id);
    return absl::OkStatus();
  }
  const absl::MutexLock lock(&mutex_);
  if (mkdir(directory_.c_str(), 0700) == 0) {
    WarnOfDisk(directory_);
  } else if (errno != EEXIST) {
    return ErrnoStatus(errno, absl::StrCat("create ", directory_));
  }
  diskd::driver::v1::VolumeConfig kept;
  *kept.mutable_secrets() = secrets;
  const std::string text = kept.SerializeAsString();
  const std::string path = PathOf(volume_id);
  const std::string fresh = absl::StrCat(path, kFreshSuffix);
  const Fd fd(open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.valid() ||
      write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
      rename(fresh.c_str(), path.c_str()) != 0) {
    return ErrnoStatus(errno, absl::StrCat("keep the secrets of volume ", volume_id, " in ", path));
  }
  return absl::OkStatus();
}

SecretMap Secrets::Get(const std::string& volume_id) {
  const absl::MutexLock lock(&mutex_);
  std::ifstream in(PathOf(volume_id), std::ios::binary);
  diskd::driver::v1::VolumeConfig kept;
  if (in && !kept.ParseFromIstream(&in)) {
    SPDLOG_ERROR("the secrets of volume {} are damaged: give them again", volume_id);
    return {};
  }
  return kept.secrets();
}

std::vector<std::string> Secrets::List() {
  const absl::MutexLock lock(&mutex_);
  std::vector<std::string> ids;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory_, error)) {
    const std::string name = entry.path().filename().string();
    if (absl::EndsWith(name, kFreshSuffix)) {
      unlink(entry.path().c_str());
    } else {
      ids.push_back(name);
    }
  }
  return ids;
}

void Secrets::Remove(const std::string& volume_id) {
  const absl::MutexLock lock(&mutex_);
  if (unlink(PathOf(volume_id).c_str()) != 0 && errno != ENOENT) {
    SPDLOG_ERROR("the secrets of volume {} can't be removed: errno {}", volume_id, errno);
  }
}

}  // namespace diskd::agent
