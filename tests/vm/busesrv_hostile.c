// SPDX-License-Identifier: Apache-2.0
// A server that answers with rubbish.
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "tests/vm/busesrv.h"

void be_hostile(struct lane* q, unsigned seed, long rounds) {
  struct buse_ring_header* h = q->header;
  for (long round = 0; round < rounds; round++) {
    unsigned n = rand_r(&seed) % (q->attach.ring_entries + 2);
    for (unsigned i = 0; i < n; i++) {
      struct buse_completion* c = &q->cq[(h->cq_tail + i) & (q->attach.ring_entries - 1)];
      c->tag = rand_r(&seed) % 4 ? rand_r(&seed) % q->attach.queue_depth : (unsigned)rand_r(&seed);
      c->generation = rand_r(&seed) % 8;
      c->result = rand_r(&seed) % 3 ? 0 : (int)rand_r(&seed);
    }
    switch (rand_r(&seed) % 128) {
      case 0:
        memset(h, rand_r(&seed), q->attach.cq_offset - q->attach.header_offset);
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
