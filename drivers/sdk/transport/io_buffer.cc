// SPDX-License-Identifier: Apache-2.0
#include "drivers/sdk/transport/io_buffer.h"

#include <sys/mman.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/log.h"

namespace diskd::sdk {

absl::StatusOr<IoBuffer> IoBuffer::Allocate(size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) {
    return ErrnoStatus(errno, absl::StrCat("allocate ", bytes, " bytes of I/O buffers"));
  }
  if (mlock(memory, bytes) != 0) SPDLOG_DEBUG("I/O buffers are not locked: no CAP_IPC_LOCK");
  return IoBuffer(static_cast<std::byte*>(memory), bytes);
}

void IoBuffer::Unmap::operator()(std::byte* memory) const { munmap(memory, bytes); }

}  // namespace diskd::sdk
