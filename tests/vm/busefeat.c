// SPDX-License-Identifier: Apache-2.0
/*
 * Servers for the tests of polled queues and of ordering, against the ABI header alone.
 *
 *   busefeat spin INDEX DATA_FILE            polled queues: never a system call while there is work
 *   busefeat disorder INDEX DATA_FILE STATS  answers late and in any order, and counts the pairs of
 *                                            requests in its hands that overlap (hazards)
 *   busefeat stats STATS                     prints what `disorder` counts
 *
 * Both print "serving" and run until the device is destroyed. Exit codes: 0; 1 usage; otherwise the
 * errno of the failed call.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernel/uapi/buse.h"

enum { SPIN_TURNS = 200000000, MAX_IN_HAND = 32 };

struct queue {
  int fd, spins;
  struct buse_attach attach;
  char* map;
  struct buse_ring_header* header;
  struct buse_request* sq;
  struct buse_completion* cq;
  uint32_t mask, head, cq_tail;
};

struct counters {
  uint64_t requests, hazards, most_in_hand;
};

static struct buse_info info;
static char* data;
static struct counters* counters;
static pthread_mutex_t in_hand_lock = PTHREAD_MUTEX_INITIALIZER;
static struct buse_request in_hand[BUSE_MAX_QUEUES * MAX_IN_HAND];
static unsigned nr_in_hand;

static void die(const char* what) {
  int error = errno;
  fprintf(stderr, "busefeat: %s: %s\n", what, strerror(error));
  exit(error ? error : 1);
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

static int answer(const struct buse_request* r, char* slot) {
  if (r->op == BUSE_OP_FLUSH) return 0;
  if (r->flags & BUSE_REQ_RANGES || r->offset + r->length > info.params.size_bytes) return -EINVAL;
  if (r->op == BUSE_OP_READ)
    memcpy(slot, data + r->offset, r->length);
  else if (r->op == BUSE_OP_WRITE)
    memcpy(data + r->offset, slot, r->length);
  else
    memset(data + r->offset, 0, r->length);
  return 0;
}

static void complete(struct queue* q, const struct buse_request* r) {
  q->cq[q->cq_tail++ & q->mask] = (struct buse_completion){
      .tag = r->tag, .generation = r->generation, .result = answer(r, q->map + r->data_offset)};
}

static void publish(struct queue* q) {
  __atomic_store_n(&q->header->cq_tail, q->cq_tail, __ATOMIC_RELEASE);
}

// Returns 0 when the server has to end.
static int enter(struct queue* q, uint64_t flags) {
  if (!ioctl(q->fd, BUSE_SRV_ENTER, q->head | flags) || errno == EINTR) return 1;
  if (errno == ENODEV) return 0;
  die("enter");
  return 0;
}

static uint32_t tail_of(struct queue* q) {
  return __atomic_load_n(&q->header->sq_tail, __ATOMIC_ACQUIRE);
}

static void* serve_at_once(void* argument) {
  struct queue* q = argument;
  for (;;) {
    uint32_t tail = tail_of(q);
    for (long turn = 0; q->spins && tail == q->head && turn < SPIN_TURNS; turn++) {
      __builtin_ia32_pause();
      tail = tail_of(q);
    }
    int idle = tail == q->head;
    for (; q->head != tail; q->head++) complete(q, &q->sq[q->head & q->mask]);
    publish(q);
    if ((idle || !q->spins) && !enter(q, 0)) return NULL;
  }
}

static int changes_data(const struct buse_request* r) { return r->op != BUSE_OP_READ; }

static int overlap(const struct buse_request* a, const struct buse_request* b) {
  if (a->op == BUSE_OP_FLUSH || b->op == BUSE_OP_FLUSH) return 0;
  return a->offset < b->offset + b->length && b->offset < a->offset + a->length &&
         (changes_data(a) || changes_data(b));
}

static void take(const struct buse_request* r) {
  pthread_mutex_lock(&in_hand_lock);
  for (unsigned i = 0; i < nr_in_hand; i++) counters->hazards += overlap(r, &in_hand[i]);
  in_hand[nr_in_hand++] = *r;
  if (nr_in_hand > counters->most_in_hand) counters->most_in_hand = nr_in_hand;
  counters->requests++;
  pthread_mutex_unlock(&in_hand_lock);
}

static void give_back(const struct buse_request* r) {
  unsigned i = 0;
  pthread_mutex_lock(&in_hand_lock);
  while (in_hand[i].sequence != r->sequence || in_hand[i].generation != r->generation) i++;
  in_hand[i] = in_hand[--nr_in_hand];
  pthread_mutex_unlock(&in_hand_lock);
}

static void* serve_in_disorder(void* argument) {
  struct queue* q = argument;
  struct buse_request mine[MAX_IN_HAND];
  unsigned n = 0, seed = 1 + q->attach.queue;
  for (;;) {
    uint32_t tail = tail_of(q);
    for (; q->head != tail && n < MAX_IN_HAND; q->head++) {
      mine[n] = q->sq[q->head & q->mask];
      take(&mine[n++]);
    }
    if (n) usleep(rand_r(&seed) % 300);
    for (unsigned k = rand_r(&seed) % (n + 1); k; k--) {
      unsigned i = rand_r(&seed) % n;
      give_back(&mine[i]);
      complete(q, &mine[i]);
      mine[i] = mine[--n];
    }
    publish(q);
    if (!enter(q, n ? BUSE_ENTER_NOWAIT : 0)) return NULL;
  }
}

static void attach(struct queue* q, uint32_t index, uint32_t number) {
  char path[64];
  snprintf(path, sizeof(path), "/dev/busec%u", index);
  *q = (struct queue){.attach = {.queue = number, .abi_version = BUSE_ABI_VERSION}};
  q->spins = number >= info.params.nr_queues - info.params.nr_poll_queues;
  q->fd = open(path, O_RDWR | O_CLOEXEC);
  if (q->fd < 0) die(path);
  if (ioctl(q->fd, BUSE_SRV_ATTACH, &q->attach)) die("attach");
  q->map = mmap(NULL, q->attach.map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, q->fd, 0);
  if (q->map == MAP_FAILED) die("mmap");
  q->header = (void*)(q->map + q->attach.header_offset);
  q->sq = (void*)(q->map + q->attach.sq_offset);
  q->cq = (void*)(q->map + q->attach.cq_offset);
  q->mask = q->attach.ring_entries - 1;
}

static void serve(uint32_t index, const char* file, void* (*routine)(void*)) {
  static struct queue queues[BUSE_MAX_QUEUES];
  pthread_t threads[BUSE_MAX_QUEUES];
  int fd = open("/dev/buse-control", O_RDWR | O_CLOEXEC);

  info.index = index;
  if (fd < 0 || ioctl(fd, BUSE_CTL_INFO, &info)) die("info");
  close(fd);
  data = map_file(file, info.params.size_bytes);
  for (uint32_t i = 0; i < info.params.nr_queues; i++) {
    attach(&queues[i], index, i);
    // What an earlier server left behind is delivered by the first call.
    if (!enter(&queues[i], BUSE_ENTER_NOWAIT)) exit(0);
  }
  for (uint32_t i = 0; i < info.params.nr_queues; i++)
    if ((errno = pthread_create(&threads[i], NULL, routine, &queues[i]))) die("thread");
  printf("serving\n");
  fflush(stdout);
  for (uint32_t i = 0; i < info.params.nr_queues; i++) pthread_join(threads[i], NULL);
}

int main(int argc, char** argv) {
  const char* verb = argc > 1 ? argv[1] : "";
  uint32_t index = argc > 2 ? strtoul(argv[2], NULL, 0) : 0;

  if (!strcmp(verb, "spin") && argc == 4) {
    serve(index, argv[3], serve_at_once);
  } else if (!strcmp(verb, "disorder") && argc == 5) {
    counters = map_file(argv[4], sizeof(*counters));
    serve(index, argv[3], serve_in_disorder);
  } else if (!strcmp(verb, "stats") && argc == 3) {
    counters = map_file(argv[2], sizeof(*counters));
    printf("requests=%lu\nhazards=%lu\nmost_in_hand=%lu\n", counters->requests, counters->hazards,
           counters->most_in_hand);
  } else {
    return fprintf(stderr, "usage: see the head of tests/vm/busefeat.c\n"), 1;
  }
  return 0;
}
