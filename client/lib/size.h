// SPDX-License-Identifier: Apache-2.0
//
// Sizes as people write them. Functions are thread-safe.
#ifndef DISKD_CLIENT_LIB_SIZE_H_
#define DISKD_CLIENT_LIB_SIZE_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace diskd::client {

// Bytes of "10GiB", "512 MiB", "1.5TiB" (units of 1024: KiB MiB GiB TiB PiB), "10GB", "10G"
// (units of 1000: K M G T P, with or without B) and "1048576B". Case does not matter.
// INVALID_ARGUMENT, each with its own explanation: no unit, no number, a sign, zero, more than
// 64 bits, an unknown unit, not whole bytes, not a multiple of 512.
absl::StatusOr<uint64_t> ParseSize(absl::string_view text);

// The largest 1024-unit that gives at least 1, rounded to two digits after the point: "10GiB",
// "1.50TiB", "512B". "~" goes before a rounded value: "~9.31GiB".
std::string FormatSize(uint64_t bytes);

}  // namespace diskd::client

#endif  // DISKD_CLIENT_LIB_SIZE_H_
