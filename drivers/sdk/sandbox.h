// SPDX-License-Identifier: Apache-2.0
//
// What a driver process gives up, and what it asks of the kernel, before it serves anybody.
#ifndef DISKD_DRIVERS_SDK_SANDBOX_H_
#define DISKD_DRIVERS_SDK_SANDBOX_H_

#include <cstdint>

#include "absl/status/status.h"

namespace diskd::sdk {

// Call once, before any thread is made. Afterwards:
//   - the process is an I/O flusher: its allocations never wait for its own disk (where permitted);
//   - its memory is locked as it is touched (where permitted). Locking on touch, and not all at
//     once, keeps large sparse mappings sparse; I/O buffers are touched when they are made;
//   - it has no capabilities but CAP_IPC_LOCK, which the locking of later memory needs, and those
//     that LeaveRoot() needs; it can't get any back, and has umask 077. It keeps its user id, to
//     open what belongs to root.
// Not being permitted to lock is logged, not an error: containers often can't.
absl::Status EnterSandbox();

// Call once, when everything is open and before the first request. Afterwards:
//   - the process, with all its threads, is `user`, and in the group of that number alone;
//   - it has no capabilities at all, and is refused system calls that no driver needs and that
//     attacks on the kernel begin with (EPERM; where seccomp is available);
//   - memory that it maps later is locked only where an unlimited RLIMIT_MEMLOCK permits it.
// With `user` 0 it stays what it is, and only loses all capabilities but CAP_IPC_LOCK.
// INVALID_ARGUMENT: the user namespace does not know the user.
absl::Status LeaveRoot(uint32_t user);

}  // namespace diskd::sdk

#endif  // DISKD_DRIVERS_SDK_SANDBOX_H_
