// SPDX-License-Identifier: Apache-2.0
#include "drivers/sdk/transport/buse_queue.h"

#include <sys/ioctl.h>
#include <sys/mman.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "base/errno_status.h"

namespace diskd::sdk {

KernelBuseQueue::~KernelBuseQueue() {
  if (memory_ != nullptr) munmap(memory_, bytes_);
}

absl::StatusOr<buse_attach> KernelBuseQueue::Attach(uint32_t queue) {
  buse_attach attach{};
  attach.queue = queue;
  attach.abi_version = BUSE_ABI_VERSION;
  if (standby_) attach.flags = BUSE_ATTACH_STANDBY;
  if (ioctl(fd_.get(), BUSE_SRV_ATTACH, &attach) != 0) {
    return ErrnoStatus(errno, absl::StrCat("attach to buse queue ", queue));
  }
  return attach;
}

absl::StatusOr<std::byte*> KernelBuseQueue::Map(size_t bytes) {
  void* memory =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd_.get(), 0);
  if (memory == MAP_FAILED) {
    return ErrnoStatus(errno, absl::StrCat("map ", bytes, " bytes of a buse queue"));
  }
  memory_ = static_cast<std::byte*>(memory);
  bytes_ = bytes;
  return memory_;
}

int KernelBuseQueue::Enter(uint64_t argument) {
  return ioctl(fd_.get(), BUSE_SRV_ENTER, argument) == 0 ? 0 : errno;
}

}  // namespace diskd::sdk
