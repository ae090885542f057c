// SPDX-License-Identifier: Apache-2.0
//
// How long a device waits for a driver process that may not answer.
#ifndef DISKD_AGENT_DEVICE_LIMITS_H_
#define DISKD_AGENT_DEVICE_LIMITS_H_

#include "absl/time/time.h"

namespace diskd::agent {

inline constexpr absl::Duration kPublishLimit = absl::Seconds(20);
// Long enough for a hung driver to be found, replaced, and to flush.
inline constexpr absl::Duration kFlushLimit = absl::Seconds(60);
inline constexpr absl::Duration kUnpublishLimit = absl::Seconds(60);
inline constexpr absl::Duration kForcedUnpublishLimit = absl::Seconds(20);

}  // namespace diskd::agent

#endif  // DISKD_AGENT_DEVICE_LIMITS_H_
