// SPDX-License-Identifier: Apache-2.0
//
// main() of every driver executable:
//
//   int main(int argc, char** argv) { return diskd::sdk::DriverMain(argc, argv, kMyDriver); }
//
// How the executable is called:
//   diskd-driver-NAME describe          prints diskd.driver.v1.DriverDescription as JSON, exit 0
//   diskd-driver-NAME serve --control-fd=N [--log-level=LEVEL]
//        N is a listening AF_UNIX SOCK_SEQPACKET socket. The process accepts one client at a
//        time after another on it (the agent reconnects after its own restart) and answers
//        diskd.driver.v1 requests until kShutdown arrives or it is killed. It does not exit when
//        a client disconnects.
#ifndef DISKD_DRIVERS_SDK_MAIN_H_
#define DISKD_DRIVERS_SDK_MAIN_H_

#include "drivers/sdk/driver.h"

namespace diskd::sdk {

int DriverMain(int argc, char** argv, const DriverDefinition& definition);

}  // namespace diskd::sdk

#endif  // DISKD_DRIVERS_SDK_MAIN_H_
