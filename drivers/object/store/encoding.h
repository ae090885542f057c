// SPDX-License-Identifier: Apache-2.0
//
// Percent encoding as S3 wants it, and hex digests. Pure functions, any thread.
#ifndef DISKD_DRIVERS_OBJECT_STORE_ENCODING_H_
#define DISKD_DRIVERS_OBJECT_STORE_ENCODING_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace diskd::object {

// Everything but A-Z a-z 0-9 - _ . ~ becomes %XX. `keep_slash` leaves '/' alone (paths).
std::string PercentEncode(absl::string_view text, bool keep_slash);

// The inverse; nullopt for a '%' without two hex digits. '+' stays '+'.
std::optional<std::string> PercentDecode(absl::string_view text);

using QueryParameters = std::vector<std::pair<std::string, std::string>>;

// Sorted by encoded name, then value; a name without a value is "name=".
std::string CanonicalQuery(const QueryParameters& parameters);

std::string HexEncode(absl::string_view bytes);

// SHA-256 of the concatenation of `parts`, lower-case hex.
std::string Sha256Hex(absl::Span<const absl::string_view> parts);

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_STORE_ENCODING_H_
