// SPDX-License-Identifier: Apache-2.0
//
// What keeps two owners of a volume apart, and the times of a lease (docs/object-lease.md).
#ifndef DISKD_DRIVERS_OBJECT_FENCING_PARAMETERS_H_
#define DISKD_DRIVERS_OBJECT_FENCING_PARAMETERS_H_

#include "absl/status/status.h"
#include "drivers/object/engine/options.h"
#include "drivers/sdk/driver.h"

namespace diskd::object {

// `fencing`, `lease`, `gate`: the store has to be given that gate. INVALID_ARGUMENT, also when an
// attach would be given less time than a lease may need, with the time.
absl::Status ParseFencing(const sdk::VolumeConfig& config, Options& options);

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_FENCING_PARAMETERS_H_
