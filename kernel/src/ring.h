/* SPDX-License-Identifier: GPL-2.0-only */
/* The submission ring of a lane, as the kernel fills it. */
#ifndef BUSE_RING_H
#define BUSE_RING_H

#include "core.h"
#include "request.h"
#include "trace.h"

/* deliver.c */
void buse_ring_put_rare(struct buse_lane *lane, struct buse_tag *tag);

/* What the common requests have nothing of. */
#define BUSE_RARE	((REQ_OP_MASK & ~(__force blk_opf_t)REQ_OP_WRITE) | \
			 BUSE_CMD_FLAGS)

/* Writes the entry of a request to the submission ring. Under q->lock. */
static __always_inline void buse_ring_write(struct buse_queue *q,
					    struct buse_lane *lane,
					    struct buse_tag *tag, u32 tag_nr,
					    u8 op, u64 offset, u32 length,
					    u32 data_offset, u8 flags)
{
	struct buse_request *e = &lane->sq[lane->tail & lane->mask];
	u32 generation = tag->generation + 1;

	tag->delivered_before = true;
	tag->state = BUSE_TAG_DELIVERED;
	tag->lane = lane->index;
	tag->generation = generation;
	lane->nr_delivered++;
	if (buse_fault(q, BUSE_FAULT_DROP_REQUEST))
		return;
	e->offset = offset;
	e->sequence = tag->sequence;
	e->length = length;
	e->data_offset = data_offset;
	e->generation = generation;
	e->tag = tag_nr;
	e->op = op;
	e->flags = flags;
	if (unlikely(flags & BUSE_REQ_REDELIVERED))
		trace_buse_redeliver(q, tag, op, offset, length);
	else
		trace_buse_deliver(q, tag, op, offset, length);
	lane->tail++;
}

/*
 * Puts a request whose data memory is ready on the submission ring. There is
 * room: the ring has an entry for every tag, and the server reads entries in
 * order before it completes them. Under q->lock.
 */
static __always_inline void buse_ring_put(struct buse_lane *lane,
					  struct buse_tag *tag)
{
	struct request *rq = tag->rq;

	if (unlikely(rq->cmd_flags & BUSE_RARE || tag->delivered_before))
		buse_ring_put_rare(lane, tag);
	else
		buse_ring_write(lane->queue, lane, tag, rq->tag, tag->op,
				(u64)blk_rq_pos(rq) << SECTOR_SHIFT,
				blk_rq_bytes(rq), tag->data_offset, 0);
}

/* Shows the server what is on the ring. Under q->lock. */
static inline void buse_lane_publish(struct buse_lane *lane)
{
	if (lane->published == lane->tail)
		return;
	/* Entries and data before the tail that covers them. */
	smp_store_release(&lane->header->sq_tail, lane->tail);
	WRITE_ONCE(lane->published, lane->tail);
}

#endif /* BUSE_RING_H */
