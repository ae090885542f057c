// SPDX-License-Identifier: GPL-2.0-only
/* Requests no server holds: kept in the order of arrival, or failed. */
#include <linux/sched.h>
#include <linux/sort.h>

#include "core.h"

static int buse_by_sequence(const void *a, const void *b, const void *priv)
{
	const struct buse_tag *tags = priv;
	u64 left = tags[*(const u16 *)a].sequence;
	u64 right = tags[*(const u16 *)b].sequence;

	return left < right ? -1 : left > right;
}

/* Brings the pending FIFO into the order of arrival. Under q->lock. */
void buse_pending_sort(struct buse_queue *q)
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

/* Ends a request that no tag refers to any more. */
void buse_queue_end(struct buse_queue *q, struct request *rq,
		    blk_status_t status)
{
	if (q->bios) {
		buse_bio_end(q, rq, status);
		return;
	}
	buse_end_begin(q);
	blk_mq_end_request(rq, status);
	buse_end_finish(q);
}

/* The same for a request that was accepted and is not complete. */
void buse_request_fail(struct buse_queue *q, struct request *rq)
{
	if (unlikely(q->extents))
		buse_order_leave(q, rq->tag);
	buse_queue_end(q, rq, BLK_STS_IOERR);
}

/* Fails everything the kernel or a server holds. q->failing or q->dead. */
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

			if (tag->state == BUSE_TAG_DELIVERED) {
				q->lanes[tag->lane].nr_delivered--;
			} else if (tag->state == BUSE_TAG_HELD) {
				if (!buse_order_claim(q, tag_nr))
					continue;
			} else if (tag->state != BUSE_TAG_PENDING) {
				continue;
			}
			buse_pool_put(q, tag);
			failed[n++] = tag->rq;
			tag->rq = NULL;
			tag->state = BUSE_TAG_FREE;
		}
		buse_queue_idle(q);
		spin_unlock(&q->lock);
		for (i = 0; i < n; i++)
			buse_request_fail(q, failed[i]);
		cond_resched();
	}
}
