// SPDX-License-Identifier: Apache-2.0
#include "drivers/compat/callback_driver.h"

#include <algorithm>
#include <bit>
#include <cerrno>

#include "absl/strings/str_cat.h"

namespace diskd::compat {
namespace {

constexpr uint32_t kMinBlock = 512;
constexpr uint32_t kMaxBlock = 4096;
constexpr int kMaxErrno = 4095;

}  // namespace

absl::StatusOr<sdk::Geometry> GeometryOf(const buse_operations& operations) {
  sdk::Geometry geometry;
  uint64_t size = operations.size;
  if (operations.blksize != 0) {
    if (!std::has_single_bit(operations.blksize) || operations.blksize < kMinBlock ||
        operations.blksize > kMaxBlock) {
      return absl::InvalidArgumentError(
          absl::StrCat("blksize ", operations.blksize, ": 512, 1024, 2048 and 4096 are possible"));
    }
    geometry.logical_block_bytes = operations.blksize;
    if (size == 0) size = operations.size_blocks * operations.blksize;
  }
  geometry.size_bytes = size - size % geometry.logical_block_bytes;
  if (geometry.size_bytes == 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a disk of ", size, " bytes: set size, or blksize and size_blocks, to one block or more"));
  }
  geometry.read_only = operations.write == nullptr;
  geometry.volatile_cache = operations.flush != nullptr;
  geometry.discard = operations.trim != nullptr;
  return geometry;
}

int ErrnoOf(int result) {
  if (result == 0) return 0;
  if (result == -1 || result > kMaxErrno || result < -kMaxErrno) return EIO;
  return result < 0 ? -result : result;
}

int CallbackDriver::Read(uint64_t offset, absl::Span<std::byte> into) {
  if (operations_.read == nullptr) return EPERM;
  // A callback that fills less than it was asked for must not show what was in the buffer before.
  std::fill(into.begin(), into.end(), std::byte{0});
  return ErrnoOf(operations_.read(into.data(), into.size(), offset, userdata_));
}

int CallbackDriver::Write(uint64_t offset, absl::Span<const std::byte> from, bool) {
  return ErrnoOf(operations_.write(from.data(), from.size(), offset, userdata_));
}

int CallbackDriver::Flush() {
  return operations_.flush == nullptr ? 0 : ErrnoOf(operations_.flush(userdata_));
}

int CallbackDriver::Discard(uint64_t offset, uint64_t length) {
  return ErrnoOf(operations_.trim(offset, static_cast<uint32_t>(length), userdata_));
}

}  // namespace diskd::compat
