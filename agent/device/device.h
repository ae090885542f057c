// SPDX-License-Identifier: Apache-2.0
//
// Block devices of the kernel as the agent sees them, whatever the transport.
//
// The life of a device:
//   DeviceFactory::Create   the kernel object; no disk yet
//   Device::Descriptors     go to a driver process, once per process
//   Device::Publish         the disk appears
//   Device::Unpublish       it is gone again
//   Device::Destroy         nothing is left, after the driver process is gone
// The kernel keeps devices when the agent goes; DeviceFactory::Find gets them back.
#ifndef DISKD_AGENT_DEVICE_DEVICE_H_
#define DISKD_AGENT_DEVICE_DEVICE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/fd.h"
#include "proto/diskd/v1/types.pb.h"
#include "proto/driver/v1/driver.pb.h"

namespace diskd::agent {

// Calls of one object come from one thread at a time, except Descriptors(), Lost() and Abort(),
// which may come from another. The destructor leaves the kernel's objects alone.
class Device {
 public:
  virtual ~Device() = default;

  virtual diskd::v1::Transport transport() const = 0;
  virtual int number() const = 0;        // of the disk; -1 before Publish
  virtual std::string path() const = 0;  // of the disk; empty before Publish
  // False: requests in flight are lost with their driver process.
  virtual bool survives_driver_death() const = 0;

  // For diskd.driver.v1 ServeRequest.
  virtual absl::StatusOr<std::vector<Fd>> Descriptors() = 0;
  // Takes the descriptors that a running driver gave back; only after Find.
  virtual void Hold(std::vector<Fd> descriptors) = 0;

  // DEADLINE_EXCEEDED: the driver does not answer; the device was aborted.
  virtual absl::Status Publish() = 0;
  // The disk has this size from now on, which its driver serves already.
  virtual absl::Status Resize(uint64_t size_bytes) = 0;
  // Everything written is with the driver, flushed, when it returns. FAILED_PRECONDITION: the
  // disk is in use, and by whom; UNAVAILABLE: it could not be flushed; nothing has changed then.
  // DEADLINE_EXCEEDED: it was flushed, then aborted. `force`: its users get I/O errors.
  virtual absl::Status Unpublish(bool force) = 0;
  // Somebody has aborted the connection to its drivers: every request fails, whoever serves it.
  virtual bool Lost() = 0;
  // Every request waiting for a driver fails.
  virtual void Abort() = 0;
  virtual absl::Status Destroy() = 0;
};

struct DeviceSpec {
  std::string volume_id;
  diskd::driver::v1::Geometry geometry;
  bool read_only = false;
  uint32_t queues = 1;
  uint32_t queue_depth = 128;
};

// Thread-safe.
class DeviceFactory {
 public:
  virtual ~DeviceFactory() = default;

  virtual std::vector<diskd::v1::TransportInfo> Transports() = 0;  // best first

  virtual absl::StatusOr<std::unique_ptr<Device>> Create(diskd::v1::Transport transport,
                                                         const DeviceSpec& spec) = 0;
  // What is left of a device made earlier. `number`: of the disk, -1 unknown. NOT_FOUND: nothing.
  virtual absl::StatusOr<std::unique_ptr<Device>> Find(diskd::v1::Transport transport,
                                                       const std::string& volume_id, int number,
                                                       bool survives_driver_death) = 0;
  // FAILED_PRECONDITION: the disk `number` is not the volume's, or not any more, and what to do.
  virtual absl::Status CheckDisk(diskd::v1::Transport transport, const std::string& volume_id,
                                 int number) const = 0;
  // Volume and transport of every device of the kernel that carries diskd's marks.
  struct Found {
    std::string volume_id;
    diskd::v1::Transport transport;
  };
  virtual absl::StatusOr<std::vector<Found>> List() = 0;

  // The stable path of a volume: a link in a directory such as /dev/disk/by-diskd.
  virtual std::string LinkPath(const std::string& name) const = 0;
  // A link of another name to the same disk is removed: it is of a volume that has lost its own.
  virtual absl::Status Link(const std::string& name, const std::string& device_path) = 0;
  virtual absl::Status Unlink(const std::string& name) = 0;  // not there: OK
};

}  // namespace diskd::agent

#endif  // DISKD_AGENT_DEVICE_DEVICE_H_
