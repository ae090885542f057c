// SPDX-License-Identifier: Apache-2.0
//
// Device over the kernel module `buse`.
#ifndef DISKD_AGENT_DEVICE_BUSE_BLOCK_DEVICE_H_
#define DISKD_AGENT_DEVICE_BUSE_BLOCK_DEVICE_H_

#include <memory>
#include <string>
#include <vector>

#include "agent/device/device.h"
#include "agent/device/disk_flush.h"
#include "drivers/sdk/device/buse_device.h"

namespace diskd::agent {

class BuseBlockDevice : public Device {
 public:
  static absl::StatusOr<std::unique_ptr<Device>> Create(const DeviceSpec& spec);
  static absl::StatusOr<std::unique_ptr<Device>> Find(const std::string& volume_id);
  // Volume ids of the devices that have diskd's names.
  static absl::StatusOr<std::vector<std::string>> List();

  diskd::v1::Transport transport() const override { return diskd::v1::TRANSPORT_BUSE; }
  int number() const override { return static_cast<int>(index_); }
  std::string path() const override { return sdk::BuseControl::DiskPath(index_); }
  bool survives_driver_death() const override { return true; }
  // New ones each time: the kernel notices a death by the last close, so nobody else keeps them.
  absl::StatusOr<std::vector<Fd>> Descriptors() override;
  void Hold(std::vector<Fd>) override {}
  absl::Status Publish() override;
  absl::Status Resize(uint64_t size_bytes) override;
  absl::Status Unpublish(bool force) override;
  bool Lost() override { return false; }
  void Abort() override;
  absl::Status Destroy() override;

 private:
  BuseBlockDevice(sdk::BuseControl control, uint32_t index)
      : control_(std::move(control)),
        index_(index),
        flush_([path = sdk::BuseControl::DiskPath(index)] { return FlushDisk(path); }) {}

  sdk::BuseControl control_;
  const uint32_t index_;
  DiskFlush flush_;
};

}  // namespace diskd::agent

#endif  // DISKD_AGENT_DEVICE_BUSE_BLOCK_DEVICE_H_
