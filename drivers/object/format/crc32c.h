// SPDX-License-Identifier: Apache-2.0
//
// CRC-32C (Castagnoli), the checksum of every format here. Any thread.
#ifndef DISKD_DRIVERS_OBJECT_FORMAT_CRC32C_H_
#define DISKD_DRIVERS_OBJECT_FORMAT_CRC32C_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace diskd::object {

uint32_t Crc32c(absl::string_view data);
uint32_t Crc32c(const std::byte* data, size_t size);

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_FORMAT_CRC32C_H_
