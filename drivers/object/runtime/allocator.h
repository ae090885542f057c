// SPDX-License-Identifier: Apache-2.0
#ifndef DISKD_DRIVERS_OBJECT_RUNTIME_ALLOCATOR_H_
#define DISKD_DRIVERS_OBJECT_RUNTIME_ALLOCATOR_H_

namespace diskd::object {

// Has the process keep little more memory than is in use, so that the engine's budgets are those of
// the process. Before the first thread starts.
void LimitAllocator();

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_RUNTIME_ALLOCATOR_H_
