// SPDX-License-Identifier: Apache-2.0
//
// The devices of the kernel this runs on.
#ifndef DISKD_AGENT_DEVICE_HOST_DEVICE_FACTORY_H_
#define DISKD_AGENT_DEVICE_HOST_DEVICE_FACTORY_H_

#include <memory>
#include <string>
#include <vector>

#include "agent/device/device.h"

namespace diskd::agent {

class HostDeviceFactory : public DeviceFactory {
 public:
  // Tries to load the module `buse` once when it is not there.
  HostDeviceFactory(std::string run_dir, std::string link_dir);

  std::vector<diskd::v1::TransportInfo> Transports() override;
  absl::StatusOr<std::unique_ptr<Device>> Create(diskd::v1::Transport transport,
                                                 const DeviceSpec& spec) override;
  absl::StatusOr<std::unique_ptr<Device>> Find(diskd::v1::Transport transport,
                                               const std::string& volume_id, int number,
                                               bool survives_driver_death) override;
  absl::Status CheckDisk(diskd::v1::Transport transport, const std::string& volume_id,
                         int number) const override;
  absl::StatusOr<std::vector<Found>> List() override;
  std::string LinkPath(const std::string& name) const override;
  absl::Status Link(const std::string& name, const std::string& device_path) override;
  absl::Status Unlink(const std::string& name) override;

 private:
  const std::string run_dir_;
  const std::string link_dir_;
};

}  // namespace diskd::agent

#endif  // DISKD_AGENT_DEVICE_HOST_DEVICE_FACTORY_H_
