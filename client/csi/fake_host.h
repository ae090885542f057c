// SPDX-License-Identifier: Apache-2.0
//
// FakeHost: a node in memory for the unit tests of the plugin: directories, block devices with
// their signatures, and a mount table. It keeps the contract of Host and does nothing else.
//
// Thread-safe.
#ifndef DISKD_CLIENT_CSI_FAKE_HOST_H_
#define DISKD_CLIENT_CSI_FAKE_HOST_H_

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "client/csi/host.h"

namespace diskd::csi {

class FakeHost : public Host {
 public:
  // --- what tests arrange ---
  // A blank block device.
  void AddDevice(const std::string& path, DeviceNumber number, uint64_t size_bytes);
  // The node is gone; what is mounted of it stays.
  void RemoveDevice(const std::string& path);
  void SetSignature(const std::string& device, std::optional<std::string> signature);
  void AddDirectory(const std::string& path);
  // The next call of `method` ("Mount") has this answer and no effect. Queues up.
  void FailNext(absl::string_view method, absl::Status status);
  // Runs within the next call of `method`, before its effect. May call this host and the plugin.
  void DuringNext(absl::string_view method, std::function<void()> action);
  // Devices do not answer: every unmount goes on until its limit and is then a lazy one.
  void SetUnmountHangs(bool hangs);

  // --- what tests ask ---
  // Calls of `method` so far, failed ones included.
  int Calls(absl::string_view method) const;
  std::optional<std::string> Signature(const std::string& device) const;
  // The visible mount at the path.
  std::optional<MountEntry> MountAt(const std::string& path) const;
  size_t mount_count() const;
  int lazy_unmounts() const;
  // Of the last Mount.
  MountOptions last_options() const;

  // --- Host ---
  absl::StatusOr<std::vector<MountEntry>> Mounts() override;
  absl::Status Mount(const std::string& device, const std::string& target,
                     const std::string& fs_type, const MountOptions& options) override;
  absl::Status BindMount(const std::string& source, const std::string& target,
                         bool read_only) override;
  absl::Status Unmount(const std::string& target) override;
  absl::StatusOr<std::optional<std::string>> ProbeSignature(const std::string& device) override;
  absl::Status MakeFilesystem(const std::string& device, const std::string& fs_type,
                              bool overwrite) override;
  absl::Status GrowFilesystem(const std::string& device, const std::string& mount_point,
                              const std::string& fs_type) override;
  absl::StatusOr<DeviceNumber> BlockDeviceNumber(const std::string& path) override;
  absl::StatusOr<uint64_t> BlockDeviceSize(const std::string& path) override;
  absl::StatusOr<Usage> FilesystemUsage(const std::string& path) override;
  absl::StatusOr<PathKind> KindOf(const std::string& path) override;
  absl::Status MakeDirectory(const std::string& path) override;
  absl::Status MakeFile(const std::string& path) override;
  absl::Status RemoveEmpty(const std::string& path) override;

 private:
  struct Device {
    DeviceNumber number;
    uint64_t size_bytes = 0;
    std::optional<std::string> signature;
  };

  // Counts the call, runs what the test ordered; the error that it ordered, if any.
  absl::Status BeginCall(absl::string_view method) ABSL_LOCKS_EXCLUDED(mutex_);
  const MountEntry* FindMount(const std::string& path) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Through a bind mount of a device's node.
  absl::StatusOr<Device*> FindDevice(const std::string& path) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  PathKind Kind(const std::string& path) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  std::map<std::string, Device> devices_ ABSL_GUARDED_BY(mutex_);  // by path
  std::map<std::string, PathKind> paths_ ABSL_GUARDED_BY(mutex_);  // directories and files
  std::vector<MountEntry> mounts_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::deque<absl::Status>> failures_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::function<void()>> actions_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, int> calls_ ABSL_GUARDED_BY(mutex_);
  MountOptions last_options_ ABSL_GUARDED_BY(mutex_);
  bool unmount_hangs_ ABSL_GUARDED_BY(mutex_) = false;
  int lazy_unmounts_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace diskd::csi

#endif  // DISKD_CLIENT_CSI_FAKE_HOST_H_
