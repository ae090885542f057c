// SPDX-License-Identifier: Apache-2.0
// A hostile server: threads that share descriptors and mappings and do with them what they like.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

enum { kSlots = 6, kHonestRounds = 64 };

// Written by all threads without a lock: what a slot says may be wrong at any time, on purpose.
static struct Slot {
  volatile int fd;
  struct buse_attach attach;
  char* volatile map;
  volatile uint32_t head;
} slots[kSlots];

static _Thread_local sigjmp_buf after_fault;
static _Thread_local volatile sig_atomic_t may_fault;

static void on_fault(int signal) {
  (void)signal;
  count(&shared->faults);
  if (!may_fault) _exit(3);
  siglongjmp(after_fault, 1);
}

static void open_slot(struct Random* r, struct Slot* slot) {
  char path[32];
  if (slot->fd > 0) return;
  snprintf(path, sizeof(path), "/dev/busec%u", below(r, kDevices));
  const int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (fd >= 0) slot->fd = fd;
}

static void attach_slot(struct Random* r, struct Slot* slot) {
  static const uint32_t ways[] = {0, 0, BUSE_ATTACH_LANE, BUSE_ATTACH_TAKE_OVER,
                                  BUSE_ATTACH_STANDBY};
  struct buse_attach attach = {.queue = below(r, 3),
                               .abi_version = BUSE_ABI_VERSION,
                               .flags = ways[below(r, sizeof(ways) / sizeof(*ways))]};
  if (attach.flags) attach.lane = below(r, 3);
  if (one_in(r, 8)) fill(r, (char*)&attach + below(r, sizeof(attach) - 4), 4);
  void* argument = one_in(r, 32) ? (void*)odd_number(r) : &attach;
  if (ioctl(slot->fd, BUSE_SRV_ATTACH, argument) == 0) {
    slot->attach = attach;
    slot->head = 0;
    count(&shared->attaches);
  }
}

static void map_slot(struct Random* r, struct Slot* slot) {
  size_t bytes = slot->attach.map_bytes;
  off_t offset = 0;
  int flags = MAP_SHARED, protection = PROT_READ | PROT_WRITE;
  if (one_in(r, 8)) bytes = 4096 + below(r, 1 << 24);
  if (one_in(r, 16)) offset = (off_t)below(r, 64) * 4096;
  if (one_in(r, 16)) flags = MAP_PRIVATE;
  if (one_in(r, 16)) protection = below(r, 8);
  char* map = mmap(NULL, bytes, protection, flags, slot->fd, offset);
  if (map == MAP_FAILED) return;
  if (bytes == slot->attach.map_bytes && protection == (PROT_READ | PROT_WRITE) &&
      slot->map == NULL) {
    slot->map = map;
  } else {
    munmap(map, bytes);
  }
}

static void change_map(struct Random* r, struct Slot* slot) {
  char* map = slot->map;
  const size_t bytes = slot->attach.map_bytes;
  if (map == NULL) return;
  switch (below(r, 6)) {
    case 0:
      madvise(map, bytes, (int)below(r, 26));
      break;
    case 1:
      mprotect(map + 4096 * below(r, 4), 4096, (int)below(r, 4));
      break;
    case 2:
      // Grows, moves or shrinks; refused by the kernel or harmless.
      if (mremap(map, bytes, 4096 * (1 + below(r, 1024)), MREMAP_MAYMOVE) != MAP_FAILED)
        slot->map = NULL;
      break;
    case 3: {  // pages in a pipe outlive the mapping
      int ends[2];
      struct iovec part = {map + 4096 * below(r, 8), 4096};
      if (pipe2(ends, O_NONBLOCK | O_CLOEXEC)) return;
      (void)!vmsplice(ends[1], &part, 1, SPLICE_F_NONBLOCK);
      munmap(map, bytes);
      slot->map = NULL;
      close(ends[0]);
      close(ends[1]);
      break;
    }
    default:
      slot->map = NULL;
      munmap(map, bytes);
  }
}

static void close_slot(struct Random* r, struct Slot* slot) {
  const int fd = slot->fd;
  if (fd <= 0) return;
  if (one_in(r, 2)) {  // closed by the kernel, with the socket that carries it
    int pair[2];
    char byte = 0, space[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec data = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof(space)};
    struct cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &fd, sizeof(fd));
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) == 0) {
      (void)!sendmsg(pair[0], &message, MSG_DONTWAIT);
      slot->fd = 0;
      close(fd);
      close(pair[0]);
      close(pair[1]);
      return;
    }
  }
  slot->fd = 0;
  close(fd);
}

// Of an ENTER: mostly the file is of no more use. Now and then it is kept all the same.
static void after_error(struct Random* r, struct Slot* slot) {
  const int error = errno;
  if (error == EPROTO) count(&shared->broken);
  if (error == ESTALE) count(&shared->taken_over);
  if (error == EPROTO || error == ENODEV || error == ESTALE || error == ESHUTDOWN) {
    if (!one_in(r, 8)) close_slot(r, slot);
  }
}

static struct buse_ring_header* header_of(const struct Slot* slot) {
  char* map = slot->map;
  return map == NULL ? NULL : (void*)(map + slot->attach.header_offset);
}

static void enter_slot(struct Random* r, struct Slot* slot) {
  uint64_t argument = slot->head;
  if (slot->map != NULL && !one_in(r, 8)) {
    const struct buse_ring_header* header = header_of(slot);
    if (header == NULL) return;
    argument = __atomic_load_n(&header->sq_tail, __ATOMIC_ACQUIRE);
    if (one_in(r, 2)) slot->head = (uint32_t)argument;
  }
  if (!one_in(r, 6)) argument |= BUSE_ENTER_NOWAIT;
  if (one_in(r, 3)) argument |= (uint64_t)below(r, 2000) << BUSE_ENTER_SPIN_SHIFT;
  if (one_in(r, 40)) argument ^= 1ull << below(r, 64);
  if (one_in(r, 200)) argument = odd_number(r);
  count(&shared->enters);
  if (ioctl(slot->fd, BUSE_SRV_ENTER, argument) != 0) after_error(r, slot);
}

static uint32_t index_in(const struct Slot* slot, uint32_t number) {
  return number & (slot->attach.ring_entries - 1);
}

static void forge(struct Random* r, struct Slot* slot) {
  char* map = slot->map;
  if (map == NULL || slot->attach.ring_entries == 0) return;
  struct buse_ring_header* header = (void*)(map + slot->attach.header_offset);
  struct buse_completion* cq = (void*)(map + slot->attach.cq_offset);
  const struct buse_request* sq = (void*)(map + slot->attach.sq_offset);
  const uint32_t n = below(r, slot->attach.ring_entries + (one_in(r, 32) ? 2 : 1));
  for (uint32_t i = 0; i < n; i++) {
    struct buse_completion* c = &cq[index_in(slot, header->cq_tail + i)];
    const struct buse_request* known = &sq[index_in(slot, (uint32_t)draw(r))];
    fill(r, c, sizeof(*c));
    if (!one_in(r, 4)) c->tag = known->tag;
    if (!one_in(r, 3)) c->generation = known->generation + (one_in(r, 6) ? below(r, 3) - 1 : 0);
    if (one_in(r, 2)) c->result = one_in(r, 2) ? 0 : -(int32_t)below(r, 200);
  }
  switch (below(r, 64)) {
    case 0:
      fill(r, map, slot->attach.data_offset);
      break;
    case 1:
      header->cq_tail = (uint32_t)odd_number(r);
      break;
    case 2:
      header->sq_tail = (uint32_t)odd_number(r);
      break;
    case 3:
      fill(r, map + slot->attach.data_offset, 1 << 16);
      break;
    default:
      __atomic_store_n(&header->cq_tail, header->cq_tail + n, __ATOMIC_RELEASE);
  }
  count(&shared->forged);
}

// Answers as it should, for a while, so that devices come alive and I/O is in flight.
static void serve(struct Random* r, struct Slot* slot) {
  char* map = slot->map;
  if (map == NULL || slot->attach.ring_entries == 0) return;
  struct buse_ring_header* header = (void*)(map + slot->attach.header_offset);
  const struct buse_request* sq = (void*)(map + slot->attach.sq_offset);
  struct buse_completion* cq = (void*)(map + slot->attach.cq_offset);
  uint32_t head = slot->head;
  for (uint32_t round = below(r, kHonestRounds); round > 0; round--) {
    const uint32_t tail = __atomic_load_n(&header->sq_tail, __ATOMIC_ACQUIRE);
    uint32_t cq_tail = header->cq_tail;
    if (tail - head > slot->attach.ring_entries) break;
    for (; head != tail; head++) {
      const struct buse_request request = sq[index_in(slot, head)];
      cq[index_in(slot, cq_tail++)] =
          (struct buse_completion){.tag = request.tag, .generation = request.generation};
      count(&shared->served);
    }
    slot->head = head;
    __atomic_store_n(&header->cq_tail, cq_tail, __ATOMIC_RELEASE);
    const uint64_t wait = one_in(r, 4) ? 0 : BUSE_ENTER_NOWAIT;
    count(&shared->enters);
    if (ioctl(slot->fd, BUSE_SRV_ENTER, head | wait) != 0 && errno != EINTR) {
      after_error(r, slot);
      return;
    }
    if (one_in(r, 4)) pause_us(below(r, 500));
  }
}

static void fork_child(struct Random* r, struct Slot* slot) {
  count(&shared->forks);
  const uint32_t life_us = below(r, 5000);
  const uint64_t argument = slot->head | BUSE_ENTER_NOWAIT;
  if (fork() != 0) return;
  ioctl(slot->fd, BUSE_SRV_ENTER, argument);
  usleep(life_us);
  _exit(0);
}

static void other_calls(struct Random* r, struct Slot* slot) {
  char bytes[64];
  struct pollfd poll_one = {.fd = slot->fd, .events = (short)below(r, 0x2000)};
  switch (below(r, 6)) {
    case 4:
      if (one_in(r, 3)) ioctl(slot->fd, BUSE_SRV_RELEASE, one_in(r, 8) ? odd_number(r) : 0);
      break;
    case 0:
      poll(&poll_one, 1, (int)below(r, 3));
      break;
    case 1:
      fill(r, bytes, sizeof(bytes));
      ioctl(slot->fd, _IOC(below(r, 4), 'B', below(r, 256), below(r, 512)), bytes);
      break;
    case 2:
      (void)!read(slot->fd, bytes, sizeof(bytes));
      (void)!write(slot->fd, bytes, sizeof(bytes));
      break;
    case 3:
      (void)!lseek(slot->fd, (off_t)odd_number(r), SEEK_SET);
      (void)!fcntl(slot->fd, F_SETFL, below(r, 2) ? O_NONBLOCK : 0);
      break;
    default: {
      const int copy = dup(slot->fd);
      if (copy >= 0) close(copy);
    }
  }
}

static void step(struct Random* r) {
  struct Slot* slot = &slots[below(r, kSlots)];
  const uint32_t what = below(r, 100);
  if (slot->fd <= 0) {
    open_slot(r, slot);
  } else if (what < 16) {
    attach_slot(r, slot);
  } else if (what < 30) {
    if (slot->map == NULL) map_slot(r, slot);
  } else if (what < 60) {
    serve(r, slot);
  } else if (what < 74) {
    enter_slot(r, slot);
  } else if (what < 84) {
    forge(r, slot);
  } else if (what < 88) {
    change_map(r, slot);
  } else if (what < 91) {
    close_slot(r, slot);
  } else if (what < 92) {
    fork_child(r, slot);
  } else {
    other_calls(r, slot);
  }
}

static void ignore(int signal) { (void)signal; }

void server_thread(struct Thread* thread) {
  struct Random* r = &thread->random;
  const struct sigaction fault = {.sa_handler = on_fault, .sa_flags = SA_NODEFER};
  const struct sigaction interrupt = {.sa_handler = ignore};
  sigaction(SIGSEGV, &fault, NULL);
  sigaction(SIGBUS, &fault, NULL);
  sigaction(SIGALRM, &interrupt, NULL);
  signal(SIGCHLD, SIG_IGN);
  signal(SIGPIPE, SIG_IGN);
  // Waits in ENTER end: one thread gets each alarm.
  ualarm(20000, 20000);
  for (;;) {
    (void)sigsetjmp(after_fault, 1);
    may_fault = 1;
    step(r);
    may_fault = 0;
    if (one_in(r, 16)) pause_us(below(r, 2000));
  }
}
