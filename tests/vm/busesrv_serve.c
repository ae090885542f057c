// SPDX-License-Identifier: Apache-2.0
// The serving side of the module's test server: one thread for each lane.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/vm/busesrv.h"

enum {
  READS, WRITES, FLUSHES, FUAS, DISCARDS, ZEROES, NO_UNMAPS, REDELIVERED, RANGES, ERASES, METAS,
  AHEADS, UNFLUSHED, TORN, COUNTERS
};
static const char* const counter_names[COUNTERS] = {
    "reads",  "writes",    "flushes",     "fuas",   "discards",
    "zeroes", "no_unmaps", "redelivered", "ranges", "erases",
    "metas",  "readaheads", "unflushed",  "torn"};

static char* data;
static uint64_t own_counters[COUNTERS], *counters = own_counters;
static long delay_us, spin_us, fail_errno, keep_slots, dirty, hostile, rounds = 2000;
static long volatile_seed, lie;
static long lanes = 1, one_lane = -1, one_queue = -1, pin_pipe = -1;
static uint32_t attach_flags;
static struct lane served[BUSE_MAX_QUEUES * BUSE_MAX_SERVERS_PER_QUEUE];
static unsigned nr_served;

static void count(int counter) { __atomic_add_fetch(&counters[counter], 1, __ATOMIC_RELAXED); }

void show_counters(const char* path) {
  counters = map_file(path, sizeof(own_counters));
  for (int i = 0; i < COUNTERS; i++) printf("%s=%lu\n", counter_names[i], counters[i]);
}

static void wrote(uint64_t offset, uint64_t length, bool durable) {
  bool torn;
  if (!volatile_seed) return;
  counters[UNFLUSHED] = cache_wrote(offset, length, durable && !lie, &torn);
  if (torn) count(TORN);
}

static void flush(void) {
  if (!volatile_seed || lie) return;
  cache_flush();
  counters[UNFLUSHED] = 0;
}

static int discard(uint64_t offset, uint64_t length) {
  if (offset + length > info.params.size_bytes) return -EINVAL;
  if (data) memset(data + offset, 0, length);
  wrote(offset, length, false);
  return 0;
}

static int discard_ranges(const struct buse_range* range, uint32_t bytes) {
  if (!bytes || bytes % sizeof(*range)) return -EINVAL;
  for (; bytes; bytes -= sizeof(*range), range++) {
    count(RANGES);
    if (!range->length || discard(range->offset, range->length)) return -EINVAL;
  }
  return 0;
}

// The limits the device was created with hold for every read and write.
static int within_limits(const struct buse_request* r) {
  const struct buse_params* p = &info.params;
  if (r->op != BUSE_OP_READ && r->op != BUSE_OP_WRITE) return 1;
  if (r->length % p->logical_block_bytes || r->length > p->max_io_bytes) return 0;
  return !p->chunk_bytes || r->offset % p->chunk_bytes + r->length <= p->chunk_bytes;
}

// Keeps a reference to the data in the pipe `pin_pipe`, and hangs: as a server does that is killed
// while its O_DIRECT write is under way.
static void pin_and_hang(char* slot, uint32_t length) {
  struct iovec vector = {slot, length};
  if (vmsplice(pin_pipe, &vector, 1, SPLICE_F_NONBLOCK) != length) die("vmsplice");
  printf("pinned\n");
  fflush(stdout);
  for (;;) pause();
}

static int answer(const struct buse_request* r, char* slot) {
  if (r->flags & BUSE_REQ_META) count(METAS);
  if (r->flags & BUSE_REQ_READAHEAD) count(AHEADS);
  if (!within_limits(r)) {
    fprintf(stderr, "busesrv: request exceeds the limits\n");
    return -EINVAL;
  }
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
      else if (!keep_slots)
        memset(slot, 0, r->length);
      return 0;
    case BUSE_OP_WRITE:
      count(WRITES);
      if (r->flags & BUSE_REQ_FUA) count(FUAS);
      if (fail_errno) return -(int)fail_errno;
      if (pin_pipe >= 0) pin_and_hang(slot, r->length);
      if (data) memcpy(data + r->offset, slot, r->length);
      wrote(r->offset, r->length, r->flags & BUSE_REQ_FUA);
      return 0;
    case BUSE_OP_FLUSH:
      count(FLUSHES);
      flush();
      return 0;
    case BUSE_OP_DISCARD:
    case BUSE_OP_WRITE_ZEROES:
    case BUSE_OP_SECURE_ERASE:
      count(r->op == BUSE_OP_DISCARD ? DISCARDS : r->op == BUSE_OP_SECURE_ERASE ? ERASES : ZEROES);
      if (r->flags & BUSE_REQ_NO_UNMAP) count(NO_UNMAPS);
      if (r->flags & BUSE_REQ_RANGES) return discard_ranges((const void*)slot, r->length);
      return discard(r->offset, r->length);
    default:
      return -EOPNOTSUPP;
  }
}

// Until it is this lane's turn the rings are somebody else's.
static int wait_for_turn(struct lane* l) {
  while (ioctl(l->fd, BUSE_SRV_ENTER, 0UL))
    if (errno != EINTR) return errno;
  return 0;
}

int serve_rings(struct lane* l) {
  uint32_t mask = l->attach.ring_entries - 1, head = 0, cq_tail = 0;
  int error = attach_flags == BUSE_ATTACH_STANDBY ? wait_for_turn(l) : 0;
  while (!error) {
    uint32_t tail = __atomic_load_n(&l->header->sq_tail, __ATOMIC_ACQUIRE);
    for (; head != tail; head++) {
      const struct buse_request* r = &l->sq[head & mask];
      struct buse_completion* c = &l->cq[cq_tail++ & mask];
      if (delay_us) usleep(delay_us);
      *c = (struct buse_completion){
          .tag = r->tag, .generation = r->generation, .result = answer(r, l->map + r->data_offset)};
    }
    __atomic_store_n(&l->header->cq_tail, cq_tail, __ATOMIC_RELEASE);
    if (ioctl(l->fd, BUSE_SRV_ENTER, head | (uint64_t)spin_us << BUSE_ENTER_SPIN_SHIFT) &&
        errno != EINTR)
      error = errno;
  }
  return error;
}

static void* serve_lane(void* argument) {
  struct lane* l = argument;
  struct sched_param batch = {0};
  int error;

  sched_setscheduler(0, SCHED_BATCH, &batch);
  if (hostile) {
    be_hostile(l, hostile + l->attach.queue + 100 * l->attach.lane, rounds);
    return NULL;
  }
  error = serve_rings(l);
  if (error == ESHUTDOWN) {
    close(l->fd);  // the mapping holds the file too: the process is about to end
  } else if (error != ENODEV) {
    errno = error;
    die("enter");
  }
  return NULL;
}

// Its own disk, with data nobody has written back: the last close is in this process's exit.
static void dirty_own_disk(uint32_t index) {
  static char block[65536];
  char path[64];
  snprintf(path, sizeof(path), "/dev/buse%u", index);
  int fd = open(path, O_RDWR | O_CLOEXEC);
  memset(block, 0x5a, sizeof(block));
  if (fd < 0 || write(fd, block, sizeof(block)) != sizeof(block)) die(path);
}

// A successor has taken the mapping away.
static void revoked(int signal) {
  static const char text[] = "busesrv: the mapping was revoked\n";
  (void)signal;
  if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0) _exit(1);
  _exit(ESTALE);
}

static void* release_on_sigterm(void* argument) {
  sigset_t* set = argument;
  int signal;
  sigwait(set, &signal);
  for (unsigned i = 0; i < nr_served; i++) ioctl(served[i].fd, BUSE_SRV_RELEASE, 0UL);
  return NULL;
}

static void parse(int argc, char** argv) {
  char text[PATH_MAX];
  for (int a = 0; a < argc; a++) {
    if (sscanf(argv[a], "file=%4095s", text) == 1)
      data = volatile_seed ? cache_open(text, info.params.size_bytes, volatile_seed)
                           : map_file(text, info.params.size_bytes);
    else if (sscanf(argv[a], "stats=%4095s", text) == 1)
      counters = map_file(text, sizeof(own_counters));
    else if (!strcmp(argv[a], "take_over"))
      attach_flags = BUSE_ATTACH_TAKE_OVER;
    else if (!strcmp(argv[a], "standby"))
      attach_flags = BUSE_ATTACH_STANDBY;
    else if (!strcmp(argv[a], "dirty"))
      dirty = 1;
    else if (!strcmp(argv[a], "lie"))
      lie = 1;
    else if (!strcmp(argv[a], "keep_slots"))
      keep_slots = 1;
    else if (sscanf(argv[a], "delay_us=%ld", &delay_us) != 1 &&
             sscanf(argv[a], "spin_us=%ld", &spin_us) != 1 &&
             sscanf(argv[a], "volatile=%ld", &volatile_seed) != 1 &&
             sscanf(argv[a], "fail=%ld", &fail_errno) != 1 &&
             sscanf(argv[a], "hostile=%ld", &hostile) != 1 &&
             sscanf(argv[a], "rounds=%ld", &rounds) != 1 &&
             sscanf(argv[a], "queue=%ld", &one_queue) != 1 &&
             sscanf(argv[a], "pin=%ld", &pin_pipe) != 1 &&
             sscanf(argv[a], "lanes=%ld", &lanes) != 1 &&
             sscanf(argv[a], "lane=%ld", &one_lane) != 1)
      exit(1);
  }
}

static void attach_all(uint32_t index) {
  for (uint32_t i = 0; i < info.params.nr_queues; i++) {
    if (one_queue >= 0 && i != (uint32_t)one_queue) continue;
    for (long j = 0; j < (one_lane >= 0 ? 1 : lanes); j++) {
      struct lane* l = &served[nr_served++];
      uint32_t flags = attach_flags;
      if (one_lane >= 0 && !flags) flags = BUSE_ATTACH_LANE;
      open_lane(l, index);
      attach_lane(l, i, flags, !flags ? 0 : one_lane >= 0 ? one_lane : j);
    }
  }
}

void serve(uint32_t index, int argc, char** argv) {
  static sigset_t terminate;
  pthread_t threads[BUSE_MAX_QUEUES * BUSE_MAX_SERVERS_PER_QUEUE], releaser;

  parse(argc, argv);
  signal(SIGBUS, revoked);
  sigemptyset(&terminate);
  sigaddset(&terminate, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &terminate, NULL);
  attach_all(index);
  for (unsigned i = 0; i < nr_served; i++)
    if ((errno = pthread_create(&threads[i], NULL, serve_lane, &served[i]))) die("thread");
  if ((errno = pthread_create(&releaser, NULL, release_on_sigterm, &terminate))) die("thread");
  if (dirty) dirty_own_disk(index);
  printf("serving\n");
  fflush(stdout);
  for (unsigned i = 0; i < nr_served; i++) pthread_join(threads[i], NULL);
}
