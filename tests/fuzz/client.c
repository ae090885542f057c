// SPDX-License-Identifier: Apache-2.0
// Somebody who uses the disks meanwhile, in every way that reaches the module.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

enum { kBufferBytes = 1 << 20 };

static long one_call(struct Random* r, int fd, char* buffer, uint64_t bytes) {
  const size_t length = (size_t)512 << below(r, 12);
  const off_t offset = (off_t)(draw(r) % (bytes + 4096) & ~511ull);
  uint64_t range[2] = {(uint64_t)offset, length};
  switch (below(r, 16)) {
    case 0:
      return fsync(fd);
    case 1:
      return ioctl(fd, BLKDISCARD, range);
    case 2:
      return ioctl(fd, BLKZEROOUT, range);
    case 3:
      return one_in(r, 8) ? ioctl(fd, BLKRRPART) : ioctl(fd, BLKFLSBUF);
    case 4: {
      char* map = mmap(NULL, 65536, PROT_READ, MAP_SHARED, fd, 0);
      if (map == MAP_FAILED) return -1;
      madvise(map, 65536, MADV_WILLNEED);
      return munmap(map, 65536);
    }
    case 5:
    case 6:
    case 7:
    case 8:
      return pwrite(fd, buffer, length, offset);
    default:
      return pread(fd, buffer, length, offset);
  }
}

static void use_disk(struct Thread* thread, char* buffer) {
  struct Random* r = &thread->random;
  const uint32_t device = below(r, kDevices);
  uint64_t* since = &shared->io_since[thread->process][thread->thread];
  char path[32];
  uint64_t bytes = 0;

  snprintf(path, sizeof(path), "/dev/buse%u", device);
  shared->io_device[thread->process][thread->thread] = device;
  __atomic_store_n(since, now_ms(), __ATOMIC_RELEASE);
  const int fd = open(path, (one_in(r, 3) ? 0 : O_DIRECT) | O_RDWR | O_CLOEXEC);
  if (fd >= 0 && ioctl(fd, BLKGETSIZE64, &bytes) == 0 && bytes > 0) {
    for (uint32_t n = below(r, 200); n > 0; n--) {
      __atomic_store_n(since, now_ms(), __ATOMIC_RELEASE);
      count(one_call(r, fd, buffer, bytes) < 0 ? &shared->io_errors : &shared->io_ok);
    }
  }
  if (fd >= 0) {
    __atomic_store_n(since, now_ms(), __ATOMIC_RELEASE);
    close(fd);
  }
  __atomic_store_n(since, 0, __ATOMIC_RELEASE);
  if (fd < 0 || bytes == 0) pause_us(20000);
}

void client_thread(struct Thread* thread) {
  char* buffer;
  if (posix_memalign((void**)&buffer, 4096, 2 * kBufferBytes)) _exit(5);
  memset(buffer, 0x5a, 2 * kBufferBytes);
  for (;;) {
    use_disk(thread, buffer);
    pause_us(below(&thread->random, 5000));
  }
}
