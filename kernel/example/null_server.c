// SPDX-License-Identifier: Apache-2.0
// A disk that forgets what is written and reads as zeroes, until SIGINT, SIGTERM or its end by
// somebody else. One queue, one thread.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "kernel/uapi/buse.h"
static struct buse_command index_only;
static int control;
// ENTER then says ENODEV. By force, as nobody serves a flush meanwhile.
static void stop(int signal_number) {
  struct buse_command by_force = {.index = index_only.index, .flags = BUSE_STOP_FORCE};
  if (signal_number != 0) ioctl(control, BUSE_CTL_STOP, &by_force);
  ioctl(control, BUSE_CTL_DESTROY, &index_only);
}

static long check(long result, const char* what) {
  return result != -1 ? result : (perror(what), exit(1), 0);
}

int main(int argc, char** argv) {
  if (argc != 3) return fputs("usage: null_server NAME BYTES\n", stderr), 2;
  // Without us reads and writes fail after a second; the default is to wait for the next server.
  struct buse_info info = {.index = BUSE_INDEX_ANY, .params = {.park_limit_ms = 1000}};
  info.params.nr_queues = 1;
  info.params.size_bytes = strtoull(argv[2], NULL, 0);
  snprintf(info.name, sizeof(info.name), "%s", argv[1]);
  control = check(open("/dev/buse-control", O_RDWR), "open /dev/buse-control");
  check(ioctl(control, BUSE_CTL_CREATE, &info), "create");
  char path[32];
  snprintf(path, sizeof(path), "/dev/busec%u", info.index);
  int server = check(open(path, O_RDWR), path);
  struct buse_attach layout = {.abi_version = BUSE_ABI_VERSION};
  check(ioctl(server, BUSE_SRV_ATTACH, &layout), "attach");
  char* map = mmap(NULL, layout.map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, server, 0);
  check((long)map, "mmap");
  struct buse_ring_header* header = (void*)map;
  const struct buse_request* requests = (void*)(map + layout.sq_offset);
  struct buse_completion* completions = (void*)(map + layout.cq_offset);
  index_only.index = info.index;
  check(ioctl(control, BUSE_CTL_START, &index_only), "start");
  signal(SIGINT, stop), signal(SIGTERM, stop);
  printf("/dev/buse%u\n", info.index), fflush(stdout);
  for (__u32 head = 0, mask = layout.ring_entries - 1;;) {
    for (; head != __atomic_load_n(&header->sq_tail, __ATOMIC_ACQUIRE); head++) {
      const struct buse_request* r = &requests[head & mask];
      if (r->op == BUSE_OP_READ) memset(map + r->data_offset, 0, r->length);
      completions[head & mask] =
          (struct buse_completion){.generation = r->generation, .tag = r->tag};
    }
    __atomic_store_n(&header->cq_tail, head, __ATOMIC_RELEASE);
    if (ioctl(server, BUSE_SRV_ENTER, head) != 0 && errno != EINTR) return errno != ENODEV;
  }
}
