// SPDX-License-Identifier: Apache-2.0
//
// Limits that every kind of store shares.
#ifndef DISKD_DRIVERS_OBJECT_STORE_LIMITS_H_
#define DISKD_DRIVERS_OBJECT_STORE_LIMITS_H_

#include <cstddef>

namespace diskd::object {

inline constexpr size_t kObjectBytesMax = 256 << 20;  // of one Get without a range

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_STORE_LIMITS_H_
