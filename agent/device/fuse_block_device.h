// SPDX-License-Identifier: Apache-2.0
//
// Device over FUSE and loop: MOUNT/disk served by a driver, /dev/loopN on top of it.
#ifndef DISKD_AGENT_DEVICE_FUSE_BLOCK_DEVICE_H_
#define DISKD_AGENT_DEVICE_FUSE_BLOCK_DEVICE_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "agent/device/device.h"
#include "agent/device/disk_flush.h"
#include "drivers/sdk/device/fuse_device.h"

namespace diskd::agent {

class FuseBlockDevice : public Device {
 public:
  // `mount_point` is created.
  static absl::StatusOr<std::unique_ptr<Device>> Create(const std::string& mount_point,
                                                        const DeviceSpec& spec);
  // NOT_FOUND: neither the mount nor a loop device of it exists.
  static absl::StatusOr<std::unique_ptr<Device>> Find(const std::string& mount_point, int number,
                                                      bool survives_driver_death);

  // FAILED_PRECONDITION: the loop device is not on the mount's file.
  static absl::Status CheckLoop(const std::string& mount_point, int number);

  diskd::v1::Transport transport() const override { return diskd::v1::TRANSPORT_FUSE; }
  int number() const override { return number_; }
  std::string path() const override;
  bool survives_driver_death() const override { return can_resend_; }
  absl::StatusOr<std::vector<Fd>> Descriptors() override;
  void Hold(std::vector<Fd> descriptors) override;
  absl::Status Publish() override;
  absl::Status Resize(uint64_t size_bytes) override;
  absl::Status Unpublish(bool force) override;
  bool Lost() override;
  void Abort() override;
  absl::Status Destroy() override;

 private:
  FuseBlockDevice(std::string mount_point, bool can_resend)
      : mount_point_(std::move(mount_point)), can_resend_(can_resend) {}

  bool OwnsLoop() const { return CheckLoop(mount_point_, number_).ok(); }
  absl::Status Detach();

  const std::string mount_point_;
  const bool can_resend_;
  uint32_t logical_block_bytes_ = 512;
  bool read_only_ = false;
  int number_ = -1;
  std::optional<DiskFlush> flush_;
  absl::Mutex mutex_;
  // The connection lives as long as one of these, or a driver's copy, is open.
  std::vector<Fd> descriptors_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace diskd::agent

#endif  // DISKD_AGENT_DEVICE_FUSE_BLOCK_DEVICE_H_
