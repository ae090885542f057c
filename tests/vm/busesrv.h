// SPDX-License-Identifier: Apache-2.0
// Parts of the module's test server; see busesrv.c for its command line.
#ifndef DISKD_TESTS_VM_BUSESRV_H_
#define DISKD_TESTS_VM_BUSESRV_H_

#include <stdbool.h>
#include <stdint.h>

#include "kernel/uapi/buse.h"

// One lane of a queue, served by one thread.
struct lane {
  int fd;
  struct buse_attach attach;
  char* map;
  struct buse_ring_header* header;
  struct buse_request* sq;
  struct buse_completion* cq;
};

extern struct buse_info info;  // of the device served

void die(const char* what) __attribute__((noreturn));
void control_call(unsigned long request, void* argument, const char* name);
void* map_file(const char* path, uint64_t bytes);
void open_lane(struct lane* lane, uint32_t device);
void attach_lane(struct lane* lane, uint32_t queue, uint32_t flags, uint32_t lane_number);

// busesrv_serve.c
void serve(uint32_t index, int argc, char** argv);
void show_counters(const char* path);
int serve_rings(struct lane* lane);  // until ENTER fails; returns its errno
// busesrv_probe.c
void check_zeroed(uint32_t device);
void check_heads(uint32_t device);
void check_untouched(const char* path);
void serve_many(unsigned count);
// busesrv_cache.c: one disk a process. A write is first made in the memory of cache_open(), then
// told.
char* cache_open(const char* path, uint64_t bytes, unsigned random_seed);
// Returns how many sectors have been written since the last flush; torn: some of these are durable.
uint32_t cache_wrote(uint64_t offset, uint64_t length, bool durable, bool* torn);
void cache_flush(void);
// busesrv_hostile.c
void be_hostile(struct lane* lane, unsigned seed, long rounds);

#endif  // DISKD_TESTS_VM_BUSESRV_H_
