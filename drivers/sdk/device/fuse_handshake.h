// SPDX-License-Identifier: Apache-2.0
//
// What a FUSE connection of ours is agreed to carry. Pure functions.
#ifndef DISKD_DRIVERS_SDK_DEVICE_FUSE_HANDSHAKE_H_
#define DISKD_DRIVERS_SDK_DEVICE_FUSE_HANDSHAKE_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "drivers/sdk/device/fuse_abi.h"

namespace diskd::sdk {

// The bytes of a READ or WRITE at most; the kernel cuts what is larger. At most kFuseMaxIoBytes.
uint32_t FuseMaxIoBytes(uint32_t logical_block_bytes, size_t page_bytes);

std::string FuseMountOptions(int fd, uint32_t max_io_bytes);

// Flags that the kernel did not offer are not in it.
fuse_init_out FuseInitAnswer(const fuse_init_in& init, uint32_t max_io_bytes);

}  // namespace diskd::sdk

#endif  // DISKD_DRIVERS_SDK_DEVICE_FUSE_HANDSHAKE_H_
