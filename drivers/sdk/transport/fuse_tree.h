// SPDX-License-Identifier: Apache-2.0
//
// The file system around the disk: a root directory with the one file kFuseDiskName. Answers
// every FUSE request that does not move or change the disk's data. Stateless, any thread.
#ifndef DISKD_DRIVERS_SDK_TRANSPORT_FUSE_TREE_H_
#define DISKD_DRIVERS_SDK_TRANSPORT_FUSE_TREE_H_

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "drivers/sdk/device/fuse_abi.h"
#include "drivers/sdk/driver.h"

namespace diskd::sdk {

inline constexpr uint64_t kFuseDiskNode = 2;  // FUSE_ROOT_ID is 1

struct FuseAnswer {
  bool wanted = true;  // false: the kernel expects no answer (FORGET and the like)
  int error = 0;       // 0 or a positive errno; then `length` is 0
  size_t length = 0;   // of body
  alignas(8) std::byte body[256];
};

// `arguments` is what follows `header`.
void AnswerFuseTree(const Geometry& geometry, const fuse_in_header& header,
                    absl::Span<const std::byte> arguments, FuseAnswer& answer);

}  // namespace diskd::sdk

#endif  // DISKD_DRIVERS_SDK_TRANSPORT_FUSE_TREE_H_
