// SPDX-License-Identifier: Apache-2.0
// A hostile controller: random and nearly right control calls, from several threads.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

int control_call(int fd, unsigned long request, uint32_t index, uint32_t flags, uint64_t value) {
  struct buse_command command = {.index = index, .flags = flags, .value = value};
  return ioctl(fd, request, &command) == 0 ? 0 : errno;
}

static struct buse_info good_info(struct Random* r) {
  struct buse_info info = {.index = below(r, kDevices)};
  snprintf(info.name, sizeof(info.name), "fuzz-%u", info.index);
  info.params.logical_block_bytes = 512u << below(r, 4);
  info.params.size_bytes = (uint64_t)(1 + below(r, 64)) << 20;
  info.params.attributes = below(r, BUSE_ATTR_ALL + 1) & ~BUSE_ATTR_READ_ONLY;
  info.params.max_io_bytes = 65536u << below(r, 4);
  info.params.nr_queues = 1 + below(r, 3);
  info.params.queue_depth = 1 + below(r, 48);
  info.params.servers_per_queue = 1 + below(r, 3);
  if (one_in(r, 3)) info.params.max_discard_segments = 1 + below(r, 8);
  if (one_in(r, 8)) info.params.chunk_bytes = 65536u << below(r, 5);
  info.params.park_limit_ms = one_in(r, 2) ? 0 : 100 + below(r, 2000);
  return info;
}

static int create(struct Random* r, int fd) {
  struct buse_info info = good_info(r);
  if (one_in(r, 4)) {  // one member wrong, or not
    uint32_t value = (uint32_t)odd_number(r);
    memcpy((char*)&info + 4 * below(r, sizeof(info) / 4), &value, sizeof(value));
    // A device elsewhere is one that nobody plays with.
    if (info.index != BUSE_INDEX_ANY && info.index >= kDevices) info.index %= kDevices;
  }
  if (one_in(r, 32)) fill(r, &info, sizeof(info));
  if (ioctl(fd, BUSE_CTL_CREATE, &info) != 0) return errno;
  count(&shared->creates);
  if (info.index >= kDevices) control_call(fd, BUSE_CTL_DESTROY, info.index, 0, 0);
  return 0;
}

static int bad_pointer(struct Random* r, int fd) {
  static const unsigned long calls[] = {BUSE_CTL_CREATE, BUSE_CTL_START,   BUSE_CTL_STOP,
                                        BUSE_CTL_INFO,   BUSE_CTL_DESTROY, BUSE_CTL_LIST,
                                        BUSE_CTL_RESIZE, BUSE_CTL_QUIESCE, BUSE_CTL_SET_POLICY};
  const unsigned long call = calls[below(r, sizeof(calls) / sizeof(*calls))];
  if (one_in(r, 2)) return ioctl(fd, call, (void*)odd_number(r)) ? errno : 0;
  // The structure runs off the end of what is mapped; or can be read but not written.
  char* pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) return errno;
  struct buse_info info = good_info(r);
  const bool whole = one_in(r, 2);
  char* at = pages + 4096 - (whole ? sizeof(info) : 8 * below(r, 32));
  memcpy(at, &info, (size_t)(pages + 4096 - at));
  mprotect(pages, 4096, whole ? PROT_READ : PROT_READ | PROT_WRITE);
  munmap(pages + 4096, 4096);
  const int error = ioctl(fd, call, at) ? errno : 0;
  munmap(pages, 4096);
  return error;
}

static int garbage(struct Random* r, int fd) {
  uint32_t words[128];
  fill(r, words, sizeof(words));
  if (one_in(r, 2)) words[0] = below(r, kDevices);
  const unsigned nr = below(r, 4) ? 1 + below(r, 24) : below(r, 256);
  static const unsigned sizes[] = {
      sizeof(struct buse_info), sizeof(struct buse_command), sizeof(struct buse_list), 8, 64, 128};
  const unsigned size = one_in(r, 3) ? below(r, sizeof(words)) : sizes[below(r, 6)];
  return ioctl(fd, _IOC(below(r, 4), 'B', nr, size), words) ? errno : 0;
}

static int query(struct Random* r, int fd) {
  struct buse_info info = {.index = below(r, kDevices)};
  struct buse_list list = {.first = one_in(r, 4) ? (uint32_t)odd_number(r) : 0};
  if (one_in(r, 2)) return ioctl(fd, BUSE_CTL_LIST, &list) ? errno : 0;
  return ioctl(fd, BUSE_CTL_INFO, &info) ? errno : 0;
}

static uint64_t limit(struct Random* r) {
  switch (below(r, 4)) {
    case 0:
      return BUSE_PARK_FOR_EVER;
    case 1:
      return BUSE_PARK_FAIL_FAST;
    case 2:
      return odd_number(r);
    default:
      return 1 + below(r, 1000);
  }
}

static int step(struct Random* r, int fd) {
  const uint32_t index = below(r, kDevices);
  const uint32_t what = below(r, 1000);
  int error;
  if (what < 250) return create(r, fd);
  if (what < 600) {
    error = control_call(fd, BUSE_CTL_START, index, 0, 0);
    if (!error) count(&shared->starts);
    return error;
  }
  if (what < 700) return query(r, fd);
  if (what < 800) {
    const uint64_t bytes = one_in(r, 4) ? odd_number(r) : (uint64_t)(1 + below(r, 64)) << 20;
    return control_call(fd, BUSE_CTL_RESIZE, index, one_in(r, 8), bytes);
  }
  if (what < 810) return control_call(fd, BUSE_CTL_SET_POLICY, index, 0, limit(r));
  if (what < 820) {
    error = control_call(fd, BUSE_CTL_QUIESCE, index, 0, one_in(r, 8) ? odd_number(r) : 50);
    if (!error) count(&shared->quiesces);
    return error;
  }
  if (what < 850) return control_call(fd, BUSE_CTL_UNQUIESCE, index, 0, 0);
  if (what < 880) return bad_pointer(r, fd);
  if (what < 945) return garbage(r, fd);
  if (what < 970) {
    // A device has to live for a while to be of use to the others.
    if (!one_in(r, 3)) return 0;
    error = control_call(fd, BUSE_CTL_STOP, index, one_in(r, 2) ? BUSE_STOP_FORCE : 0, 0);
    if (!error) count(&shared->stops);
    return error;
  }
  error = control_call(fd, BUSE_CTL_DESTROY, index, 0, 0);
  if (!error) count(&shared->destroys);
  return error;
}

void controller_thread(struct Thread* thread) {
  struct Random* r = &thread->random;
  int fd = -1;
  for (;;) {
    if (fd < 0 || one_in(r, 256)) {
      if (fd >= 0) close(fd);
      fd = open("/dev/buse-control", O_RDWR | O_CLOEXEC);
      if (fd < 0) _exit(4);
    }
    if (step(r, fd)) count(&shared->control_errors);
    pause_us(below(r, 4000));
  }
}
