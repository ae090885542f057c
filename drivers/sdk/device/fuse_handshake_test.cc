// SPDX-License-Identifier: Apache-2.0
#include "drivers/sdk/device/fuse_handshake.h"

#include "drivers/sdk/device/fuse_device.h"
#include "gtest/gtest.h"

namespace diskd::sdk {
namespace {

constexpr uint32_t kSegments = 128;  // of a request of a loop device

TEST(FuseMaxIo_SmallBlocks, TakeWhatABufferHolds) {
  for (const size_t page : {4096u, 16384u, 65536u}) {
    EXPECT_EQ(FuseMaxIoBytes(512, page), kFuseMaxIoBytes);
  }
}

TEST(FuseMaxIo_LargeBlocks, AreCutAtBlocksHoweverTheMemoryLies) {
  for (const uint32_t block : {1024u, 2048u, 4096u}) {
    for (const size_t page : {4096u, 16384u, 65536u}) {
      const uint32_t bytes = FuseMaxIoBytes(block, page);
      EXPECT_EQ(bytes % block, 0u) << block << " " << page;
      EXPECT_LE(bytes, static_cast<uint32_t>(kFuseMaxIoBytes)) << block << " " << page;
      EXPECT_LE(bytes / page + kSegments, FuseInitAnswer({}, bytes).max_pages);
    }
  }
  EXPECT_EQ(FuseMaxIoBytes(4096, 4096), 512u << 10);
  EXPECT_EQ(FuseMaxIoBytes(4096, 65536), 1u << 20);
}

TEST(FuseMountOptions_MaxRead, IsAlwaysThere) {
  EXPECT_EQ(FuseMountOptions(7, 524288),
            "fd=7,rootmode=40000,user_id=0,group_id=0,max_read=524288");
}

TEST(FuseInitAnswer_Limits, AreInBytesAndPages) {
  fuse_init_in init{};
  init.major = FUSE_KERNEL_VERSION;
  init.minor = 31;
  init.max_readahead = 1 << 17;
  init.flags = FUSE_MAX_PAGES | FUSE_ASYNC_READ | FUSE_WRITEBACK_CACHE;
  const fuse_init_out out = FuseInitAnswer(init, 1 << 19);
  EXPECT_EQ(out.max_write, 1u << 19);
  EXPECT_EQ(out.max_pages, 256);
  EXPECT_EQ(out.minor, 31u);
  EXPECT_EQ(out.flags, static_cast<uint32_t>(FUSE_MAX_PAGES | FUSE_ASYNC_READ));
  EXPECT_EQ(out.flags2, 0u);
}

TEST(FuseInitAnswer_Resend, IsAgreedWhenOffered) {
  fuse_init_in init{};
  init.minor = 99;
  init.flags = FUSE_INIT_EXT;
  init.flags2 = static_cast<uint32_t>(kFuseHasResend >> 32);
  EXPECT_EQ(FuseInitAnswer(init, 4096).flags2, init.flags2);
  EXPECT_LT(FuseInitAnswer(init, 4096).minor, 99u);
}

}  // namespace
}  // namespace diskd::sdk
