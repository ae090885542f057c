// SPDX-License-Identifier: Apache-2.0
//
// The callbacks of an old BUSE program as a driver. One queue: the callbacks were written to be
// called one at a time.
#ifndef DISKD_DRIVERS_COMPAT_CALLBACK_DRIVER_H_
#define DISKD_DRIVERS_COMPAT_CALLBACK_DRIVER_H_

#include "absl/status/statusor.h"
#include "drivers/compat/buse.h"
#include "drivers/sdk/driver.h"

namespace diskd::compat {

// What the operations say about the disk; a size that is no multiple of the block is rounded
// down. INVALID_ARGUMENT: no size, or a block size that no disk can have.
absl::StatusOr<sdk::Geometry> GeometryOf(const buse_operations& operations);

// 0 or a positive errno for what a callback returned: -1 and what is no errno is EIO.
int ErrnoOf(int result);

class CallbackDriver final : public sdk::SyncDriver {
 public:
  // `operations` and `userdata` outlive the driver.
  CallbackDriver(const buse_operations& operations, void* userdata, const sdk::Geometry& geometry)
      : operations_(operations), userdata_(userdata), geometry_(geometry) {}

  sdk::Geometry geometry() const override { return geometry_; }
  int Read(uint64_t offset, absl::Span<std::byte> into) override;
  int Write(uint64_t offset, absl::Span<const std::byte> from, bool fua) override;
  int Flush() override;
  int Discard(uint64_t offset, uint64_t length) override;

 private:
  const buse_operations& operations_;
  void* const userdata_;
  const sdk::Geometry geometry_;
};

}  // namespace diskd::compat

#endif  // DISKD_DRIVERS_COMPAT_CALLBACK_DRIVER_H_
