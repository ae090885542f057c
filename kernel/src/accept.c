// SPDX-License-Identifier: GPL-2.0-only
/* What accept.h has no short way for: several lanes, large or rare requests. */
#include "accept.h"
#include "core.h"
#include "data.h"
#include "request.h"
#include "ring.h"

/* An idle server that waits, else the one that holds the fewest, else NULL. */
static struct buse_lane *buse_pick_lane(struct buse_queue *q)
{
	struct buse_lane *lane = q->lanes;
	struct buse_lane *best = NULL;

	if (likely(q->nr_lanes == 1))
		return lane->accepts ? lane : NULL;
	for (; lane < q->lanes + q->nr_lanes; lane++) {
		if (!lane->accepts)
			continue;
		if (!lane->nr_delivered && READ_ONCE(lane->need_wake))
			return lane;
		if (!best || lane->nr_delivered < best->nr_delivered)
			best = lane;
	}
	return best;
}

/* Can the request go on the ring right here in the submitter? */
static bool buse_try_direct(struct buse_queue *q, struct buse_lane *lane,
			    u32 tag_nr)
{
	struct buse_tag *tag = &q->tags[tag_nr];
	u32 bytes = buse_data_bytes(tag->rq);

	if (!lane || q->pending_count || q->nr_copying || q->hold)
		return false;
	if (!bytes)
		return true;
	if (req_op(tag->rq) == REQ_OP_READ)
		return buse_pool_get(q, tag_nr, bytes);
	if (bytes > BUSE_CHUNK_BYTES || !buse_copy_early(q, lane))
		return false;
	if (!buse_pool_get(q, tag_nr, bytes))
		return false;
	buse_pool_copy(q, tag, true);
	return true;
}

/* Delivers a request, or keeps it. Under q->lock. */
void buse_place(struct buse_queue *q, u32 tag_nr)
{
	struct buse_lane *lane = buse_pick_lane(q);

	if (buse_try_direct(q, lane, tag_nr))
		buse_ring_put(lane, &q->tags[tag_nr]);
	else
		buse_pending_push(q, tag_nr);
}

/* Under q->lock. */
blk_status_t buse_accept_rare(struct buse_queue *q, struct request *rq)
{
	struct buse_tag *tag = &q->tags[rq->tag];
	int op = buse_op_of(rq);

	if (q->failing || q->dead)
		return BLK_STS_IOERR;
	if (op < 0)
		return BLK_STS_NOTSUPP;
	buse_own(tag, rq, op, q->bios);
	if (q->extents) {
		if (buse_order_enter(q, rq->tag)) {
			tag->state = BUSE_TAG_HELD;
			return BLK_STS_OK;
		}
	} else {
		tag->sequence = atomic64_inc_return(&q->dev->sequence);
	}
	buse_place(q, rq->tag);
	return BLK_STS_OK;
}

/*
 * With several lanes: publishes on all, and wakes those that got something; if
 * there are pending requests, the others too to fetch them. Not just one: a
 * server that is busy looks like one that sleeps.
 */
void buse_flush_lanes(struct buse_queue *q)
	__releases(&q->lock)
{
	struct buse_lane *lane;
	bool fetch = q->pending_count && !q->hold;
	unsigned long got = 0;

	for (lane = q->lanes; lane < q->lanes + q->nr_lanes; lane++) {
		if (lane->published == lane->tail)
			continue;
		buse_lane_publish(lane);
		got |= BIT(lane->index);
	}
	spin_unlock(&q->lock);
	if (fetch)
		smp_mb(); /* pending_count before need_wake: buse_lane_kick() */
	for (lane = q->lanes; lane < q->lanes + q->nr_lanes; lane++) {
		bool waits = fetch && READ_ONCE(lane->accepts) &&
			     READ_ONCE(lane->need_wake);

		if (got & BIT(lane->index) || waits)
			buse_lane_kick(lane);
	}
}
