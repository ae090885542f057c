// SPDX-License-Identifier: Apache-2.0
//
// What a driver process does for its agent: the requests of diskd.driver.v1.
//
// Thread rule: one thread (the control server's).
#ifndef DISKD_DRIVERS_SDK_CONTROL_DRIVER_SERVICE_H_
#define DISKD_DRIVERS_SDK_CONTROL_DRIVER_SERVICE_H_

#include <functional>
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
  // Makes the process serve as another user; 0: as it is.
  using BecomeUser = std::function<absl::Status(uint32_t user)>;

  // `definition` must outlive the service.
  explicit DriverService(const DriverDefinition& definition, BecomeUser become_user = nullptr)
      : definition_(definition), become_user_(std::move(become_user)) {}
  ~DriverService() override;

  void Handle(const driver::v1::Request& request, std::vector<Fd> fds,
              ControlReply& reply) override;

 private:
  absl::Status Provision(const driver::v1::ProvisionRequest& request);
  absl::Status Deprovision(const driver::v1::VolumeConfig& config);
  absl::Status Open(const driver::v1::OpenRequest& request, const ControlReply& reply);
  absl::Status Feature(const driver::v1::FeatureRequest& request, ControlReply& reply);
  absl::Status Serve(const driver::v1::ServeRequest& request, std::vector<Fd> fds);
  absl::Status Standby(const driver::v1::StandbyRequest& request, std::vector<Fd> fds);
  absl::Status TakeOver(std::vector<Fd> fds);
  absl::Status HandOver(std::vector<Fd> fds);
  // After a successor that failed. `served`: it may have taken requests.
  absl::Status ServeOn(bool served, std::vector<Fd> spare);

  // Nothing is served yet, all is in order for it.
  absl::Status CheckIdle(const std::vector<Fd>& fds) const;
  // Opens queues on threads that wait to go. FUSE: keeps the descriptors. BUSE: `standby` also
  // while another process serves them, or is about to let go.
  absl::Status OpenQueues(driver::v1::Transport transport, std::vector<Fd> fds, bool standby);
  absl::Status LeaveRoot(uint32_t user);
  void StopThreads();
  void FillPing(driver::v1::PingResponse& ping) const;
  void FillStatus(driver::v1::StatusResponse& status) const;
  void Shutdown();

  const DriverDefinition& definition_;
  const BecomeUser become_user_;
  VolumeConfig config_;
  std::unique_ptr<Driver> driver_;
  Geometry geometry_;
  driver::v1::Transport transport_ = driver::v1::TRANSPORT_UNSPECIFIED;
  std::vector<Fd> fuse_fds_;
  std::unique_ptr<QueueThreads> threads_;
  CounterValues earlier_;  // of services that have ended
  uint32_t user_ = 0;      // of a process in standby, when its turn comes
};

}  // namespace diskd::sdk

#endif  // DISKD_DRIVERS_SDK_CONTROL_DRIVER_SERVICE_H_
