// SPDX-License-Identifier: Apache-2.0
#include "client/csi/fake_host.h"

#include <sys/mount.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace diskd::csi {
namespace {

constexpr char kDeviceFsType[] = "devtmpfs";
constexpr DeviceNumber kDeviceFs{0, 5};  // of the file system that has the device nodes
constexpr DeviceNumber kRootFs{8, 1};    // of the file system that has everything else
constexpr char kDeviceFsPath[] = "/dev";
constexpr uint64_t kBlockBytes = 4096;
constexpr uint64_t kBytesPerInode = 16384;

}  // namespace

void FakeHost::AddDevice(const std::string& path, DeviceNumber number, uint64_t size_bytes) {
  absl::MutexLock lock(&mutex_);
  devices_[path] = Device{number, size_bytes, std::nullopt};
}

void FakeHost::RemoveDevice(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  devices_.erase(path);
}

void FakeHost::SetSignature(const std::string& device, std::optional<std::string> signature) {
  absl::MutexLock lock(&mutex_);
  devices_[device].signature = std::move(signature);
}

void FakeHost::AddDirectory(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  paths_[path] = PathKind::kDirectory;
}

void FakeHost::FailNext(absl::string_view method, absl::Status status) {
  absl::MutexLock lock(&mutex_);
  failures_[std::string(method)].push_back(std::move(status));
}

void FakeHost::DuringNext(absl::string_view method, std::function<void()> action) {
  absl::MutexLock lock(&mutex_);
  actions_[std::string(method)] = std::move(action);
}

void FakeHost::SetUnmountHangs(bool hangs) {
  absl::MutexLock lock(&mutex_);
  unmount_hangs_ = hangs;
}

int FakeHost::Calls(absl::string_view method) const {
  absl::MutexLock lock(&mutex_);
  const auto it = calls_.find(std::string(method));
  return it == calls_.end() ? 0 : it->second;
}

std::optional<std::string> FakeHost::Signature(const std::string& device) const {
  absl::MutexLock lock(&mutex_);
  const auto it = devices_.find(device);
  return it == devices_.end() ? std::nullopt : it->second.signature;
}

std::optional<MountEntry> FakeHost::MountAt(const std::string& path) const {
  absl::MutexLock lock(&mutex_);
  const MountEntry* mount = FindMount(path);
  return mount == nullptr ? std::nullopt : std::optional<MountEntry>(*mount);
}

size_t FakeHost::mount_count() const {
  absl::MutexLock lock(&mutex_);
  return mounts_.size();
}

int FakeHost::lazy_unmounts() const {
  absl::MutexLock lock(&mutex_);
  return lazy_unmounts_;
}

MountOptions FakeHost::last_options() const {
  absl::MutexLock lock(&mutex_);
  return last_options_;
}

absl::Status FakeHost::BeginCall(absl::string_view method) {
  std::function<void()> action;
  absl::Status status;
  {
    absl::MutexLock lock(&mutex_);
    const std::string key(method);
    ++calls_[key];
    if (const auto it = actions_.find(key); it != actions_.end()) {
      action = std::move(it->second);
      actions_.erase(it);
    }
    std::deque<absl::Status>& queue = failures_[key];
    if (!queue.empty()) {
      status = std::move(queue.front());
      queue.pop_front();
    }
  }
  if (action) action();
  return status;
}

const MountEntry* FakeHost::FindMount(const std::string& path) const {
  const auto it = std::find_if(mounts_.rbegin(), mounts_.rend(),
                               [&](const MountEntry& mount) { return mount.mount_point == path; });
  return it == mounts_.rend() ? nullptr : &*it;
}

absl::StatusOr<FakeHost::Device*> FakeHost::FindDevice(const std::string& path) {
  const MountEntry* mount = FindMount(path);
  const std::string node = mount != nullptr && mount->fs_type == kDeviceFsType
                               ? absl::StrCat(kDeviceFsPath, mount->root)
                               : path;
  if (const auto it = devices_.find(node); it != devices_.end()) return &it->second;
  if (paths_.count(node) == 0) return absl::NotFoundError(absl::StrCat("stat ", path));
  return absl::FailedPreconditionError(absl::StrCat(path, " is not a block device"));
}

PathKind FakeHost::Kind(const std::string& path) const {
  if (devices_.count(path) != 0) return PathKind::kOther;
  if (const MountEntry* mount = FindMount(path); mount != nullptr) {
    return mount->fs_type == kDeviceFsType ? PathKind::kOther : PathKind::kDirectory;
  }
  const auto it = paths_.find(path);
  return it == paths_.end() ? PathKind::kMissing : it->second;
}

absl::StatusOr<std::vector<MountEntry>> FakeHost::Mounts() {
  RETURN_IF_ERROR(BeginCall("Mounts"));
  absl::MutexLock lock(&mutex_);
  return mounts_;
}

absl::Status FakeHost::Mount(const std::string& device, const std::string& target,
                             const std::string& fs_type, const MountOptions& options) {
  RETURN_IF_ERROR(BeginCall("Mount"));
  absl::MutexLock lock(&mutex_);
  ASSIGN_OR_RETURN(const Device* source, FindDevice(device));
  if (source->signature != fs_type || Kind(target) != PathKind::kDirectory) {
    return absl::InvalidArgumentError(
        absl::StrCat("mount ", device, " (", fs_type, ") on ", target));
  }
  last_options_ = options;
  mounts_.push_back(
      MountEntry{target, source->number, "/", fs_type, (options.flags & MS_RDONLY) != 0});
  return absl::OkStatus();
}

absl::Status FakeHost::BindMount(const std::string& source, const std::string& target,
                                 bool read_only) {
  RETURN_IF_ERROR(BeginCall("BindMount"));
  absl::MutexLock lock(&mutex_);
  const PathKind from = Kind(source), to = Kind(target);
  if (from == PathKind::kMissing || to == PathKind::kMissing) {
    return absl::NotFoundError(absl::StrCat("bind mount ", source, " on ", target));
  }
  if ((from == PathKind::kDirectory) != (to == PathKind::kDirectory)) {
    return absl::NotFoundError(absl::StrCat("bind mount ", source, " on ", target, ": ENOTDIR"));
  }
  MountEntry entry;
  if (const MountEntry* mount = FindMount(source); mount != nullptr) {
    entry = *mount;
  } else if (devices_.count(source) != 0) {
    entry = MountEntry{"", kDeviceFs, source.substr(sizeof(kDeviceFsPath) - 1), kDeviceFsType};
  } else {
    entry = MountEntry{"", kRootFs, source, "ext4"};
  }
  entry.mount_point = target;
  entry.read_only = entry.read_only || read_only;
  mounts_.push_back(std::move(entry));
  return absl::OkStatus();
}

absl::Status FakeHost::Unmount(const std::string& target) {
  RETURN_IF_ERROR(BeginCall("Unmount"));
  absl::MutexLock lock(&mutex_);
  const MountEntry* mount = FindMount(target);
  if (mount == nullptr) return absl::InvalidArgumentError(absl::StrCat("unmount ", target));
  mounts_.erase(mounts_.begin() + (mount - mounts_.data()));
  if (unmount_hangs_) ++lazy_unmounts_;
  return absl::OkStatus();
}

absl::StatusOr<std::optional<std::string>> FakeHost::ProbeSignature(const std::string& device) {
  RETURN_IF_ERROR(BeginCall("ProbeSignature"));
  absl::MutexLock lock(&mutex_);
  ASSIGN_OR_RETURN(const Device* found, FindDevice(device));
  return found->signature;
}

absl::Status FakeHost::MakeFilesystem(const std::string& device, const std::string& fs_type,
                                      bool overwrite) {
  RETURN_IF_ERROR(BeginCall("MakeFilesystem"));
  absl::MutexLock lock(&mutex_);
  ASSIGN_OR_RETURN(Device* const found, FindDevice(device));
  if (found->signature && !overwrite) {
    return absl::InternalError(absl::StrCat(device, " appears to contain a file system"));
  }
  found->signature = fs_type;
  return absl::OkStatus();
}

absl::Status FakeHost::GrowFilesystem(const std::string& device, const std::string& mount_point,
                                      const std::string& fs_type) {
  RETURN_IF_ERROR(BeginCall("GrowFilesystem"));
  absl::MutexLock lock(&mutex_);
  ASSIGN_OR_RETURN(const Device* found, FindDevice(device));
  const MountEntry* mount = FindMount(mount_point);
  if (mount != nullptr && mount->device == found->number && mount->fs_type == fs_type &&
      found->signature == fs_type) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat("grow ", fs_type, " of ", device));
}

absl::StatusOr<DeviceNumber> FakeHost::BlockDeviceNumber(const std::string& path) {
  RETURN_IF_ERROR(BeginCall("BlockDeviceNumber"));
  absl::MutexLock lock(&mutex_);
  ASSIGN_OR_RETURN(const Device* found, FindDevice(path));
  return found->number;
}

absl::StatusOr<uint64_t> FakeHost::BlockDeviceSize(const std::string& path) {
  RETURN_IF_ERROR(BeginCall("BlockDeviceSize"));
  absl::MutexLock lock(&mutex_);
  ASSIGN_OR_RETURN(const Device* found, FindDevice(path));
  return found->size_bytes;
}

absl::StatusOr<Usage> FakeHost::FilesystemUsage(const std::string& path) {
  RETURN_IF_ERROR(BeginCall("FilesystemUsage"));
  absl::MutexLock lock(&mutex_);
  const MountEntry* mount = FindMount(path);
  for (const auto& [node, device] : devices_) {
    if (mount == nullptr || device.number != mount->device) continue;
    Usage usage;
    usage.total_bytes = device.size_bytes;
    usage.used_bytes = kBlockBytes;
    usage.available_bytes = device.size_bytes - kBlockBytes;
    usage.total_inodes = device.size_bytes / kBytesPerInode;
    usage.used_inodes = 1;
    usage.available_inodes = usage.total_inodes - 1;
    return usage;
  }
  return absl::NotFoundError(absl::StrCat("statvfs ", path));
}

absl::StatusOr<PathKind> FakeHost::KindOf(const std::string& path) {
  RETURN_IF_ERROR(BeginCall("KindOf"));
  absl::MutexLock lock(&mutex_);
  return Kind(path);
}

absl::Status FakeHost::MakeDirectory(const std::string& path) {
  RETURN_IF_ERROR(BeginCall("MakeDirectory"));
  absl::MutexLock lock(&mutex_);
  paths_.emplace(path, PathKind::kDirectory);
  return absl::OkStatus();
}

absl::Status FakeHost::MakeFile(const std::string& path) {
  RETURN_IF_ERROR(BeginCall("MakeFile"));
  absl::MutexLock lock(&mutex_);
  paths_.emplace(path, PathKind::kFile);
  return absl::OkStatus();
}

absl::Status FakeHost::RemoveEmpty(const std::string& path) {
  RETURN_IF_ERROR(BeginCall("RemoveEmpty"));
  absl::MutexLock lock(&mutex_);
  const auto next = paths_.lower_bound(absl::StrCat(path, "/"));
  const bool has_entries = next != paths_.end() && absl::StartsWith(next->first, path + "/");
  if (FindMount(path) != nullptr || devices_.count(path) != 0 || has_entries) {
    return absl::FailedPreconditionError(absl::StrCat(path, " is not empty; it is left alone"));
  }
  paths_.erase(path);
  return absl::OkStatus();
}

}  // namespace diskd::csi
