// SPDX-License-Identifier: Apache-2.0
//
// What a driver process gives up, and what it asks of the kernel, before it serves anybody.
#ifndef DISKD_DRIVERS_SDK_SANDBOX_H_
#define DISKD_DRIVERS_SDK_SANDBOX_H_

#include "absl/status/status.h"

namespace diskd::sdk {

// Call once, before any thread is made. Afterwards:
//   - the process is an I/O flusher: its allocations never wait for its own disk (where permitted);
//   - its memory is locked as it is touched (where permitted). Locking on touch, and not all at
//     once, keeps large sparse mappings sparse; I/O buffers are touched when they are made;
//   - it has no capabilities but CAP_IPC_LOCK, which the locking of later memory needs, can't get
//     any back, and umask 077. It keeps its user id: backing files belong to who made them.
// Not being permitted to lock is logged, not an error: containers often can't.
absl::Status EnterSandbox();

}  // namespace diskd::sdk

#endif  // DISKD_DRIVERS_SDK_SANDBOX_H_
