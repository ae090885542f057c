// SPDX-License-Identifier: GPL-2.0-only
/* Delivers pending requests, in the server's ENTER or in the poll of a client. */
#include <linux/sched.h>

#include "core.h"
#include "data.h"
#include "ring.h"

/* The entry of a request with flags or ranges, or one that was delivered before. */
void buse_ring_put_rare(struct buse_lane *lane, struct buse_tag *tag)
{
	struct request *rq = tag->rq;
	u64 offset = (u64)blk_rq_pos(rq) << SECTOR_SHIFT;
	u32 length = blk_rq_bytes(rq);
	u32 data_offset = tag->data_offset;
	u8 flags = buse_rare_flags_of(rq);

	if (tag->op > BUSE_OP_WRITE) {
		if (buse_has_ranges(rq)) {
			offset = 0;
			length = buse_data_bytes(rq);
			flags |= BUSE_REQ_RANGES;
		} else {
			data_offset = 0;
		}
		if (tag->op == BUSE_OP_FLUSH) {
			offset = 0;
			length = 0;
		}
	}
	if (tag->delivered_before) {
		flags |= BUSE_REQ_REDELIVERED;
		lane->queue->redelivered++;
	}
	buse_ring_write(lane->queue, lane, tag, rq->tag, tag->op, offset, length,
			data_offset, flags);
}

/*
 * Takes up to BUSE_BATCH pending requests that get data memory; of several
 * servers each takes its share.
 */
static u32 buse_deliver_begin(struct buse_lane *lane, u16 *batch, u32 *epoch)
{
	struct buse_queue *q = lane->queue;
	const u16 *pending = q->pending;
	u32 limit = BUSE_BATCH;
	u32 mask = lane->mask;
	u32 head, n;

	spin_lock(&q->lock);
	*epoch = lane->epoch;
	if (!lane->accepts || q->hold & BUSE_HOLD_QUIESCED)
		limit = 0;
	else if (q->nr_accepting > 1)
		limit = min(limit, DIV_ROUND_UP(q->pending_count,
						q->nr_accepting));
	limit = min(limit, q->pending_count);
	head = q->pending_head;
	for (n = 0; n < limit; n++) {
		u32 tag_nr = pending[head++ & mask];
		struct buse_tag *tag = &q->tags[tag_nr];
		u32 bytes = buse_data_bytes(tag->rq);

		if (bytes && !buse_pool_get(q, tag_nr, bytes))
			break;
		tag->state = BUSE_TAG_COPYING;
		batch[n] = tag_nr;
	}
	q->nr_copying += n;
	q->pending_head += n;
	WRITE_ONCE(q->pending_count, q->pending_count - n);
	spin_unlock(&q->lock);
	return n;
}

/*
 * The lane changed hands or all I/O failed while requests were copied: does to
 * them what was done to the others.
 */
static noinline void buse_take_back(struct buse_queue *q, const u16 *batch,
				    u32 n)
	__releases(&q->lock)
{
	struct request *failed[BUSE_BATCH];
	u32 nr_failed = 0;
	u32 i;

	for (i = 0; i < n; i++) {
		struct buse_tag *tag = &q->tags[batch[i]];

		buse_pool_put(q, tag);
		if (q->failing || q->dead) {
			failed[nr_failed++] = tag->rq;
			tag->rq = NULL;
			tag->state = BUSE_TAG_FREE;
		} else {
			buse_pending_push(q, batch[i]);
		}
	}
	buse_pending_sort(q);
	buse_queue_idle(q);
	spin_unlock(&q->lock);
	for (i = 0; i < nr_failed; i++)
		buse_request_fail(q, failed[i]);
	buse_queue_kick(q);
}

/* Puts copied requests on the ring. */
static void buse_deliver_finish(struct buse_lane *lane, const u16 *batch, u32 n,
				u32 epoch)
{
	struct buse_queue *q = lane->queue;
	u32 i;

	spin_lock(&q->lock);
	q->nr_copying -= n;
	if (unlikely(!lane->accepts || lane->epoch != epoch || q->dead)) {
		buse_take_back(q, batch, n);
		return;
	}
	for (i = 0; i < n; i++)
		buse_ring_put(lane, &q->tags[batch[i]]);
	if (unlikely(q->hold & BUSE_HOLD_QUIESCED))
		buse_queue_idle(q);
	buse_lane_publish(lane);
	spin_unlock(&q->lock);
	/* Another thread of the server that delivers. */
	if (unlikely(wq_has_sleeper(&lane->wait)))
		buse_lane_kick(lane);
}

void buse_lane_deliver_pending(struct buse_lane *lane, bool may_sleep)
{
	struct buse_queue *q = lane->queue;
	u16 batch[BUSE_BATCH];
	u32 left = q->dev->params.queue_depth;
	u32 i, n, epoch;

	while (left && READ_ONCE(q->pending_count)) {
		n = buse_deliver_begin(lane, batch, &epoch);
		if (!n)
			break;
		for (i = 0; i < n; i++) {
			struct buse_tag *tag = &q->tags[batch[i]];

			if (likely(req_op(tag->rq) == REQ_OP_WRITE))
				buse_pool_copy_plain(q, tag, tag->rq, true);
			else if (buse_data_to_server(tag->rq))
				buse_pool_copy(q, tag, true);
			if (unlikely(tag->nr_chunks) && may_sleep)
				cond_resched();
		}
		buse_deliver_finish(lane, batch, n, epoch);
		if (q->nr_lanes > 1)
			break;
		left -= min(left, n);
	}
	/* The other servers' share, when they sleep. */
	if (q->nr_lanes > 1 && READ_ONCE(q->pending_count) &&
	    !READ_ONCE(q->hold))
		buse_queue_kick(q);
}
