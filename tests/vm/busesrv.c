// SPDX-License-Identifier: Apache-2.0
/*
 * The module's test server, against the ABI header alone.
 *
 *   busesrv create NAME SIZE_BYTES [member=value ...]   prints the index
 *   busesrv start|destroy|info INDEX
 *   busesrv stop INDEX [force]
 *   busesrv resize INDEX SIZE_BYTES
 *   busesrv list
 *   busesrv serve INDEX [option=value ...]              prints "serving", runs until ENODEV
 *       file=PATH      data, survives the server (default: none, reads give zeroes)
 *       stats=PATH     counters, see `stats`
 *       delay_us=N     sleep before each answer
 *       spin_us=N      spin in ENTER
 *       fail=ERRNO     answer every read and write with it
 *       hostile=SEED   answer with rubbish, for rounds=N rounds
 *   busesrv stats PATH                                  prints the counters
 *
 * Exit codes: 0; 1 usage; otherwise the errno of the failed call.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/uapi/buse.h"

enum { READS, WRITES, FLUSHES, FUAS, DISCARDS, ZEROES, NO_UNMAPS, REDELIVERED, COUNTERS };
static const char* const counter_names[COUNTERS] = {
    "reads", "writes", "flushes", "fuas", "discards", "zeroes", "no_unmaps", "redelivered"};

static struct buse_info info;
static char* data;
static uint64_t own_counters[COUNTERS], *counters = own_counters;
static long delay_us, spin_us, fail_errno, hostile, rounds = 2000;

static void die(const char* what) {
  int error = errno;
  fprintf(stderr, "busesrv: %s: %s\n", what, strerror(error));
  exit(error ? error : 1);
}

static int control(void) {
  int fd = open("/dev/buse-control", O_RDWR | O_CLOEXEC);
  if (fd < 0) die("open /dev/buse-control");
  return fd;
}

static void command(unsigned long request, const char* name, uint32_t index, uint32_t flags,
                    uint64_t value) {
  struct buse_command c = {.index = index, .flags = flags, .value = value};
  if (ioctl(control(), request, &c)) die(name);
}

static void get_info(uint32_t index) {
  info.index = index;
  if (ioctl(control(), BUSE_CTL_INFO, &info)) die("info");
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
        MEMBER(reserved)};
    char* value = strchr(argv[a], '=');
    size_t m;
    if (!value) exit(1);
    *value++ = 0;
    for (m = 0; m < sizeof(members) / sizeof(*members); m++)
      if (!strcmp(members[m].name, argv[a])) break;
    if (m == sizeof(members) / sizeof(*members)) exit(1);
    *(uint32_t*)((char*)&i.params + members[m].offset) = strtoul(value, NULL, 0);
  }
  if (ioctl(control(), BUSE_CTL_CREATE, &i)) die("create");
  printf("%u\n", i.index);
}

static void show(void) {
  static const char* const states[] = {"created", "live", "parked", "failing", "stopped"};
  printf(
      "index=%u state=%s openers=%u servers=%u size=%llu queues=%u depth=%u max_io=%u pool=%u "
      "redelivered=%llu stale=%llu name=%s\n",
      info.index, info.state < 5 ? states[info.state] : "?", info.openers, info.servers,
      info.params.size_bytes, info.params.nr_queues, info.params.queue_depth,
      info.params.max_io_bytes, info.params.pool_bytes, info.redelivered, info.stale_completions,
      info.name);
}

static void list(void) {
  struct buse_list l = {0};
  do {
    if (ioctl(control(), BUSE_CTL_LIST, &l)) die("list");
    for (uint32_t i = 0; i < l.count; i++) printf("%u\n", l.index[i]);
    if (l.count) l.first = l.index[l.count - 1] + 1;
  } while (l.count == BUSE_LIST_MAX);
}

static void count(int counter) { __atomic_add_fetch(&counters[counter], 1, __ATOMIC_RELAXED); }

static int answer(const struct buse_request* r, char* slot) {
  if (r->flags & BUSE_REQ_REDELIVERED) count(REDELIVERED);
  if (r->op != BUSE_OP_FLUSH && r->offset + r->length > info.params.size_bytes) {
    fprintf(stderr, "busesrv: request out of range\n");
    return -EINVAL;
  }
  switch (r->op) {
    case BUSE_OP_READ:
      count(READS);
      if (fail_errno) return -(int)fail_errno;
      if (data)
        memcpy(slot, data + r->offset, r->length);
      else
        memset(slot, 0, r->length);
      return 0;
    case BUSE_OP_WRITE:
      count(WRITES);
      if (r->flags & BUSE_REQ_FUA) count(FUAS);
      if (fail_errno) return -(int)fail_errno;
      if (data) memcpy(data + r->offset, slot, r->length);
      return 0;
    case BUSE_OP_FLUSH:
      count(FLUSHES);
      return 0;
    case BUSE_OP_DISCARD:
    case BUSE_OP_WRITE_ZEROES:
      count(r->op == BUSE_OP_DISCARD ? DISCARDS : ZEROES);
      if (r->flags & BUSE_REQ_NO_UNMAP) count(NO_UNMAPS);
      if (data) memset(data + r->offset, 0, r->length);
      return 0;
    default:
      return -EOPNOTSUPP;
  }
}

struct queue {
  int fd;
  struct buse_attach attach;
  char* map;
};

static void be_hostile(struct queue* q, unsigned seed) {
  struct buse_ring_header* h = (void*)q->map;
  struct buse_completion* cq = (void*)(q->map + q->attach.cq_offset);
  for (long round = 0; round < rounds; round++) {
    unsigned n = rand_r(&seed) % (q->attach.ring_entries + 2);
    for (unsigned i = 0; i < n; i++) {
      struct buse_completion* c = &cq[(h->cq_tail + i) & (q->attach.ring_entries - 1)];
      c->tag = rand_r(&seed) % 4 ? rand_r(&seed) % q->attach.queue_depth : (unsigned)rand_r(&seed);
      c->generation = rand_r(&seed) % 8;
      c->result = rand_r(&seed) % 3 ? 0 : (int)rand_r(&seed);
    }
    switch (rand_r(&seed) % 128) {
      case 0:
        memset(q->map, rand_r(&seed), q->attach.data_offset);
        break;
      case 1:
        h->cq_tail = rand_r(&seed);
        break;
      case 2:
        h->sq_tail = rand_r(&seed);
        break;
      default:
        __atomic_store_n(&h->cq_tail, h->cq_tail + n, __ATOMIC_RELEASE);
    }
    // A head that was never published ends the game at once: only now and then.
    uint32_t head = rand_r(&seed) % 256 ? h->sq_tail : (unsigned)rand_r(&seed);
    if (ioctl(q->fd, BUSE_SRV_ENTER, head | BUSE_ENTER_NOWAIT) && errno == EPROTO) break;
  }
}

static void* serve_queue(void* argument) {
  struct queue* q = argument;
  struct buse_ring_header* h = (void*)q->map;
  struct buse_request* sq = (void*)(q->map + q->attach.sq_offset);
  struct buse_completion* cq = (void*)(q->map + q->attach.cq_offset);
  uint32_t mask = q->attach.ring_entries - 1, head = 0, cq_tail = 0;
  struct sched_param batch = {0};

  sched_setscheduler(0, SCHED_BATCH, &batch);
  if (hostile) {
    be_hostile(q, hostile + q->attach.queue);
    return NULL;
  }
  for (;;) {
    uint32_t tail = __atomic_load_n(&h->sq_tail, __ATOMIC_ACQUIRE);
    for (; head != tail; head++) {
      const struct buse_request* r = &sq[head & mask];
      struct buse_completion* c = &cq[cq_tail++ & mask];
      if (delay_us) usleep(delay_us);
      *c = (struct buse_completion){
          .tag = r->tag, .generation = r->generation, .result = answer(r, q->map + r->data_offset)};
    }
    __atomic_store_n(&h->cq_tail, cq_tail, __ATOMIC_RELEASE);
    if (ioctl(q->fd, BUSE_SRV_ENTER, head | (uint64_t)spin_us << BUSE_ENTER_SPIN_SHIFT) &&
        errno != EINTR) {
      if (errno == ENODEV) return NULL;
      die("enter");
    }
  }
}

static void* map_file(const char* path, uint64_t bytes) {
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  void* p;
  if (fd < 0 || ftruncate(fd, bytes)) die(path);
  p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (p == MAP_FAILED) die(path);
  close(fd);
  return p;
}

static void serve(uint32_t index, int argc, char** argv) {
  char path[64], text[PATH_MAX];
  struct queue queues[BUSE_MAX_QUEUES];
  pthread_t threads[BUSE_MAX_QUEUES];

  get_info(index);
  for (int a = 0; a < argc; a++) {
    if (sscanf(argv[a], "file=%4095s", text) == 1)
      data = map_file(text, info.params.size_bytes);
    else if (sscanf(argv[a], "stats=%4095s", text) == 1)
      counters = map_file(text, sizeof(own_counters));
    else if (sscanf(argv[a], "delay_us=%ld", &delay_us) != 1 &&
             sscanf(argv[a], "spin_us=%ld", &spin_us) != 1 &&
             sscanf(argv[a], "fail=%ld", &fail_errno) != 1 &&
             sscanf(argv[a], "hostile=%ld", &hostile) != 1 &&
             sscanf(argv[a], "rounds=%ld", &rounds) != 1)
      exit(1);
  }
  snprintf(path, sizeof(path), "/dev/busec%u", index);
  for (uint32_t i = 0; i < info.params.nr_queues; i++) {
    struct queue* q = &queues[i];
    *q = (struct queue){.attach = {.queue = i, .abi_version = BUSE_ABI_VERSION}};
    q->fd = open(path, O_RDWR | O_CLOEXEC);
    if (q->fd < 0) die(path);
    if (ioctl(q->fd, BUSE_SRV_ATTACH, &q->attach)) die("attach");
    q->map = mmap(NULL, q->attach.map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, q->fd, 0);
    if (q->map == MAP_FAILED) die("mmap");
  }
  for (uint32_t i = 0; i < info.params.nr_queues; i++)
    if ((errno = pthread_create(&threads[i], NULL, serve_queue, &queues[i]))) die("thread");
  printf("serving\n");
  fflush(stdout);
  for (uint32_t i = 0; i < info.params.nr_queues; i++) pthread_join(threads[i], NULL);
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
    serve(index, argc - 3, argv + 3);
  else if (!strcmp(verb, "stats") && argc == 3) {
    counters = map_file(argv[2], sizeof(own_counters));
    for (int i = 0; i < COUNTERS; i++) printf("%s=%lu\n", counter_names[i], counters[i]);
  } else
    return fprintf(stderr, "usage: see the head of tests/vm/busesrv.c\n"), 1;
  return 0;
}
