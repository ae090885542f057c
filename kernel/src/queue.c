// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests on their way down: accept from the block layer, deliver to a
 * server.
 *
 * A request is either put on a lane's submission ring at once, or kept on the
 * queue's FIFO of pending requests until the next ENTER of one of its servers
 * delivers it. The latter happens to writes when the servers are busy (a
 * server's CPU copies them, not the submitter's), when data memory is short,
 * behind other pending requests, while the device is quiesced, and while there
 * is no server. queue_rq() therefore never has to
 * send a request back to the block layer, and a parked queue costs no CPU.
 */
#include <linux/bitmap.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "compat.h"
#include "core.h"
#include "request.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

/*
 * Puts a request whose data memory is ready on the submission ring. There is
 * room: the ring has an entry for every tag, and the server reads entries in
 * order before it completes them. Under q->lock.
 */
static void buse_ring_put(struct buse_lane *lane, u32 tag_nr)
{
	struct buse_queue *q = lane->queue;
	struct buse_tag *tag = &q->tags[tag_nr];
	struct request *rq = tag->rq;
	struct buse_request *e =
		&lane->sq[lane->tail & (q->dev->ring_entries - 1)];
	u64 offset = (u64)blk_rq_pos(rq) << SECTOR_SHIFT;
	u32 length = blk_rq_bytes(rq);
	u32 data_offset = tag->data_offset;
	u8 flags = 0;

	if (unlikely(rq->cmd_flags & BUSE_CMD_FLAGS))
		flags = buse_rare_flags_of(rq);
	if (unlikely(tag->op > BUSE_OP_WRITE)) {
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
	if (unlikely(tag->delivered_before)) {
		flags |= BUSE_REQ_REDELIVERED;
		q->redelivered++;
	}
	tag->delivered_before = true;
	tag->state = BUSE_TAG_DELIVERED;
	tag->lane = lane->index;
	tag->generation++;
	lane->nr_delivered++;
	if (buse_fault(q->dev, BUSE_FAULT_DROP_REQUEST))
		return;
	e->offset = offset;
	e->sequence = tag->sequence;
	e->length = length;
	e->data_offset = data_offset;
	e->generation = tag->generation;
	e->tag = tag_nr;
	e->op = tag->op;
	e->flags = flags;
	if (unlikely(flags & BUSE_REQ_REDELIVERED))
		trace_buse_redeliver(q, tag, tag->op, offset, length);
	else
		trace_buse_deliver(q, tag, tag->op, offset, length);
	lane->tail++;
}

/* Shows the server what is on the ring. Under q->lock. */
static void buse_lane_publish(struct buse_lane *lane)
{
	if (lane->published == lane->tail)
		return;
	/* Entries and data before the tail that covers them. */
	smp_store_release(&lane->header->sq_tail, lane->tail);
	WRITE_ONCE(lane->published, lane->tail);
}

/* Wakes the server if it sleeps; after publishing, without q->lock. */
void buse_lane_kick(struct buse_lane *lane)
{
	/*
	 * Pairs with the barrier between setting need_wake and looking for
	 * work in buse_wait() and buse_poll(): either they see the work or we
	 * see need_wake.
	 */
	smp_mb();
	if (!READ_ONCE(lane->need_wake))
		return;
	WRITE_ONCE(lane->need_wake, 0);
	atomic64_inc(&lane->wakeups);
	wake_up_interruptible_poll(&lane->wait, EPOLLIN | EPOLLRDNORM);
}

/* Wakes all servers that sleep. */
void buse_queue_kick(struct buse_queue *q)
{
	u32 i;

	for (i = 0; i < q->nr_lanes; i++)
		buse_lane_kick(&q->lanes[i]);
}

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
	/*
	 * The copy is under the spin lock: small ones, to an idle server. That
	 * of a polled queue makes no calls in which it could copy.
	 */
	if (bytes > BUSE_CHUNK_BYTES || (lane->nr_delivered && !q->polled))
		return false;
	if (!buse_pool_get(q, tag_nr, bytes))
		return false;
	buse_pool_copy(q, tag, true);
	return true;
}

/* Takes a request from the block layer. Under q->lock. */
static blk_status_t buse_accept(struct buse_queue *q, struct request *rq)
{
	struct buse_tag *tag = &q->tags[rq->tag];
	struct buse_lane *lane;
	int op = buse_op_of(rq);

	if (unlikely(q->failing || q->dead))
		return BLK_STS_IOERR;
	if (unlikely(op < 0))
		return BLK_STS_NOTSUPP;
	blk_mq_start_request(rq);
	tag->rq = rq;
	tag->op = op;
	tag->delivered_before = false;
	tag->nr_chunks = 0;
	if (unlikely(q->extents)) {
		if (buse_order_enter(q, rq->tag)) {
			tag->state = BUSE_TAG_HELD;
			return BLK_STS_OK;
		}
	} else {
		tag->sequence = atomic64_inc_return(&q->dev->sequence);
	}
	lane = buse_pick_lane(q);
	if (buse_try_direct(q, lane, rq->tag))
		buse_ring_put(lane, rq->tag);
	else
		buse_pending_push(q, rq->tag);
	return BLK_STS_OK;
}

/*
 * With several lanes: publishes on all, and wakes those that got something; if
 * there are pending requests, one server more to fetch them.
 */
static void buse_flush_lanes(struct buse_queue *q)
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
	for (lane = q->lanes; lane < q->lanes + q->nr_lanes; lane++) {
		bool waits = fetch && READ_ONCE(lane->accepts) &&
			     READ_ONCE(lane->need_wake);

		if (got & BIT(lane->index) || waits)
			buse_lane_kick(lane);
		fetch &= !waits;
	}
}

/* Ends a batch: publishes, drops q->lock, wakes. */
static void buse_flush_batch(struct buse_queue *q)
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

static blk_status_t buse_queue_rq(struct blk_mq_hw_ctx *hctx,
				  const struct blk_mq_queue_data *bd)
{
	struct buse_queue *q = hctx->driver_data;
	blk_status_t status;

	spin_lock(&q->lock);
	status = buse_accept(q, bd->rq);
	if (bd->last)
		buse_flush_batch(q);
	else
		spin_unlock(&q->lock);
	return status;
}

static void buse_commit_rqs(struct blk_mq_hw_ctx *hctx)
{
	struct buse_queue *q = hctx->driver_data;

	spin_lock(&q->lock);
	buse_flush_batch(q);
}

/* Takes the requests of one queue off the list, up to the first it refuses. */
static struct request *buse_accept_all(struct buse_queue *q, BUSE_RQ_LIST *list,
				       blk_status_t *status)
{
	struct request *rq;

	while ((rq = rq_list_peek(list)) && rq->mq_hctx->driver_data == q) {
		rq_list_pop(list);
		*status = buse_accept(q, rq);
		if (unlikely(*status))
			return rq;
	}
	return NULL;
}

static void buse_queue_rqs(BUSE_RQ_LIST *list)
{
	struct request *rq;

	while ((rq = rq_list_peek(list))) {
		struct buse_queue *q = rq->mq_hctx->driver_data;
		blk_status_t status;

		spin_lock(&q->lock);
		rq = buse_accept_all(q, list, &status);
		buse_flush_batch(q);
		if (unlikely(rq)) {
			blk_mq_start_request(rq);
			blk_mq_end_request(rq, status);
		}
	}
}

static int buse_init_hctx(struct blk_mq_hw_ctx *hctx, void *data,
			  unsigned int index)
{
	struct buse_device *dev = data;

	hctx->driver_data = &dev->queues[index];
	return 0;
}

/* How long a server may take is its owner's business, not a timer's. */
static enum blk_eh_timer_return buse_timeout(struct request *rq)
{
	return BLK_EH_RESET_TIMER;
}

const struct blk_mq_ops buse_mq_ops = {
	.queue_rq	= buse_queue_rq,
	.commit_rqs	= buse_commit_rqs,
	.queue_rqs	= buse_queue_rqs,
	.map_queues	= buse_map_queues,
	.poll		= buse_poll_hctx,
	.init_hctx	= buse_init_hctx,
	.timeout	= buse_timeout,
};

/*
 * Takes up to BUSE_BATCH pending requests that get data memory; of several
 * servers each takes its share.
 */
static u32 buse_deliver_begin(struct buse_lane *lane, u16 *batch, u32 *epoch)
{
	struct buse_queue *q = lane->queue;
	u32 mask = q->dev->ring_entries - 1;
	u32 limit = BUSE_BATCH;
	u32 n = 0;

	spin_lock(&q->lock);
	*epoch = lane->epoch;
	if (!lane->accepts || q->hold & BUSE_HOLD_QUIESCED)
		limit = 0;
	else if (q->nr_accepting > 1)
		limit = min(limit, DIV_ROUND_UP(q->pending_count,
						q->nr_accepting));
	while (n < limit && q->pending_count) {
		u32 tag_nr = q->pending[q->pending_head & mask];
		struct buse_tag *tag = &q->tags[tag_nr];
		u32 bytes = buse_data_bytes(tag->rq);

		if (bytes && !buse_pool_get(q, tag_nr, bytes))
			break;
		tag->state = BUSE_TAG_COPYING;
		q->nr_copying++;
		q->pending_head++;
		WRITE_ONCE(q->pending_count, q->pending_count - 1);
		batch[n++] = tag_nr;
	}
	spin_unlock(&q->lock);
	return n;
}

/*
 * Puts the copied requests on the ring, or, if the lane changed hands or all
 * I/O failed meanwhile, does to them what was done to the others.
 */
static void buse_deliver_finish(struct buse_lane *lane, const u16 *batch, u32 n,
				u32 epoch)
{
	struct buse_queue *q = lane->queue;
	struct request *failed[BUSE_BATCH];
	bool taken_back = false;
	u32 nr_failed = 0;
	u32 i;

	spin_lock(&q->lock);
	q->nr_copying -= n;
	for (i = 0; i < n; i++) {
		struct buse_tag *tag = &q->tags[batch[i]];

		if (likely(lane->accepts && lane->epoch == epoch && !q->dead)) {
			buse_ring_put(lane, batch[i]);
			continue;
		}
		buse_pool_put(q, tag);
		if (q->failing || q->dead) {
			failed[nr_failed++] = tag->rq;
			tag->rq = NULL;
			tag->state = BUSE_TAG_FREE;
		} else {
			buse_pending_push(q, batch[i]);
			taken_back = true;
		}
	}
	if (unlikely(taken_back))
		buse_pending_sort(q);
	if (unlikely(q->hold & BUSE_HOLD_QUIESCED))
		buse_queue_idle(q);
	buse_lane_publish(lane);
	spin_unlock(&q->lock);
	for (i = 0; i < nr_failed; i++)
		buse_request_fail(q, failed[i]);
	if (unlikely(taken_back))
		buse_queue_kick(q);
}

/*
 * Delivers pending requests as far as data memory reaches. By the server, or,
 * without sleeping, by who polls.
 */
void buse_lane_deliver(struct buse_lane *lane, bool may_sleep)
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

			if (buse_data_to_server(tag->rq)) {
				buse_pool_copy(q, tag, true);
				if (tag->nr_chunks && may_sleep)
					cond_resched();
			}
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

static void buse_lane_init(struct buse_queue *q, u32 index)
{
	struct buse_lane *lane = &q->lanes[index];
	void *rings = q->map + (size_t)index * q->dev->lane_bytes;

	lane->queue = q;
	lane->index = index;
	lane->header = rings;
	lane->sq = rings + q->dev->sq_offset;
	lane->cq = rings + q->dev->cq_offset;
	mutex_init(&lane->cq_mutex);
	init_waitqueue_head(&lane->wait);
	init_waitqueue_head(&lane->standby_wait);
}

int buse_queue_init(struct buse_device *dev, u32 index)
{
	struct buse_queue *q = &dev->queues[index];
	u32 i;

	q->dev = dev;
	spin_lock_init(&q->lock);
	mutex_init(&q->succession);
	q->lanes = BUSE_ALLOC(kvcalloc(dev->params.servers_per_queue,
				       sizeof(*q->lanes), GFP_KERNEL));
	q->tags = BUSE_ALLOC(kvcalloc(dev->params.queue_depth,
				      sizeof(*q->tags), GFP_KERNEL));
	q->pending = BUSE_ALLOC(kvcalloc(dev->ring_entries,
					 sizeof(*q->pending), GFP_KERNEL));
	q->chunk_map = BUSE_ALLOC(bitmap_zalloc(dev->nr_chunks, GFP_KERNEL));
	q->kept_map = BUSE_ALLOC(bitmap_zalloc(dev->nr_chunks, GFP_KERNEL));
	q->map = BUSE_ALLOC(vmalloc_user(dev->map_bytes));	/* zeroed */
	if (!q->lanes || !q->tags || !q->pending || !q->chunk_map ||
	    !q->kept_map || !q->map)
		return -ENOMEM;
	q->nr_lanes = dev->params.servers_per_queue;
	for (i = 0; i < q->nr_lanes; i++)
		buse_lane_init(q, i);
	q->polled = index >= dev->params.nr_queues - dev->params.nr_poll_queues;
	return buse_stats_init_queue(q) ?: buse_order_init_queue(q);
}

void buse_queue_free(struct buse_queue *q)
{
	buse_order_free_queue(q);
	buse_stats_free_queue(q);
	vfree(q->map);
	bitmap_free(q->chunk_map);
	bitmap_free(q->kept_map);
	kvfree(q->pending);
	kvfree(q->tags);
	kvfree(q->lanes);
}
