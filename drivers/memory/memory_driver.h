// SPDX-License-Identifier: Apache-2.0
//
// A sparse RAM disk. Its memory is a file on a tmpfs, so that it outlives the driver's process: a
// killed driver has lost nothing it has acknowledged. It does not outlive the machine.
#ifndef DISKD_DRIVERS_MEMORY_MEMORY_DRIVER_H_
#define DISKD_DRIVERS_MEMORY_MEMORY_DRIVER_H_

#include "drivers/sdk/driver.h"

namespace diskd::memory_driver {

const sdk::DriverDefinition& Definition();

}  // namespace diskd::memory_driver

#endif  // DISKD_DRIVERS_MEMORY_MEMORY_DRIVER_H_
