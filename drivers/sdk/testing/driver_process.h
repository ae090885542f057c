// SPDX-License-Identifier: Apache-2.0
//
// For tests: a driver executable run as the agent runs it. One thread.
#ifndef DISKD_DRIVERS_SDK_TESTING_DRIVER_PROCESS_H_
#define DISKD_DRIVERS_SDK_TESTING_DRIVER_PROCESS_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/fd.h"
#include "drivers/sdk/driver.h"
#include "proto/driver/v1/driver.pb.h"

namespace diskd::sdk {

class DriverProcess {
 public:
  // `socket_dir`: a directory of the test's own, for the control socket.
  static absl::StatusOr<DriverProcess> Spawn(const std::string& executable,
                                             const std::string& socket_dir);

  DriverProcess(DriverProcess&& other) noexcept;
  DriverProcess& operator=(DriverProcess&& other) = delete;
  ~DriverProcess();  // kills it

  // A response with a code is returned as that status. `received`: descriptors of the response.
  absl::StatusOr<driver::v1::Response> Call(const driver::v1::Request& request,
                                            const std::vector<int>& fds = {},
                                            std::vector<Fd>* received = nullptr);
  absl::Status Provision(const VolumeConfig& config);
  absl::Status Deprovision(const VolumeConfig& config);
  absl::Status Open(const VolumeConfig& config);
  absl::Status Serve(driver::v1::Transport transport, const std::vector<int>& fds, bool resend);

  // Drops the connection and makes a new one, as a restarted agent does.
  absl::Status Reconnect();

  void Kill();  // SIGKILL, and waits until it is gone
  int Wait();   // for its own end: the exit code, or -signal

  pid_t pid() const { return pid_; }

 private:
  DriverProcess() = default;
  pid_t pid_ = -1;
  std::string socket_path_;
  Fd socket_;
};

}  // namespace diskd::sdk

#endif  // DISKD_DRIVERS_SDK_TESTING_DRIVER_PROCESS_H_
