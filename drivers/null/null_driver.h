// SPDX-License-Identifier: Apache-2.0
//
// A disk that answers at once: the upper bound in benchmarks of everything around a driver.
// Writes are dropped. Reads give zeroes, written on each read: the I/O memory holds what passed
// through it before.
#ifndef DISKD_DRIVERS_NULL_NULL_DRIVER_H_
#define DISKD_DRIVERS_NULL_NULL_DRIVER_H_

#include "drivers/sdk/driver.h"

namespace diskd::null_driver {

const sdk::DriverDefinition& Definition();

}  // namespace diskd::null_driver

#endif  // DISKD_DRIVERS_NULL_NULL_DRIVER_H_
