// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/format/crc32c.h"

#include <isa-l/crc.h>

namespace diskd::object {

uint32_t Crc32c(const std::byte* data, size_t size) {
  // ISA-L neither writes through the pointer nor inverts its result.
  return ~crc32_iscsi(reinterpret_cast<unsigned char*>(const_cast<std::byte*>(data)),
                      static_cast<int>(size), ~0u);
}

uint32_t Crc32c(absl::string_view data) {
  return Crc32c(reinterpret_cast<const std::byte*>(data.data()), data.size());
}

}  // namespace diskd::object
