// SPDX-License-Identifier: Apache-2.0
//
// The kernel's side of one buse queue, as the server sees it: an interface, so that the server's
// loop can be driven by a kernel in memory. Queue's thread only.
#ifndef DISKD_DRIVERS_SDK_TRANSPORT_BUSE_QUEUE_H_
#define DISKD_DRIVERS_SDK_TRANSPORT_BUSE_QUEUE_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/fd.h"
#include "kernel/uapi/buse.h"

namespace diskd::sdk {

class BuseQueue {
 public:
  virtual ~BuseQueue() = default;

  virtual absl::StatusOr<buse_attach> Attach(uint32_t queue) = 0;
  // True: another server may have the queue still; the shared memory is not ours to look at before
  // an Enter() has returned 0.
  virtual bool standby() const { return false; }
  // The queue's shared memory; stays mapped until the object goes.
  virtual absl::StatusOr<std::byte*> Map(size_t bytes) = 0;
  // BUSE_SRV_ENTER: 0 or a positive errno.
  virtual int Enter(uint64_t argument) = 0;
  // Becomes readable (POLLIN) when requests beyond the head last given to Enter are there.
  virtual int poll_fd() const = 0;
};

// Over an open file of /dev/busecN. `standby`: the queue becomes ours when its server has gone.
class KernelBuseQueue final : public BuseQueue {
 public:
  explicit KernelBuseQueue(Fd fd, bool standby = false) : fd_(std::move(fd)), standby_(standby) {}
  ~KernelBuseQueue() override;

  absl::StatusOr<buse_attach> Attach(uint32_t queue) override;
  absl::StatusOr<std::byte*> Map(size_t bytes) override;
  int Enter(uint64_t argument) override;
  int poll_fd() const override { return fd_.get(); }
  bool standby() const override { return standby_; }

 private:
  Fd fd_;
  const bool standby_;
  std::byte* memory_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace diskd::sdk

#endif  // DISKD_DRIVERS_SDK_TRANSPORT_BUSE_QUEUE_H_
