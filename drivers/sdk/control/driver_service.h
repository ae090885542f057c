// SPDX-License-Identifier: Apache-2.0
//
// What a driver process does for its agent: the requests of diskd.driver.v1.
//
// Thread rule: one thread (the control server's).
#ifndef DISKD_DRIVERS_SDK_CONTROL_DRIVER_SERVICE_H_
#define DISKD_DRIVERS_SDK_CONTROL_DRIVER_SERVICE_H_

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "base/fd.h"
#include "drivers/sdk/control/control_server.h"
#include "drivers/sdk/driver.h"
#include "drivers/sdk/transport/queue_threads.h"
#include "proto/driver/v1/driver.pb.h"

namespace diskd::sdk {

class DriverService final : public ControlHandler {
 public:
  // `definition` must outlive the service.
  explicit DriverService(const DriverDefinition& definition) : definition_(definition) {}
  ~DriverService() override;

  void Handle(const driver::v1::Request& request, std::vector<Fd> fds,
              ControlReply& reply) override;

 private:
  absl::Status Provision(const driver::v1::VolumeConfig& config);
  absl::Status Deprovision(const driver::v1::VolumeConfig& config);
  absl::Status Open(const driver::v1::VolumeConfig& config);
  absl::Status Serve(const driver::v1::ServeRequest& request, std::vector<Fd> fds);
  absl::Status StartFuse(bool resend, std::vector<Fd> fds);
  absl::Status StartBuse(std::vector<Fd> fds);
  void FillStatus(driver::v1::StatusResponse& status) const;
  void Shutdown();

  const DriverDefinition& definition_;
  VolumeConfig config_;
  std::unique_ptr<Driver> driver_;
  Geometry geometry_;
  driver::v1::Transport transport_ = driver::v1::TRANSPORT_UNSPECIFIED;
  std::vector<Fd> fuse_fds_;
  std::unique_ptr<QueueThreads> threads_;
  CounterValues earlier_;  // of services that have ended
};

}  // namespace diskd::sdk

#endif  // DISKD_DRIVERS_SDK_CONTROL_DRIVER_SERVICE_H_
