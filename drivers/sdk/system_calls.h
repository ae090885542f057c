// SPDX-License-Identifier: Apache-2.0
//
// Fewer system calls for a process that serves a disk.
#ifndef DISKD_DRIVERS_SDK_SYSTEM_CALLS_H_
#define DISKD_DRIVERS_SDK_SYSTEM_CALLS_H_

#include "absl/status/status.h"

namespace diskd::sdk {

// For all threads, for good; no_new_privs is set. Calls that run programs, change the system, look
// into other processes, or open namespaces fail with EPERM. A list of what is refused, not of what
// is allowed: a driver may use any library. Kernels without seccomp filters: logged, OK.
absl::Status RefuseSystemCalls();

}  // namespace diskd::sdk

#endif  // DISKD_DRIVERS_SDK_SYSTEM_CALLS_H_
