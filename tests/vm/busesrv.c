// SPDX-License-Identifier: Apache-2.0
/*
 * The module's test server, against the ABI header alone.
 *
 *   busesrv create NAME SIZE_BYTES [member=value ...]   prints the index
 *   busesrv start|destroy|info|unquiesce INDEX
 *   busesrv stop INDEX [force]
 *   busesrv resize INDEX SIZE_BYTES
 *   busesrv policy INDEX PARK_LIMIT_MS
 *   busesrv quiesce INDEX TIMEOUT_MS
 *   busesrv list
 *   busesrv serve INDEX [option=value ...]              prints "serving", runs until ENODEV
 *       file=PATH      data, survives the server (default: none, reads give zeroes)
 *       volatile=SEED  (before file=) a write cache that a kill loses; needs one process a disk
 *       lie            do not flush that cache
 *       stats=PATH     counters, see `stats`
 *       delay_us=N     sleep before each answer
 *       spin_us=N      spin in ENTER
 *       fail=ERRNO     answer every read and write with it
 *       keep_slots     answer reads without touching their data
 *       dirty          (disk is started) write to the own disk, leave it open
 *       pin=FD         put a write's pages into this pipe, then hang
 *       hostile=SEED   answer with rubbish, for rounds=N rounds
 *       queue=N        that queue only
 *       lanes=N        so many lanes of each queue, a thread for each
 *       lane=N         that lane only
 *       take_over, standby   how to attach
 *     SIGTERM: answers what it holds and ends. Its mapping revoked: exit code ESTALE.
 *   busesrv stats PATH                                  prints the counters
 *   busesrv many COUNT     makes, serves and starts so many disks
 *   busesrv zeroed INDEX   checks that a server gets zeroed memory
 *   busesrv heads INDEX    checks which heads ENTER takes
 *   busesrv untouched DISK checks that a failing read leaves the reader's buffer alone
 *
 * Exit codes: 0; 1 usage; otherwise the errno of the failed call.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/vm/busesrv.h"

struct buse_info info;

void die(const char* what) {
  int error = errno;
  fprintf(stderr, "busesrv: %s: %s\n", what, strerror(error));
  exit(error ? error : 1);
}

static int control(void) {
  int fd = open("/dev/buse-control", O_RDWR | O_CLOEXEC);
  if (fd < 0) die("open /dev/buse-control");
  return fd;
}

// With BUSE_DISKS=bios in the environment all disks are such, but polled ones, which cannot be.
static void choose_disk(struct buse_params* params) {
  const char* disks = getenv("BUSE_DISKS");
  if (disks && !strcmp(disks, "bios") && !params->nr_poll_queues)
    params->attributes |= BUSE_ATTR_BIO;
}

void control_call(unsigned long request, void* argument, const char* name) {
  int fd = control();
  if (request == BUSE_CTL_CREATE) choose_disk(&((struct buse_info*)argument)->params);
  if (ioctl(fd, request, argument)) die(name);
  close(fd);
}

static void command(unsigned long request, const char* name, uint32_t index, uint32_t flags,
                    uint64_t value) {
  struct buse_command c = {.index = index, .flags = flags, .value = value};
  control_call(request, &c, name);
}

static void get_info(uint32_t index) {
  info.index = index;
  control_call(BUSE_CTL_INFO, &info, "info");
}

static void create(int argc, char** argv) {
  struct buse_info i = {.index = BUSE_INDEX_ANY};
  snprintf(i.name, sizeof(i.name), "%s", argv[0]);
  i.params.size_bytes = strtoull(argv[1], NULL, 0);
  i.params.attributes =
      BUSE_ATTR_VOLATILE_CACHE | BUSE_ATTR_FUA | BUSE_ATTR_DISCARD | BUSE_ATTR_WRITE_ZEROES;
  for (int a = 2; a < argc; a++) {
    static const struct {
      const char* name;
      size_t offset;
    } members[] = {
#define MEMBER(m) {#m, offsetof(struct buse_params, m)}
        MEMBER(attributes),   MEMBER(logical_block_bytes), MEMBER(physical_block_bytes),
        MEMBER(max_io_bytes), MEMBER(nr_queues),           MEMBER(queue_depth),
        MEMBER(pool_bytes),   MEMBER(park_limit_ms),       MEMBER(io_opt_bytes),
        MEMBER(servers_per_queue), MEMBER(io_min_bytes), MEMBER(max_discard_bytes),
        MEMBER(chunk_bytes), MEMBER(max_discard_segments),
        MEMBER(discard_granularity_bytes), MEMBER(nr_poll_queues), MEMBER(reserved)};
    char* value = strchr(argv[a], '=');
    size_t m;
    if (!value) exit(1);
    *value++ = 0;
    for (m = 0; m < sizeof(members) / sizeof(*members); m++)
      if (!strcmp(members[m].name, argv[a])) break;
    if (m == sizeof(members) / sizeof(*members)) exit(1);
    *(uint32_t*)((char*)&i.params + members[m].offset) = strtoul(value, NULL, 0);
  }
  control_call(BUSE_CTL_CREATE, &i, "create");
  printf("%u\n", i.index);
}

static void show(void) {
  static const char* const states[] = {"created", "live", "parked", "failing", "stopped"};
  printf(
      "index=%u state=%s openers=%u servers=%u size=%llu queues=%u depth=%u max_io=%u pool=%u "
      "redelivered=%llu stale=%llu lanes=%u quiesced=%u park_limit_ms=%u name=%s\n",
      info.index, info.state < 5 ? states[info.state] : "?", info.openers, info.servers,
      info.params.size_bytes, info.params.nr_queues, info.params.queue_depth,
      info.params.max_io_bytes, info.params.pool_bytes, info.redelivered, info.stale_completions,
      info.params.servers_per_queue, info.flags & BUSE_INFO_QUIESCED, info.params.park_limit_ms,
      info.name);
}

static void list(void) {
  struct buse_list l = {0};
  do {
    control_call(BUSE_CTL_LIST, &l, "list");
    for (uint32_t i = 0; i < l.count; i++) printf("%u\n", l.index[i]);
    if (l.count) l.first = l.index[l.count - 1] + 1;
  } while (l.count == BUSE_LIST_MAX);
}

void* map_file(const char* path, uint64_t bytes) {
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  void* p;
  if (fd < 0 || ftruncate(fd, bytes)) die(path);
  p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (p == MAP_FAILED) die(path);
  close(fd);
  return p;
}

void open_lane(struct lane* lane, uint32_t device) {
  char path[64];
  snprintf(path, sizeof(path), "/dev/busec%u", device);
  lane->fd = open(path, O_RDWR | O_CLOEXEC);
  if (lane->fd < 0) die(path);
}

void attach_lane(struct lane* lane, uint32_t queue, uint32_t flags, uint32_t lane_number) {
  struct buse_attach* a = &lane->attach;
  *a = (struct buse_attach){
      .queue = queue, .abi_version = BUSE_ABI_VERSION, .flags = flags, .lane = lane_number};
  if (ioctl(lane->fd, BUSE_SRV_ATTACH, a)) die("attach");
  lane->map = mmap(NULL, a->map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, lane->fd, 0);
  if (lane->map == MAP_FAILED) die("mmap");
  lane->header = (void*)(lane->map + a->header_offset);
  lane->sq = (void*)(lane->map + a->sq_offset);
  lane->cq = (void*)(lane->map + a->cq_offset);
}

int main(int argc, char** argv) {
  const char* verb = argc > 1 ? argv[1] : "";
  uint32_t index = argc > 2 ? strtoul(argv[2], NULL, 0) : 0;

  if (!strcmp(verb, "create") && argc > 3)
    create(argc - 2, argv + 2);
  else if (!strcmp(verb, "list"))
    list();
  else if (!strcmp(verb, "start") && argc == 3)
    command(BUSE_CTL_START, verb, index, 0, 0);
  else if (!strcmp(verb, "stop") && argc > 2)
    command(BUSE_CTL_STOP, verb, index, argc > 3 ? BUSE_STOP_FORCE : 0, 0);
  else if (!strcmp(verb, "destroy") && argc == 3)
    command(BUSE_CTL_DESTROY, verb, index, 0, 0);
  else if (!strcmp(verb, "resize") && argc == 4)
    command(BUSE_CTL_RESIZE, verb, index, 0, strtoull(argv[3], NULL, 0));
  else if (!strcmp(verb, "info") && argc == 3)
    get_info(index), show();
  else if (!strcmp(verb, "serve") && argc > 2)
    get_info(index), serve(index, argc - 3, argv + 3);
  else if (!strcmp(verb, "policy") && argc == 4)
    command(BUSE_CTL_SET_POLICY, verb, index, 0, strtoull(argv[3], NULL, 0));
  else if (!strcmp(verb, "quiesce") && argc == 4)
    command(BUSE_CTL_QUIESCE, verb, index, 0, strtoull(argv[3], NULL, 0));
  else if (!strcmp(verb, "unquiesce") && argc == 3)
    command(BUSE_CTL_UNQUIESCE, verb, index, 0, 0);
  else if (!strcmp(verb, "many") && argc == 3)
    serve_many(index);
  else if (!strcmp(verb, "zeroed") && argc == 3)
    get_info(index), check_zeroed(index);
  else if (!strcmp(verb, "heads") && argc == 3)
    get_info(index), check_heads(index);
  else if (!strcmp(verb, "untouched") && argc == 3)
    check_untouched(argv[2]);
  else if (!strcmp(verb, "stats") && argc == 3)
    show_counters(argv[2]);
  else
    return fprintf(stderr, "usage: see the head of tests/vm/busesrv.c\n"), 1;
  return 0;
}
