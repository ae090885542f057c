// SPDX-License-Identifier: GPL-2.0-only
/*
 * The block layer's requests on their way down, and what a queue is made of.
 * queue_rq() never has to send a request back to the block layer, and a parked
 * queue costs no CPU: accept.h keeps what cannot be delivered.
 */
#include <linux/bitmap.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "accept.h"
#include "compat.h"
#include "core.h"

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

static blk_status_t buse_queue_rq(struct blk_mq_hw_ctx *hctx,
				  const struct blk_mq_queue_data *bd)
{
	struct buse_queue *q = hctx->driver_data;
	blk_status_t status;

	spin_lock(&q->lock);
	status = buse_accept(q, bd->rq, false);
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
			status = buse_accept(q, refused, false);
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
	return buse_stats_init_queue(q) ?: buse_order_init_queue(q) ?:
	       buse_bio_init_queue(q);
}

void buse_queue_free(struct buse_queue *q)
{
	buse_bio_free_queue(q);
	buse_order_free_queue(q);
	buse_stats_free_queue(q);
	vfree(q->map);
	bitmap_free(q->chunk_map);
	bitmap_free(q->kept_map);
	kvfree(q->pending);
	kvfree(q->tags);
	kvfree(q->lanes);
}
