// SPDX-License-Identifier: Apache-2.0
//
// What is on a device: a file system, a partition table, anything that libblkid knows.
// Thread-safe.
#ifndef DISKD_CLIENT_CSI_SIGNATURE_H_
#define DISKD_CLIENT_CSI_SIGNATURE_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"

namespace diskd::csi {

// The name of the signature, or kUnfinishedXfs (host.h); nullopt: what `fd` reads is readable and
// has none. `fd` is a block device or a regular file, `name` what messages call it.
absl::StatusOr<std::optional<std::string>> SignatureOn(int fd, const std::string& name);

}  // namespace diskd::csi

#endif  // DISKD_CLIENT_CSI_SIGNATURE_H_
