// SPDX-License-Identifier: Apache-2.0
//
// A disk in a raw file or on a block device, by io_uring and O_DIRECT.
#ifndef DISKD_DRIVERS_FILE_FILE_DRIVER_H_
#define DISKD_DRIVERS_FILE_FILE_DRIVER_H_

#include "drivers/sdk/driver.h"

namespace diskd::file_driver {

const sdk::DriverDefinition& Definition();

}  // namespace diskd::file_driver

#endif  // DISKD_DRIVERS_FILE_FILE_DRIVER_H_
