// SPDX-License-Identifier: Apache-2.0
//
// How the objects of a volume are stored: compression, encryption, and where its key comes from.
// Nothing here prints a key.
#ifndef DISKD_DRIVERS_OBJECT_PACKING_PARAMETERS_H_
#define DISKD_DRIVERS_OBJECT_PACKING_PARAMETERS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "drivers/object/engine/options.h"
#include "drivers/sdk/driver.h"

namespace diskd::object {

inline constexpr char kKeySecret[] = "encryption_key";

struct PackingParameters {
  int zstd_level = 0;
  bool encrypted = false;  // a key is asked for
  bool plain = false;      // encryption=none: it is known that there is none
  std::string key_file;    // where it is, unless it came as a secret
};

// INVALID_ARGUMENT. Touches no file.
absl::StatusOr<PackingParameters> ParsePacking(const sdk::VolumeConfig& config);

// Level and key. FAILED_PRECONDITION, with what to do: the key is missing, in a file that others
// can read, or not a key.
absl::Status SetPacking(const sdk::VolumeConfig& config, const PackingParameters& parameters,
                        Options& options);

// 32 bytes, or 64 hexadecimal digits with white space around. INVALID_ARGUMENT.
absl::StatusOr<PackingKey> ParseKey(absl::string_view text);

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_PACKING_PARAMETERS_H_
