// SPDX-License-Identifier: Apache-2.0
//
// Volumes that become larger.
#ifndef DISKD_CLIENT_CSI_EXPAND_H_
#define DISKD_CLIENT_CSI_EXPAND_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/lib/agent.h"
#include "proto/csi/v1/csi.pb.h"
#include "proto/diskd/v1/types.pb.h"

namespace diskd::csi {

// The volume with at least what the range requires, grown if need be, whether it is in use or not.
// Repeatable. OUT_OF_RANGE: it is larger than the limit, or no size fits. INVALID_ARGUMENT: its
// driver can't, for good. Thread-safe.
absl::StatusOr<v1::Volume> Grow(client::Agent& agent, const v1::Volume& volume,
                                const ::csi::v1::CapacityRange& range);

}  // namespace diskd::csi

#endif  // DISKD_CLIENT_CSI_EXPAND_H_
