// SPDX-License-Identifier: Apache-2.0
#include "drivers/sdk/geometry.h"

#include <bit>
#include <cerrno>

#include "absl/strings/str_cat.h"

namespace diskd::sdk {
namespace {

constexpr uint32_t kMinBlock = 512;
constexpr uint32_t kMaxBlock = 4096;

}  // namespace

absl::Status CheckGeometry(const Geometry& geometry) {
  const uint32_t block = geometry.logical_block_bytes;
  if (!std::has_single_bit(block) || block < kMinBlock || block > kMaxBlock) {
    return absl::InternalError(absl::StrCat("the driver's logical block of ", block,
                                            " bytes is not 512, 1024, 2048 or 4096"));
  }
  if (geometry.size_bytes == 0 || geometry.size_bytes % block != 0) {
    return absl::InternalError(absl::StrCat("the driver's size of ", geometry.size_bytes,
                                            " bytes is not a positive multiple of ", block));
  }
  if (!std::has_single_bit(geometry.physical_block_bytes) ||
      geometry.physical_block_bytes < block) {
    return absl::InternalError(absl::StrCat("the driver's physical block of ",
                                            geometry.physical_block_bytes,
                                            " bytes is not a power of two of at least ", block));
  }
  if (!std::has_single_bit(geometry.discard_granularity_bytes) ||
      geometry.discard_granularity_bytes < block) {
    return absl::InternalError(absl::StrCat("the driver's discard granularity of ",
                                            geometry.discard_granularity_bytes,
                                            " bytes is not a power of two of at least ", block));
  }
  return absl::OkStatus();
}

int CheckRequest(const Geometry& geometry, const Request& request) {
  switch (request.op) {
    case Op::kFlush:
      return 0;
    case Op::kRead:
      break;
    case Op::kDiscard:
      if (!geometry.discard) return EOPNOTSUPP;
      break;
    case Op::kWriteZeroes:
      if (!geometry.write_zeroes) return EOPNOTSUPP;
      break;
    case Op::kWrite:
      break;
  }
  if (request.op != Op::kRead && geometry.read_only) return EROFS;
  return IsRangeOfDisk(geometry, request.offset, request.length) ? 0 : EINVAL;
}

}  // namespace diskd::sdk
