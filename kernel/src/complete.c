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
#include "data.h"
#include "trace.h"

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
 * Takes the request that a completion names from the server. Under the queue's
 * lock and cq_mutex. NULL: it names none the server of this lane holds.
 */
static __always_inline struct buse_tag *
buse_take(struct buse_queue *q, const struct buse_completion *e,
	  struct buse_tag *tags, u32 depth, u32 lane, blk_status_t *status)
{
	u32 generation = READ_ONCE(e->generation);
	u32 tag_nr = READ_ONCE(e->tag);
	s32 result = READ_ONCE(e->result);
	struct buse_tag *tag;

	if (unlikely(tag_nr >= depth))
		return NULL;
	tag = &tags[array_index_nospec(tag_nr, depth)];
	if (unlikely(tag->state != BUSE_TAG_DELIVERED ||
		     tag->generation != generation || tag->lane != lane))
		return NULL;
	if (buse_fault(q, BUSE_FAULT_DROP_COMPLETION))
		return NULL;
	tag->state = BUSE_TAG_COMPLETING;
	*status = likely(!result) ? BLK_STS_OK : buse_status_of(result);
	if (buse_fault(q, BUSE_FAULT_FAIL))
		*status = BLK_STS_IOERR;
	return tag;
}

static noinline void buse_record_batch(struct buse_queue *q,
				       const struct buse_done *done, u32 n)
{
	u64 now = ktime_get_ns();

	while (n--)
		buse_stats_record(q, done[n].tag->rq, now);
}

/*
 * Fills lane->done. Returns how many; `plain`: all by slots, not ordered;
 * `idle`: there is nothing else in the queue.
 */
static __always_inline u32 buse_take_batch(struct buse_lane *lane, u32 entries,
					   bool *plain, bool *idle)
{
	struct buse_queue *q = lane->queue;
	/* Kept out of the loop, whose stores could change any of them. */
	struct buse_device *dev = q->dev;
	const struct buse_completion *cq = lane->cq;
	struct buse_tag *tags = q->tags;
	u32 depth = dev->params.queue_depth;
	u32 index = lane->index;
	u32 mask = lane->mask;
	u32 head = lane->cq_head;
	u32 end = head + entries;
	struct buse_done *d = lane->done;
	u32 chunks = 0;
	u32 n;

	spin_lock(&q->lock);
	do {
		blk_status_t status;
		struct buse_tag *tag = buse_take(q, &cq[head & mask], tags,
						 depth, index, &status);

		if (unlikely(!tag))
			continue;
		trace_buse_complete(q, tag, status);
		chunks |= tag->nr_chunks;
		d->tag = tag;
		d->status = status;
		d++;
	} while (++head != end);
	n = d - lane->done;
	if (unlikely(READ_ONCE(dev->histograms)))
		buse_record_batch(q, lane->done, n);
	WRITE_ONCE(lane->cq_head, head);
	WRITE_ONCE(lane->nr_delivered, lane->nr_delivered - n);
	q->stale_completions += entries - n;
	q->completed += n;
	if (unlikely(q->hold & BUSE_HOLD_QUIESCED))
		buse_queue_idle(q);
	if (unlikely(!lane->accepts && !lane->nr_delivered))
		wake_up_poll(&lane->wait, EPOLLHUP);
	*idle = !(lane->nr_delivered | q->pending_count | q->nr_copying);
	spin_unlock(&q->lock);
	*plain = !chunks && !q->extents;
	return n;
}

/*
 * What is not the common case: requests with chunks, whose data memory goes back
 * to the pool before their tags are free, and the ordered mode.
 */
static noinline void buse_settle_batch(struct buse_queue *q,
				       struct buse_done *done, u32 n,
				       bool may_sleep)
{
	u32 i;

	for (i = 0; i < n; i++) {
		struct buse_tag *tag = done[i].tag;

		if (req_op(tag->rq) != REQ_OP_READ || done[i].status)
			continue;
		buse_pool_copy(q, tag, false);
		if (tag->nr_chunks && may_sleep)
			cond_resched();
	}
	spin_lock(&q->lock);
	for (i = 0; i < n; i++)
		buse_pool_put(q, done[i].tag);
	spin_unlock(&q->lock);
	if (!q->extents)
		return;
	for (i = 0; i < n; i++)
		buse_order_leave(q, done[i].tag - q->tags);
}

/*
 * Read data to the requests' pages, if it isn't there yet, and into the batch
 * what the block layer takes in batches.
 */
static __always_inline void buse_collect(struct buse_queue *q,
					 const struct buse_done *done, u32 n,
					 struct io_comp_batch *iob, bool copy)
{
	const struct buse_done *d = done + n;

	/* The batch is a stack; backwards, requests end in the server's order. */
	while (d-- != done) {
		struct buse_tag *tag = d->tag;
		blk_status_t status = d->status;
		struct request *rq = tag->rq;

		if (copy && req_op(rq) == REQ_OP_READ && likely(!status))
			buse_pool_copy_plain(q, tag, rq, false);
		/* The tag is the block layer's from the end of the request on. */
		tag->rq = NULL;
		WRITE_ONCE(tag->state, BUSE_TAG_FREE);
		if (unlikely(status) ||
		    unlikely(!blk_mq_add_to_batch(rq, iob, false,
						  blk_mq_end_request_batch)))
			buse_queue_end(q, rq, status);
	}
}

/* What is below the tail as it is now, or -EPROTO. Under lane->cq_mutex. */
static int buse_lane_entries(struct buse_lane *lane)
{
	/* Entries and data after the tail that covers them. */
	u32 tail = smp_load_acquire(&lane->header->cq_tail);
	u32 entries = tail - lane->cq_head;

	return entries > lane->queue->dev->ring_entries ? -EPROTO : entries;
}

/*
 * Ends what is collected. With nothing left in the queue the submitter may
 * sleep, and its CPU has to be interrupted anyway: then all of it is done there.
 */
static __always_inline void buse_end_batch(struct buse_lane *lane, bool idle,
					   unsigned int cpu,
					   struct io_comp_batch *iob)
{
	/* The bios of a client that polls must not end in an interrupt. */
	if (idle && !lane->queue->polled && cpu != raw_smp_processor_id() &&
	    buse_away_claim(lane)) {
		lane->end_batch = *iob;
		if (buse_away_send(lane, cpu))
			return;
	}
	buse_end_begin(lane->queue);
	iob->complete(iob);
	buse_end_finish(lane->queue);
}

/*
 * One to BUSE_BATCH entries; by the server, or by a client that polls. The end
 * of what is collected in iob is left to its owner, the client, or done here.
 */
static __always_inline u32 buse_drain_batch(struct buse_lane *lane, u32 entries,
					    struct io_comp_batch *iob,
					    bool server)
{
	struct buse_queue *q = lane->queue;
	bool plain, idle;
	u32 taken = buse_take_batch(lane, entries, &plain, &idle);
	unsigned int cpu = 0;

	if (unlikely(q->bios)) {
		if (!plain)
			buse_settle_batch(q, lane->done, taken, server);
		buse_bio_end_batch(lane, taken, plain, idle);
		return taken;
	}
	if (server && taken)
		cpu = blk_mq_rq_cpu(lane->done[0].tag->rq);
	if (likely(plain)) {
		buse_collect(q, lane->done, taken, iob, true);
	} else {
		buse_settle_batch(q, lane->done, taken, server);
		buse_collect(q, lane->done, taken, iob, false);
	}
	if (server && iob->complete)
		buse_end_batch(lane, idle, cpu, iob);
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
		/* Also after the last: cheaper for a client it woke than a yield(). */
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
