// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests on their way down: accept from the block layer, deliver to the
 * server, take back when the server is gone, fail.
 *
 * A request is either put on the submission ring at once, or kept on the
 * FIFO of pending requests until the server's next ENTER delivers it. The
 * latter happens to writes when the server is busy (the server's CPU copies
 * them, not the submitter's), when data memory is short, behind other pending
 * requests, and while there is no server. queue_rq() therefore never has to
 * send a request back to the block layer, and a parked queue costs no CPU.
 */
#include <linux/bitmap.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/vmalloc.h>

#include "compat.h"
#include "core.h"

static int buse_op_of(struct request *rq)
{
	switch (req_op(rq)) {
	case REQ_OP_READ:
		return BUSE_OP_READ;
	case REQ_OP_WRITE:
		return BUSE_OP_WRITE;
	case REQ_OP_FLUSH:
		return BUSE_OP_FLUSH;
	case REQ_OP_DISCARD:
		return BUSE_OP_DISCARD;
	case REQ_OP_WRITE_ZEROES:
		return BUSE_OP_WRITE_ZEROES;
	default:
		return -EOPNOTSUPP;
	}
}

static u8 buse_flags_of(struct request *rq, const struct buse_tag *tag)
{
	u8 flags = 0;

	if (rq->cmd_flags & REQ_FUA)
		flags |= BUSE_REQ_FUA;
	if (req_op(rq) == REQ_OP_WRITE_ZEROES && (rq->cmd_flags & REQ_NOUNMAP))
		flags |= BUSE_REQ_NO_UNMAP;
	if (tag->delivered_before)
		flags |= BUSE_REQ_REDELIVERED;
	return flags;
}

/*
 * Puts a request whose data memory is ready on the submission ring. There is
 * room: the ring has an entry for every tag, and the server reads entries in
 * order before it completes them. Under q->lock.
 */
static void buse_ring_put(struct buse_queue *q, u32 tag_nr)
{
	struct buse_tag *tag = &q->tags[tag_nr];
	struct request *rq = tag->rq;
	struct buse_request *e = &q->sq[q->tail & (q->dev->ring_entries - 1)];
	bool flush = req_op(rq) == REQ_OP_FLUSH;

	tag->state = BUSE_TAG_DELIVERED;
	tag->generation++;
	e->offset = flush ? 0 : (u64)blk_rq_pos(rq) << SECTOR_SHIFT;
	e->sequence = tag->sequence;
	e->length = flush ? 0 : blk_rq_bytes(rq);
	e->data_offset = buse_data_bytes(rq) ? tag->data_offset : 0;
	e->generation = tag->generation;
	e->tag = tag_nr;
	e->op = buse_op_of(rq);
	e->flags = buse_flags_of(rq, tag);
	if (tag->delivered_before)
		q->redelivered++;
	tag->delivered_before = true;
	q->tail++;
	q->nr_delivered++;
}

static void buse_pending_push(struct buse_queue *q, u32 tag_nr)
{
	u32 at = (q->pending_head + q->pending_count) &
		 (q->dev->ring_entries - 1);

	q->tags[tag_nr].state = BUSE_TAG_PENDING;
	q->pending[at] = tag_nr;
	WRITE_ONCE(q->pending_count, q->pending_count + 1);
}

/* Shows the server what is on the ring. Under q->lock. */
void buse_queue_publish(struct buse_queue *q)
{
	if (q->published == q->tail)
		return;
	/* Entries and data before the tail that covers them. */
	smp_store_release(&q->header->sq_tail, q->tail);
	WRITE_ONCE(q->published, q->tail);
}

/* Wakes the server if it sleeps; after publishing, without q->lock. */
void buse_queue_kick(struct buse_queue *q)
{
	/*
	 * Pairs with the barrier between setting need_wake and looking for
	 * work in buse_wait() and buse_poll(): either they see the work or we
	 * see need_wake.
	 */
	smp_mb();
	if (!READ_ONCE(q->need_wake))
		return;
	WRITE_ONCE(q->need_wake, 0);
	wake_up_interruptible_poll(&q->wait, EPOLLIN | EPOLLRDNORM);
}

/* Can the request go on the ring right here in the submitter? */
static bool buse_try_direct(struct buse_queue *q, u32 tag_nr)
{
	struct buse_tag *tag = &q->tags[tag_nr];
	u32 bytes = buse_data_bytes(tag->rq);

	if (!q->live || q->pending_count || q->nr_copying)
		return false;
	if (!bytes)
		return true;
	if (req_op(tag->rq) == REQ_OP_READ)
		return buse_pool_get(q, tag_nr, bytes);
	/* The copy is under the spin lock: small ones, to an idle server. */
	if (q->nr_delivered || bytes > BUSE_CHUNK_BYTES)
		return false;
	buse_pool_get(q, tag_nr, bytes);
	buse_pool_copy(q, tag, true);
	return true;
}

/* Takes a request from the block layer. Under q->lock. */
static blk_status_t buse_accept(struct buse_queue *q, struct request *rq)
{
	struct buse_tag *tag = &q->tags[rq->tag];

	if (unlikely(q->failing || q->dead))
		return BLK_STS_IOERR;
	if (unlikely(buse_op_of(rq) < 0))
		return BLK_STS_NOTSUPP;
	blk_mq_start_request(rq);
	tag->rq = rq;
	tag->sequence = atomic64_inc_return(&q->dev->sequence);
	tag->delivered_before = false;
	tag->nr_chunks = 0;
	if (buse_try_direct(q, rq->tag))
		buse_ring_put(q, rq->tag);
	else
		buse_pending_push(q, rq->tag);
	return BLK_STS_OK;
}

static blk_status_t buse_queue_rq(struct blk_mq_hw_ctx *hctx,
				  const struct blk_mq_queue_data *bd)
{
	struct buse_queue *q = hctx->driver_data;
	blk_status_t status;

	spin_lock(&q->lock);
	status = buse_accept(q, bd->rq);
	if (bd->last)
		buse_queue_publish(q);
	spin_unlock(&q->lock);
	if (bd->last)
		buse_queue_kick(q);
	return status;
}

static void buse_flush_batch(struct buse_queue *q)
{
	buse_queue_publish(q);
	spin_unlock(&q->lock);
	buse_queue_kick(q);
}

static void buse_commit_rqs(struct blk_mq_hw_ctx *hctx)
{
	struct buse_queue *q = hctx->driver_data;

	spin_lock(&q->lock);
	buse_flush_batch(q);
}

static void buse_queue_rqs(BUSE_RQ_LIST *list)
{
	struct buse_queue *q = NULL;
	struct request *rq;

	while ((rq = rq_list_pop(list))) {
		struct buse_queue *next = rq->mq_hctx->driver_data;
		blk_status_t status;

		if (q != next) {
			if (q)
				buse_flush_batch(q);
			q = next;
			spin_lock(&q->lock);
		}
		status = buse_accept(q, rq);
		if (unlikely(status)) {
			buse_flush_batch(q);
			q = NULL;
			blk_mq_start_request(rq);
			blk_mq_end_request(rq, status);
		}
	}
	if (q)
		buse_flush_batch(q);
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
	.init_hctx	= buse_init_hctx,
	.timeout	= buse_timeout,
};

/*
 * Ends a request that no tag refers to any more. Bottom halves are off so that
 * a final fput() in a completion is left to a work item: run in the server's
 * own task it could close the disk and wait for the server.
 */
void buse_queue_end(struct request *rq, blk_status_t status)
{
	local_bh_disable();
	blk_mq_end_request(rq, status);
	local_bh_enable();
}

/* Takes up to BUSE_BATCH pending requests that get data memory. */
static u32 buse_deliver_begin(struct buse_queue *q, u16 *batch)
{
	u32 mask = q->dev->ring_entries - 1;
	u32 n = 0;

	spin_lock(&q->lock);
	while (n < BUSE_BATCH && q->pending_count && q->live) {
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
 * Puts the copied requests on the ring, or, if the queue was parked or failed
 * meanwhile, does to them what was done to the others.
 */
static void buse_deliver_finish(struct buse_queue *q, const u16 *batch, u32 n)
{
	struct request *failed[BUSE_BATCH];
	u32 nr_failed = 0;
	u32 i;

	spin_lock(&q->lock);
	q->nr_copying -= n;
	for (i = 0; i < n; i++) {
		struct buse_tag *tag = &q->tags[batch[i]];

		if (likely(q->live && !q->dead)) {
			buse_ring_put(q, batch[i]);
			continue;
		}
		buse_pool_put(q, tag);
		if (q->failing || q->dead) {
			failed[nr_failed++] = tag->rq;
			tag->rq = NULL;
			tag->state = BUSE_TAG_FREE;
		} else {
			buse_pending_push(q, batch[i]);
		}
	}
	buse_queue_publish(q);
	spin_unlock(&q->lock);
	for (i = 0; i < nr_failed; i++)
		buse_queue_end(failed[i], BLK_STS_IOERR);
}

/* Delivers pending requests as far as data memory reaches. By the server. */
void buse_queue_deliver(struct buse_queue *q)
{
	u16 batch[BUSE_BATCH];
	u32 left = q->dev->params.queue_depth;
	u32 i, n;

	while (left && READ_ONCE(q->pending_count)) {
		n = buse_deliver_begin(q, batch);
		if (!n)
			break;
		for (i = 0; i < n; i++) {
			struct buse_tag *tag = &q->tags[batch[i]];

			if (req_op(tag->rq) == REQ_OP_WRITE) {
				buse_pool_copy(q, tag, true);
				cond_resched();
			}
		}
		buse_deliver_finish(q, batch, n);
		left -= min(left, n);
	}
}

/* Fails everything the kernel or the server holds. q->failing or q->dead. */
void buse_queue_fail(struct buse_queue *q)
{
	struct request *failed[BUSE_BATCH];
	u32 tag_nr = 0;
	u32 i, n;

	while (tag_nr < q->dev->params.queue_depth) {
		n = 0;
		spin_lock(&q->lock);
		/* A server attached between two batches: the rest is its. */
		if (!q->failing && !q->dead) {
			spin_unlock(&q->lock);
			return;
		}
		q->pending_head = 0;
		WRITE_ONCE(q->pending_count, 0);
		for (; tag_nr < q->dev->params.queue_depth && n < BUSE_BATCH;
		     tag_nr++) {
			struct buse_tag *tag = &q->tags[tag_nr];

			if (tag->state == BUSE_TAG_DELIVERED)
				q->nr_delivered--;
			else if (tag->state != BUSE_TAG_PENDING)
				continue;
			buse_pool_put(q, tag);
			failed[n++] = tag->rq;
			tag->rq = NULL;
			tag->state = BUSE_TAG_FREE;
		}
		spin_unlock(&q->lock);
		for (i = 0; i < n; i++)
			buse_queue_end(failed[i], BLK_STS_IOERR);
		cond_resched();
	}
}

/* Takes delivered requests back from a server that is gone. Under q->lock. */
void buse_queue_park(struct buse_queue *q)
{
	u32 tag_nr;

	q->live = false;
	q->parked_at = jiffies;
	for (tag_nr = 0; tag_nr < q->dev->params.queue_depth; tag_nr++) {
		struct buse_tag *tag = &q->tags[tag_nr];

		if (tag->state != BUSE_TAG_DELIVERED)
			continue;
		q->nr_delivered--;
		buse_pool_put(q, tag);
		buse_pending_push(q, tag_nr);
	}
}

static int buse_by_sequence(const void *a, const void *b, const void *priv)
{
	const struct buse_tag *tags = priv;
	u64 left = tags[*(const u16 *)a].sequence;
	u64 right = tags[*(const u16 *)b].sequence;

	return left < right ? -1 : left > right;
}

/* Brings the pending FIFO into the order of arrival. Under q->lock. */
static void buse_pending_sort(struct buse_queue *q)
{
	u32 tag_nr;

	q->pending_head = 0;
	WRITE_ONCE(q->pending_count, 0);
	for (tag_nr = 0; tag_nr < q->dev->params.queue_depth; tag_nr++)
		if (q->tags[tag_nr].state == BUSE_TAG_PENDING)
			buse_pending_push(q, tag_nr);
	sort_r(q->pending, q->pending_count, sizeof(*q->pending),
	       buse_by_sequence, NULL, q->tags);
}

int buse_queue_attach(struct buse_queue *q, struct buse_file *file)
{
	int ret = 0;

	spin_lock(&q->lock);
	if (q->dev->dying) {
		ret = -ENODEV;
	} else if (q->server) {
		ret = -EBUSY;
	} else {
		/*
		 * No file, so no task in ENTER: no tag is COPYING, and a tag
		 * that is COMPLETING holds no data memory.
		 */
		q->server = file;
		q->header->sq_tail = 0;
		q->header->cq_tail = 0;
		q->cq_head = 0;
		q->tail = 0;
		WRITE_ONCE(q->published, 0);
		buse_pool_reset(q);
		buse_pending_sort(q);
		q->failing = false;
		q->live = true;
	}
	spin_unlock(&q->lock);
	return ret;
}

/* The attached file is closed. Returns whether that parked the queue. */
bool buse_queue_detach(struct buse_queue *q)
{
	bool parked;

	spin_lock(&q->lock);
	parked = q->live;
	if (parked)
		buse_queue_park(q);
	q->server = NULL;
	spin_unlock(&q->lock);
	return parked;
}

int buse_queue_init(struct buse_device *dev, u32 index)
{
	struct buse_queue *q = &dev->queues[index];

	q->dev = dev;
	spin_lock_init(&q->lock);
	mutex_init(&q->cq_mutex);
	init_waitqueue_head(&q->wait);
	q->tags = kvcalloc(dev->params.queue_depth, sizeof(*q->tags),
			   GFP_KERNEL);
	q->pending = kvcalloc(dev->ring_entries, sizeof(*q->pending),
			      GFP_KERNEL);
	q->chunk_map = bitmap_zalloc(dev->nr_chunks, GFP_KERNEL);
	q->map = vmalloc_user(dev->map_bytes);	/* zeroed */
	if (!q->tags || !q->pending || !q->chunk_map || !q->map)
		return -ENOMEM;
	q->header = q->map;
	q->sq = q->map + dev->sq_offset;
	q->cq = q->map + dev->cq_offset;
	return 0;
}

void buse_queue_free(struct buse_queue *q)
{
	vfree(q->map);
	bitmap_free(q->chunk_map);
	kvfree(q->pending);
	kvfree(q->tags);
}
