/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How a queue takes requests. One is either put on a lane's submission ring at
 * once, or kept on the queue's FIFO of pending requests until the next ENTER of
 * one of its servers delivers it. The latter happens to writes when the servers
 * are busy (a server's CPU copies them, not the submitter's), when data memory
 * is short, behind other pending requests, while the device is quiesced, and
 * while there is no server. Here is the short way of the most common ones.
 */
#ifndef BUSE_ACCEPT_H
#define BUSE_ACCEPT_H

#include "core.h"
#include "data.h"
#include "ring.h"

/* accept.c */
blk_status_t buse_accept_rare(struct buse_queue *q, struct request *rq);
void buse_place(struct buse_queue *q, u32 tag_nr);
void buse_flush_lanes(struct buse_queue *q) __releases(&q->lock);

/*
 * Shall the submitter copy a small write, under the spin lock? To an idle
 * server, unless the submitter has other things to do (away.c) and the server
 * is there for it; if there is no other CPU that could do it meanwhile; and on
 * a polled queue, whose server makes no calls in which it could copy.
 */
static inline bool buse_copy_early(struct buse_queue *q, struct buse_lane *lane)
{
	if (num_online_cpus() == 1 || q->polled)
		return true;
	return !lane->nr_delivered &&
	       !(READ_ONCE(lane->spins) && READ_ONCE(lane->busy_span));
}

/* From here on the request is ours. Under q->lock. */
static __always_inline void buse_own(struct buse_tag *tag, struct request *rq,
				     u8 op, bool bio)
{
	if (!bio)
		blk_mq_start_request(rq);
	tag->rq = rq;
	tag->op = op;
	tag->delivered_before = false;
	tag->nr_chunks = 0;
}

/*
 * Takes a request from the block layer, or one that stands for a bio. Under
 * q->lock. Reads and writes of queues with one lane are dealt with right here.
 */
static __always_inline blk_status_t buse_accept(struct buse_queue *q,
						struct request *rq, bool bio)
{
	u32 tag_nr = rq->tag;
	struct buse_tag *tag = &q->tags[tag_nr];
	struct buse_lane *lane = q->lanes;
	bool write = rq->cmd_flags & (__force blk_opf_t)REQ_OP_WRITE;

	if (unlikely(rq->cmd_flags & BUSE_RARE) ||
	    unlikely(q->failing || q->dead || q->special))
		return buse_accept_rare(q, rq);
	buse_own(tag, rq, write, bio);
	tag->sequence = atomic64_inc_return(&q->dev->sequence);
	if (unlikely(!lane->accepts || tag->slot_kept ||
		     blk_rq_bytes(rq) > BUSE_CHUNK_BYTES)) {
		buse_place(q, tag_nr);
		return BLK_STS_OK;
	}
	if (q->pending_count | q->nr_copying | q->hold ||
	    (write && !buse_copy_early(q, lane))) {
		buse_pending_push(q, tag_nr);
		return BLK_STS_OK;
	}
	buse_pool_get_slot(q, tag, tag_nr);
	if (write)
		buse_pool_copy_plain(q, tag, rq, true);
	buse_ring_write(q, lane, tag, tag_nr, write,
			(u64)blk_rq_pos(rq) << SECTOR_SHIFT, blk_rq_bytes(rq),
			tag->data_offset, 0);
	return BLK_STS_OK;
}

/* Ends a batch: publishes, drops q->lock, wakes. */
static __always_inline void buse_flush_batch(struct buse_queue *q)
	__releases(&q->lock)
{
	if (unlikely(q->nr_lanes > 1)) {
		buse_flush_lanes(q);
		return;
	}
	buse_lane_publish(q->lanes);
	spin_unlock(&q->lock);
	buse_lane_kick(q->lanes);
}

#endif /* BUSE_ACCEPT_H */
