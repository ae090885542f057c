// SPDX-License-Identifier: Apache-2.0
//
// <linux/fuse.h> plus the few constants that the headers of older distributions lack. The values
// are kernel ABI and never change.
#ifndef DISKD_DRIVERS_SDK_DEVICE_FUSE_ABI_H_
#define DISKD_DRIVERS_SDK_DEVICE_FUSE_ABI_H_

#include <linux/fuse.h>

#include <cstdint>

namespace diskd::sdk {

// Protocol 7.40 (Linux 6.9): FUSE_HAS_RESEND, FUSE_NOTIFY_RESEND, FUSE_UNIQUE_RESEND.
inline constexpr uint64_t kFuseHasResend = uint64_t{1} << 39;
inline constexpr int kFuseNotifyResend = 7;
inline constexpr uint64_t kFuseUniqueResend = uint64_t{1} << 63;

}  // namespace diskd::sdk

#endif  // DISKD_DRIVERS_SDK_DEVICE_FUSE_ABI_H_
