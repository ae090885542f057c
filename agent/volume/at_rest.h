// SPDX-License-Identifier: Apache-2.0
//
// Asking a driver for something in a process that lives for the call.
#ifndef DISKD_AGENT_VOLUME_AT_REST_H_
#define DISKD_AGENT_VOLUME_AT_REST_H_

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agent/volume/environment.h"

namespace diskd::agent {

// `request` with its config. Slot 0: the caller has the volume's lock, and no process serves it;
// kLookSlot: the request only looks.
absl::StatusOr<diskd::driver::v1::FeatureResponse> CallAtRest(
    const Environment& environment, const VolumeRecord& volume,
    const diskd::driver::v1::FeatureRequest& request, int slot, absl::Duration limit);

}  // namespace diskd::agent

#endif  // DISKD_AGENT_VOLUME_AT_REST_H_
