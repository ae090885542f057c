// SPDX-License-Identifier: GPL-2.0-only
/*
 * Completions on their way up. Nothing in the completion ring is trusted: an
 * entry is copied once, its tag is bounded, and the private tag state decides
 * whether it means anything.
 */
#include <linux/ktime.h>
#include <linux/nospec.h>
#include <linux/poll.h>
#include <linux/sched.h>

#include "core.h"
#include "trace.h"

struct buse_done {
	struct buse_tag *tag;
	blk_status_t status;
};

/* Errors a server may report as they are; anything else is an I/O error. */
static blk_status_t buse_status_of(s32 result)
{
	switch (result) {
	case 0:
		return BLK_STS_OK;
	case -ENOSPC:
	case -EOPNOTSUPP:
	case -ETIMEDOUT:
	case -ENODATA:
	case -EILSEQ:
		return errno_to_blk_status(result);
	default:
		return BLK_STS_IOERR;
	}
}

/*
 * Takes the request that the completion at the lane's cq_head names from the
 * server. Under the queue's lock and cq_mutex. NULL: it names none the server
 * of this lane holds.
 */
static struct buse_tag *buse_take(struct buse_lane *lane, blk_status_t *status)
{
	struct buse_queue *q = lane->queue;
	struct buse_completion *e =
		&lane->cq[lane->cq_head & (q->dev->ring_entries - 1)];
	u32 generation = READ_ONCE(e->generation);
	u32 tag_nr = READ_ONCE(e->tag);
	s32 result = READ_ONCE(e->result);
	struct buse_tag *tag;

	if (tag_nr >= q->dev->params.queue_depth)
		return NULL;
	tag_nr = array_index_nospec(tag_nr, q->dev->params.queue_depth);
	tag = &q->tags[tag_nr];
	if (tag->state != BUSE_TAG_DELIVERED ||
	    tag->generation != generation || tag->lane != lane->index)
		return NULL;
	if (buse_fault(q->dev, BUSE_FAULT_DROP_COMPLETION))
		return NULL;
	tag->state = BUSE_TAG_COMPLETING;
	lane->nr_delivered--;
	*status = buse_fault(q->dev, BUSE_FAULT_FAIL) ? BLK_STS_IOERR :
							buse_status_of(result);
	return tag;
}

static u32 buse_take_batch(struct buse_lane *lane, u32 entries,
			   struct buse_done *done)
{
	struct buse_queue *q = lane->queue;
	u64 now = READ_ONCE(q->dev->histograms) ? ktime_get_ns() : 0;
	u32 n = 0;

	spin_lock(&q->lock);
	while (entries--) {
		done[n].tag = buse_take(lane, &done[n].status);
		lane->cq_head++;
		if (unlikely(!done[n].tag)) {
			q->stale_completions++;
			continue;
		}
		trace_buse_complete(q, done[n].tag, done[n].status);
		if (now)
			buse_stats_record(q, done[n].tag->rq, now);
		n++;
	}
	q->completed += n;
	if (unlikely(q->hold & BUSE_HOLD_QUIESCED))
		buse_queue_idle(q);
	if (unlikely(!lane->accepts && !lane->nr_delivered))
		wake_up_poll(&lane->wait, EPOLLHUP);
	spin_unlock(&q->lock);
	return n;
}

/* Read data to the requests' pages, then the data memory back to the pool. */
static __always_inline void buse_copy_batch(struct buse_queue *q,
					    struct buse_done *done, u32 n,
					    bool may_sleep)
{
	bool chunks = false;
	u32 i;

	for (i = 0; i < n; i++) {
		struct buse_tag *tag = done[i].tag;

		chunks |= tag->nr_chunks;
		if (req_op(tag->rq) != REQ_OP_READ || done[i].status)
			continue;
		buse_pool_copy(q, tag, false);
		if (tag->nr_chunks && may_sleep)
			cond_resched();
	}
	if (!chunks)
		return;
	spin_lock(&q->lock);
	for (i = 0; i < n; i++)
		buse_pool_put(q, done[i].tag);
	spin_unlock(&q->lock);
}

/* The end of what is collected in iob is left to its owner, unless it is ours. */
static __always_inline void buse_end_batch(struct buse_queue *q,
					   struct buse_done *done, u32 n,
					   struct io_comp_batch *iob, bool ours)
{
	buse_end_begin(q);
	/* The batch is a stack; backwards, requests end in the server's order. */
	while (n--) {
		struct buse_tag *tag = done[n].tag;
		struct request *rq = tag->rq;

		/* The tag is the block layer's from the end of the request on. */
		tag->rq = NULL;
		WRITE_ONCE(tag->state, BUSE_TAG_FREE);
		if (!done[n].status &&
		    blk_mq_add_to_batch(rq, iob, false,
					blk_mq_end_request_batch))
			continue;
		blk_mq_end_request(rq, done[n].status);
	}
	if (ours && iob->complete)
		iob->complete(iob);
	buse_end_finish(q);
}

static void buse_leave_batch(struct buse_queue *q, struct buse_done *done, u32 n)
{
	u32 i;

	for (i = 0; i < n; i++)
		buse_order_leave(q, done[i].tag - q->tags);
}

/* What is below the tail as it is now, or -EPROTO. Under lane->cq_mutex. */
static int buse_lane_entries(struct buse_lane *lane)
{
	/* Entries and data after the tail that covers them. */
	u32 tail = smp_load_acquire(&lane->header->cq_tail);
	u32 entries = tail - lane->cq_head;

	return entries > lane->queue->dev->ring_entries ? -EPROTO : entries;
}

/* Up to BUSE_BATCH entries; by the server, or by a client that polls. */
static __always_inline u32 buse_drain_batch(struct buse_lane *lane, u32 entries,
					    struct io_comp_batch *iob,
					    bool server)
{
	struct buse_queue *q = lane->queue;
	struct buse_done done[BUSE_BATCH];
	u32 taken = buse_take_batch(lane, entries, done);

	buse_copy_batch(q, done, taken, server);
	if (unlikely(q->extents))
		buse_leave_batch(q, done, taken);
	buse_end_batch(q, done, taken, iob, server);
	return taken;
}

/*
 * Takes every completion below the tail as it is now. Returns their number,
 * or -EPROTO when the tail cannot be right; then nothing is taken.
 */
int buse_lane_drain(struct buse_lane *lane)
{
	int entries, left, n;

	if (READ_ONCE(lane->header->cq_tail) == READ_ONCE(lane->cq_head))
		return 0;
	mutex_lock(&lane->cq_mutex);
	entries = buse_lane_entries(lane);
	for (left = entries; left > 0; left -= n) {
		DEFINE_IO_COMP_BATCH(iob);

		n = min_t(int, left, BUSE_BATCH);
		buse_drain_batch(lane, n, &iob, true);
		cond_resched();
	}
	mutex_unlock(&lane->cq_mutex);
	return entries;
}

/*
 * The same for a client that polls; it must not sleep. A tail that cannot be
 * right is left for the server's next ENTER to find.
 */
int buse_lane_poll(struct buse_lane *lane, struct io_comp_batch *iob)
{
	u32 taken = 0;
	int left, n;

	if (READ_ONCE(lane->header->cq_tail) == READ_ONCE(lane->cq_head) ||
	    !mutex_trylock(&lane->cq_mutex))
		return 0;
	for (left = buse_lane_entries(lane); left > 0; left -= n) {
		n = min_t(int, left, BUSE_BATCH);
		taken += buse_drain_batch(lane, n, iob, false);
	}
	WRITE_ONCE(lane->polled, lane->polled + taken);
	mutex_unlock(&lane->cq_mutex);
	return taken;
}
