// SPDX-License-Identifier: Apache-2.0
// Questions of the tests that no tool answers.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/vm/busesrv.h"

static void fail(const char* what) {
  fprintf(stderr, "busesrv: %s\n", what);
  exit(1);
}

// The memory a server gets holds zeroes and nothing else.
void check_zeroed(uint32_t device) {
  for (uint32_t queue = 0; queue < info.params.nr_queues; queue++) {
    struct lane l;
    open_lane(&l, device);
    attach_lane(&l, queue, 0, 0);
    for (uint64_t i = 0; i < l.attach.map_bytes; i++)
      if (l.map[i]) fail("the shared memory is not zero");
    munmap(l.map, l.attach.map_bytes);
    close(l.fd);
  }
}

// Threads that share a lane come to ENTER late: a head long behind is no fault, one ahead is.
void check_heads(uint32_t device) {
  struct lane l;
  open_lane(&l, device);
  attach_lane(&l, 0, 0, 0);
  const uint32_t behind = 0u - 10 * l.attach.ring_entries;  // nothing was published yet
  if (ioctl(l.fd, BUSE_SRV_ENTER, behind | (uint64_t)BUSE_ENTER_NOWAIT)) die("ENTER, late");
  if (!ioctl(l.fd, BUSE_SRV_ENTER, 1 | (uint64_t)BUSE_ENTER_NOWAIT) || errno != EPROTO)
    fail("a head that was never published is taken");
  close(l.fd);
}

// A failed read leaves the reader's buffer alone.
void check_untouched(const char* path) {
  enum { kBytes = 65536, kPattern = 0xa5 };
  int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
  unsigned char* buffer = aligned_alloc(4096, kBytes);
  if (fd < 0 || !buffer) die(path);
  memset(buffer, kPattern, kBytes);
  if (pread(fd, buffer, kBytes, 0) >= 0 || errno != EIO) fail("the read did not fail with EIO");
  for (int i = 0; i < kBytes; i++)
    if (buffer[i] != kPattern) fail("a failed read wrote into the buffer");
}

static void* serve_one(void* lane) { return serve_rings(lane) == ENODEV ? NULL : lane; }

// So many small live disks at once, served by this process until all are destroyed.
void serve_many(unsigned count) {
  pthread_t* threads = calloc(count, sizeof(*threads));
  struct lane* lanes = calloc(count, sizeof(*lanes));
  for (unsigned i = 0; i < count; i++) {
    struct buse_info made = {.index = BUSE_INDEX_ANY};
    made.params = (struct buse_params){.size_bytes = 1 << 20,
                                       .nr_queues = 1,
                                       .queue_depth = 4,
                                       .max_io_bytes = 65536,
                                       .pool_bytes = 1 << 20};
    snprintf(made.name, sizeof(made.name), "many%u", i);
    control_call(BUSE_CTL_CREATE, &made, "create");
    info.params = made.params;
    open_lane(&lanes[i], made.index);
    attach_lane(&lanes[i], 0, 0, 0);
    if ((errno = pthread_create(&threads[i], NULL, serve_one, &lanes[i]))) die("thread");
    control_call(BUSE_CTL_START, &(struct buse_command){.index = made.index}, "start");
  }
  printf("serving\n");
  fflush(stdout);
  for (unsigned i = 0; i < count; i++) {
    void* wrong;
    pthread_join(threads[i], &wrong);
    if (wrong) fail("a server ended otherwise than by its device's end");
  }
}
