// SPDX-License-Identifier: Apache-2.0
//
// The driver `object`: disks in a store of objects (docs/object-volumes.md).
#ifndef DISKD_DRIVERS_OBJECT_OBJECT_DRIVER_H_
#define DISKD_DRIVERS_OBJECT_OBJECT_DRIVER_H_

#include "drivers/sdk/driver.h"

namespace diskd::object {

const sdk::DriverDefinition& Definition();

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_OBJECT_DRIVER_H_
