// SPDX-License-Identifier: Apache-2.0
//
// What keeps two owners of a volume apart, and the times of a lease (docs/object-lease.md).
#ifndef DISKD_DRIVERS_OBJECT_FENCING_PARAMETERS_H_
#define DISKD_DRIVERS_OBJECT_FENCING_PARAMETERS_H_

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "drivers/object/engine/options.h"
#include "drivers/sdk/driver.h"

namespace diskd::object {

// `fencing`, `lease`, `gate`: the store has to be given that gate. INVALID_ARGUMENT.
absl::Status ParseFencing(const sdk::VolumeConfig& config, Options& options);

// How long a request may be without a sign of life. With a lease a part of the time in which one
// may land late: until then the kernel repeats what was not confirmed.
absl::Duration StoreSilence(const Options& options);

// What an open may take where it may have to wait for leases, and its waits alone; zero: there are
// none.
absl::Duration ExpectedOpening(const Options& options);
absl::Duration LongestLeaseWait(const Options& options);

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_FENCING_PARAMETERS_H_
