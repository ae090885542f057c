// SPDX-License-Identifier: Apache-2.0
//
// Names and ids of volumes.
#ifndef DISKD_AGENT_VOLUME_NAMES_H_
#define DISKD_AGENT_VOLUME_NAMES_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace diskd::agent {

inline constexpr size_t kMaxNameBytes = 128;

// "vol-" and 16 hexadecimal digits: 64 random bits, so that none comes twice.
std::string NewVolumeId();
bool IsVolumeId(absl::string_view text);

// INVALID_ARGUMENT: says what a name may look like.
absl::Status CheckName(absl::string_view name);

}  // namespace diskd::agent

#endif  // DISKD_AGENT_VOLUME_NAMES_H_
