// SPDX-License-Identifier: Apache-2.0
//
// For tests: a block device that a driver process serves, over either transport. One thread.
#ifndef DISKD_DRIVERS_SDK_TESTING_TEST_DEVICE_H_
#define DISKD_DRIVERS_SDK_TESTING_TEST_DEVICE_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "drivers/sdk/testing/driver_process.h"

namespace diskd::sdk {

class TestDevice {
 public:
  // `dir`: a directory of the test's own. UNIMPLEMENTED: this machine can't, and why.
  static absl::StatusOr<std::unique_ptr<TestDevice>> MakeFuse(const std::string& dir);
  static absl::StatusOr<std::unique_ptr<TestDevice>> MakeBuse(const std::string& name);

  // Removes the device, by force if need be.
  virtual ~TestDevice() = default;

  // Makes the disk, served by a process that has opened its volume.
  virtual absl::Status Attach(DriverProcess& first) = 0;
  // Hands the disk to a successor, likewise.
  virtual absl::Status HandOver(DriverProcess& successor) = 0;
  // Fails all I/O that waits, and all that comes.
  virtual void Abort() = 0;
  // After Shutdown of the last process. FAILED_PRECONDITION: somebody has the disk open.
  virtual absl::Status Remove() = 0;

  virtual std::string path() const = 0;
};

}  // namespace diskd::sdk

#endif  // DISKD_DRIVERS_SDK_TESTING_TEST_DEVICE_H_
