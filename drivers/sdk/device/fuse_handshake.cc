// SPDX-License-Identifier: Apache-2.0
#include "drivers/sdk/device/fuse_handshake.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "drivers/sdk/device/fuse_device.h"

namespace diskd::sdk {
namespace {

// The kernel's default of 12 requests in the background throttles the loop device.
constexpr int kMaxBackground = 256;
// The most that a kernel takes. A limit of pages is none of bytes: pages may have 64 KiB, and data
// that begins within one touches one more.
constexpr uint32_t kMaxPages = 256;
// Of a request of a loop device (BLK_MAX_SEGMENTS).
constexpr uint32_t kLoopSegments = 128;
constexpr uint32_t kSmallestBlock = 512;
// The newest protocol this code knows. Minor versions only add.
constexpr uint32_t kOurMinor = 45;

}  // namespace

uint32_t FuseMaxIoBytes(uint32_t logical_block_bytes, size_t page_bytes) {
  constexpr uint32_t kMost = kFuseMaxIoBytes;
  // Memory for direct I/O begins at any multiple of 512, so where the kernel runs out of pages it
  // cuts at one: a whole block only if that is what blocks have.
  if (logical_block_bytes <= kSmallestBlock) return kMost;
  // Never out of pages, though each segment may touch one more than its bytes fill.
  const size_t bytes = (kMaxPages - kLoopSegments) * page_bytes;
  return static_cast<uint32_t>(std::min<size_t>(kMost, bytes));
}

std::string FuseMountOptions(int fd, uint32_t max_io_bytes) {
  // INIT limits writes only.
  return absl::StrCat("fd=", fd, ",rootmode=40000,user_id=0,group_id=0,max_read=", max_io_bytes);
}

fuse_init_out FuseInitAnswer(const fuse_init_in& init, uint32_t max_io_bytes) {
  const uint64_t offered = init.flags | static_cast<uint64_t>(init.flags2) << 32;
  const uint64_t wanted = FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_ASYNC_DIO | FUSE_MAX_PAGES |
                          FUSE_PARALLEL_DIROPS | FUSE_INIT_EXT | kFuseHasResend;
  const uint64_t agreed = wanted & offered;
  fuse_init_out out{};
  out.major = FUSE_KERNEL_VERSION;
  out.minor = std::min(init.minor, kOurMinor);
  out.max_readahead = init.max_readahead;
  out.flags = static_cast<uint32_t>(agreed);
  out.flags2 = static_cast<uint32_t>(agreed >> 32);
  out.max_background = kMaxBackground;
  out.congestion_threshold = kMaxBackground * 3 / 4;
  out.max_write = max_io_bytes;
  out.max_pages = kMaxPages;
  out.time_gran = 1;
  return out;
}

}  // namespace diskd::sdk
