// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/runtime/allocator.h"

#include <malloc.h>

namespace diskd::object {
namespace {

// An arena for each thread keeps what was freed there from all others. Small blocks come from the
// threads' caches anyway.
constexpr int kArenas = 1;
// Larger blocks are mapped one by one and leave no holes. Set, so that glibc does not raise it to
// the size of the objects.
constexpr int kMappedBytes = 512 << 10;
// Free memory at the heap's end that is given back.
constexpr int kTrimBytes = 1 << 20;

}  // namespace

void LimitAllocator() {
  mallopt(M_ARENA_MAX, kArenas);
  mallopt(M_MMAP_THRESHOLD, kMappedBytes);
  mallopt(M_TRIM_THRESHOLD, kTrimBytes);
}

}  // namespace diskd::object
