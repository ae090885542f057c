// SPDX-License-Identifier: Apache-2.0
//
// Changes of size. The driver's backing store and the record change one after the other; the
// record's resize_bytes is the intent from before the first until after the second, so that a
// crash in between, or a driver that does not answer, leaves something to finish.
#ifndef DISKD_AGENT_VOLUME_RESIZE_H_
#define DISKD_AGENT_VOLUME_RESIZE_H_

#include <cstdint>
#include <functional>

#include "absl/status/status.h"
#include "agent/volume/environment.h"

namespace diskd::agent {

// `ask` gives the driver the request. OK: driver and record have the size. An error of a driver
// that refused leaves the volume as it was; any other one leaves the intent. The caller has the
// volume's lock.
absl::Status ChangeSize(
    const Environment& environment, VolumeRecord& volume, uint64_t size_bytes,
    const std::function<absl::Status(const diskd::driver::v1::FeatureRequest&)>& ask);

// Finishes what was begun, if anything was, of a volume that no process serves. The caller has the
// lock.
absl::Status FinishResize(const Environment& environment, VolumeRecord& volume);

}  // namespace diskd::agent

#endif  // DISKD_AGENT_VOLUME_RESIZE_H_
