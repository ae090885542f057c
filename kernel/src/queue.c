// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests on their way down: accept from the block layer, deliver to a
 * server (or leave that to deliver.c).
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
#include "data.h"
#include "request.h"
#include "ring.h"

void buse_lane_wake(struct buse_lane *lane)
{
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

/* From here on the request is ours. Under q->lock. */
static __always_inline void buse_own(struct buse_tag *tag, struct request *rq,
				     u8 op)
{
	blk_mq_start_request(rq);
	tag->rq = rq;
	tag->op = op;
	tag->delivered_before = false;
	tag->nr_chunks = 0;
}

/* Delivers a request, or keeps it. Under q->lock. */
static noinline void buse_place(struct buse_queue *q, u32 tag_nr)
{
	struct buse_lane *lane = buse_pick_lane(q);

	if (buse_try_direct(q, lane, tag_nr))
		buse_ring_put(lane, &q->tags[tag_nr]);
	else
		buse_pending_push(q, tag_nr);
}

static noinline blk_status_t buse_accept_rare(struct buse_queue *q,
					      struct request *rq)
{
	struct buse_tag *tag = &q->tags[rq->tag];
	int op = buse_op_of(rq);

	if (q->failing || q->dead)
		return BLK_STS_IOERR;
	if (op < 0)
		return BLK_STS_NOTSUPP;
	buse_own(tag, rq, op);
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
 * Takes a request from the block layer. Under q->lock. Reads and writes of
 * queues with one lane are dealt with right here.
 */
static __always_inline blk_status_t buse_accept(struct buse_queue *q,
						struct request *rq)
{
	u32 tag_nr = rq->tag;
	struct buse_tag *tag = &q->tags[tag_nr];
	struct buse_lane *lane = q->lanes;
	bool write = rq->cmd_flags & (__force blk_opf_t)REQ_OP_WRITE;

	if (unlikely(rq->cmd_flags & BUSE_RARE) ||
	    unlikely(q->failing || q->dead || q->special))
		return buse_accept_rare(q, rq);
	buse_own(tag, rq, write);
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

/*
 * With several lanes: publishes on all, and wakes those that got something; if
 * there are pending requests, the others too to fetch them. Not just one: a
 * server that is busy looks like one that sleeps.
 */
static noinline void buse_flush_lanes(struct buse_queue *q)
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

/* The block layer starts a request before it is ended. */
static noinline void buse_refuse(struct request *rq, blk_status_t status)
{
	blk_mq_start_request(rq);
	blk_mq_end_request(rq, status);
}

static void buse_queue_rqs(BUSE_RQ_LIST *list)
{
	struct request *rq = rq_list_peek(list);

	while (rq) {
		struct buse_queue *q = rq->mq_hctx->driver_data;
		blk_status_t status = BLK_STS_OK;
		struct request *refused;

		spin_lock(&q->lock);
		do {
			refused = rq;
			rq_list_pop(list);
			status = buse_accept(q, refused);
			rq = rq_list_peek(list);
		} while (likely(!status) && rq &&
			 rq->mq_hctx->driver_data == q);
		buse_flush_batch(q);
		if (unlikely(status))
			buse_refuse(refused, status);
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

static void buse_lane_init(struct buse_queue *q, u32 index)
{
	struct buse_lane *lane = &q->lanes[index];
	void *rings = q->map + (size_t)index * q->dev->lane_bytes;

	lane->queue = q;
	lane->index = index;
	lane->mask = q->mask;
	lane->header = rings;
	lane->sq = rings + q->dev->sq_offset;
	lane->cq = rings + q->dev->cq_offset;
	mutex_init(&lane->cq_mutex);
	init_waitqueue_head(&lane->wait);
	init_waitqueue_head(&lane->standby_wait);
	buse_away_init(lane);
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
	q->mask = dev->ring_entries - 1;
	q->data_offset = dev->data_offset;
	for (i = 0; i < q->nr_lanes; i++)
		buse_lane_init(q, i);
	q->special = q->nr_lanes > 1 || dev->order;
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
