// SPDX-License-Identifier: Apache-2.0
//
// A driver that misbehaves on request, to try what everything around it does. Its data is in
// STATE_DIR/faulty.img, so that it is a real disk as long as it behaves.
#ifndef DISKD_DRIVERS_FAULTY_FAULTY_DRIVER_H_
#define DISKD_DRIVERS_FAULTY_FAULTY_DRIVER_H_

#include "drivers/sdk/driver.h"

namespace diskd::faulty_driver {

const sdk::DriverDefinition& Definition();

}  // namespace diskd::faulty_driver

#endif  // DISKD_DRIVERS_FAULTY_FAULTY_DRIVER_H_
