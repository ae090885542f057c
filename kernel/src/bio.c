// SPDX-License-Identifier: GPL-2.0-only
/*
 * BUSE_ATTR_BIO: disks that take bios as they come. The block layer then makes
 * no requests of them: no merging, no scheduler, no limits by request, and
 * about a tenth less work for a small I/O.
 *
 * Each tag has a struct request of its own, of which only the fields that
 * describe an I/O are used, so that all the rest of the module knows requests
 * only. What the block layer otherwise does is done here: a free tag is waited
 * for, bios are split, I/O is accounted, and a bio that the server cannot be
 * given as one request is done in steps (a flush before its data; a flush after
 * it, if FUA is not understood).
 *
 * Tags are taken and given back under buse_queue.lock. A bio without a tag
 * belongs to its submitter, who waits; with one, to whom the tag's state says.
 */
#include <linux/bio.h>
#include <linux/blk-mq.h>
#include <linux/ktime.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/wait.h>

#include "accept.h"
#include "core.h"
#include "data.h"

/* What is still to be done for a bio after the present request. */
#define BUSE_BIO_DATA	(1U << 0)
#define BUSE_BIO_FLUSH	(1U << 1)

struct buse_bio {
	struct request rq;
	unsigned long started;	/* for the block layer's statistics */
	unsigned int cpu;	/* the submitter's */
	u8 steps;
	bool accounted;
};

static struct buse_bio *buse_bio_of(struct request *rq)
{
	return container_of(rq, struct buse_bio, rq);
}

static __always_inline void buse_bio_set_data(struct buse_bio *b,
					      blk_opf_t flags)
{
	struct bio *bio = b->rq.bio;

	b->rq.cmd_flags = flags;
	b->rq.__sector = bio->bi_iter.bi_sector;
	b->rq.__data_len = bio->bi_iter.bi_size;
}

static void buse_bio_set_flush(struct buse_bio *b)
{
	b->rq.cmd_flags = REQ_OP_FLUSH;
	b->rq.__sector = 0;
	b->rq.__data_len = 0;
}

/* Is FUA done by a flush afterwards? */
static bool buse_bio_flushes_after(const struct buse_queue *q,
				   const struct bio *bio)
{
	return bio->bi_opf & REQ_FUA &&
	       !(q->dev->params.attributes & BUSE_ATTR_FUA);
}

static blk_opf_t buse_bio_data_flags(const struct buse_queue *q,
				     const struct bio *bio)
{
	blk_opf_t flags = bio->bi_opf & ~REQ_PREFLUSH;

	if (buse_bio_flushes_after(q, bio))
		flags &= ~REQ_FUA;
	return flags;
}

/* The first step of a bio that flushes. Only disks with a volatile cache get any. */
static noinline void buse_bio_set_steps(struct buse_queue *q,
					struct buse_bio *b)
{
	struct bio *bio = b->rq.bio;

	if (!bio->bi_iter.bi_size) {
		buse_bio_set_flush(b);
		return;
	}
	if (buse_bio_flushes_after(q, bio))
		b->steps |= BUSE_BIO_FLUSH;
	if (bio->bi_opf & REQ_PREFLUSH) {
		b->steps |= BUSE_BIO_DATA;
		buse_bio_set_flush(b);
	} else {
		buse_bio_set_data(b, buse_bio_data_flags(q, bio));
	}
}

/* The next step after one that went well. False: that was the last. */
static bool buse_bio_next_step(struct buse_queue *q, struct buse_bio *b)
{
	/* Each step is a latency of its own. */
	if (b->rq.start_time_ns)
		b->rq.start_time_ns = ktime_get_ns();
	if (b->steps & BUSE_BIO_DATA) {
		b->steps &= ~BUSE_BIO_DATA;
		buse_bio_set_data(b, buse_bio_data_flags(q, b->rq.bio));
		return true;
	}
	if (b->steps & BUSE_BIO_FLUSH) {
		b->steps &= ~BUSE_BIO_FLUSH;
		buse_bio_set_flush(b);
		return true;
	}
	return false;
}

/* Goes on with a bio whose step is complete. Returns false if it is to end. */
static noinline bool buse_bio_go_on(struct buse_queue *q, struct buse_bio *b,
				    blk_status_t *status)
{
	if (*status || !buse_bio_next_step(q, b)) {
		b->steps = 0;
		return false;
	}
	spin_lock(&q->lock);
	*status = buse_accept_rare(q, &b->rq);
	buse_flush_batch(q);
	if (*status)
		b->steps = 0;
	return !*status;
}

/* Under q->lock. */
static void buse_bio_put_tag(struct buse_queue *q, u32 tag_nr)
{
	q->free_tags[q->nr_free++] = tag_nr;
}

/* To whom waits for tags, after this many were put. Under q->lock. */
static void buse_bio_wake(struct buse_queue *q, u32 n)
{
	/* Waiters look for tags under the lock, when they are on the queue. */
	if (n && unlikely(waitqueue_active(&q->tag_wait)))
		wake_up_nr(&q->tag_wait, n);
}

/* As the block layer says it of requests. */
static noinline void buse_bio_failed(struct bio *bio, blk_status_t status)
{
	bio->bi_status = status;
	if (!bio_flagged(bio, BIO_QUIET) && status != BLK_STS_NOTSUPP)
		pr_err_ratelimited("I/O error, dev %pg, sector %llu op 0x%x\n",
				   bio->bi_bdev,
				   (u64)bio->bi_iter.bi_sector, bio_op(bio));
}

/* Takes the bio off its tag, which somebody else may have after that. */
static __always_inline struct bio *buse_bio_take(struct buse_bio *b,
						 blk_status_t status)
{
	struct bio *bio = b->rq.bio;

	if (unlikely(status))
		buse_bio_failed(bio, status);
	if (b->accounted)
		bio_end_io_acct(bio, b->started);
	return bio;
}

/* Ends a bio that no tag state refers to any more. */
void buse_bio_end(struct buse_queue *q, struct request *rq, blk_status_t status)
{
	struct buse_bio *b = buse_bio_of(rq);
	struct bio *bio = buse_bio_take(b, status);

	b->steps = 0;
	spin_lock(&q->lock);
	buse_bio_put_tag(q, rq->tag);
	buse_bio_wake(q, 1);
	spin_unlock(&q->lock);
	buse_end_begin(q);
	bio_endio(bio);
	buse_end_finish(q);
}

void buse_bio_end_list(struct bio_list *list)
{
	struct bio *bio;

	while ((bio = bio_list_pop(list)))
		bio_endio(bio);
}

/*
 * Ends the first n of lane->done, as buse_collect() does requests: read data to
 * the pages, if it isn't there yet, then the tags, then the bios; with nothing
 * left in the queue on the submitters' CPU, if that is well (away.c). Under
 * lane->cq_mutex.
 */
void buse_bio_end_batch(struct buse_lane *lane, u32 n, bool copy, bool idle)
{
	struct buse_queue *q = lane->queue;
	const struct buse_done *done = lane->done;
	struct bio_list bios = BIO_EMPTY_LIST;
	unsigned int cpu = 0;
	bool away;
	u16 tags[BUSE_BATCH];
	u32 ended = 0;
	u32 i;

	for (i = 0; i < n; i++, done++) {
		struct buse_tag *tag = done->tag;
		blk_status_t status = done->status;
		struct request *rq = tag->rq;
		struct buse_bio *b = buse_bio_of(rq);

		if (copy && req_op(rq) == REQ_OP_READ && likely(!status))
			buse_pool_copy_plain(q, tag, rq, false);
		if (unlikely(b->steps) && buse_bio_go_on(q, b, &status))
			continue;
		tag->rq = NULL;
		WRITE_ONCE(tag->state, BUSE_TAG_FREE);
		cpu = b->cpu;
		bio_list_add(&bios, buse_bio_take(b, status));
		tags[ended++] = rq->tag;
	}
	/* Before the tags: who waits for all of them frees the lane. */
	away = idle && ended && cpu != raw_smp_processor_id() &&
	       buse_away_claim(lane);
	spin_lock(&q->lock);
	for (i = 0; i < ended; i++)
		buse_bio_put_tag(q, tags[i]);
	buse_bio_wake(q, ended);
	spin_unlock(&q->lock);
	if (away) {
		lane->end_bios = bios;
		if (buse_away_send(lane, cpu))
			return;
	}
	buse_end_begin(q);
	buse_bio_end_list(&bios);
	buse_end_finish(q);
}

/*
 * Waits for a free tag. Under q->lock, which is dropped meanwhile. False: the
 * bio must not wait; it has ended and the lock is released.
 */
static noinline bool buse_bio_wait(struct buse_queue *q, struct bio *bio)
	__must_hold(&q->lock)
{
	DEFINE_WAIT(wait);

	if (bio->bi_opf & REQ_NOWAIT) {
		spin_unlock(&q->lock);
		bio_wouldblock_error(bio);
		/* For sparse: the lock is not held here. */
		__acquire(&q->lock);
		return false;
	}
	do {
		prepare_to_wait_exclusive(&q->tag_wait, &wait,
					  TASK_UNINTERRUPTIBLE);
		spin_unlock(&q->lock);
		io_schedule();
		spin_lock(&q->lock);
	} while (!q->nr_free);
	finish_wait(&q->tag_wait, &wait);
	return true;
}

/* Gives the bio a tag. Under q->lock. */
static __always_inline struct request *buse_bio_begin(struct buse_queue *q,
						      struct bio *bio,
						      unsigned int cpu)
{
	struct buse_bio *b = &q->bios[q->free_tags[--q->nr_free]];

	b->rq.bio = bio;
	b->cpu = cpu;
	/* An empty flush would count as a write. */
	b->accounted = bio->bi_iter.bi_size &&
		       blk_queue_io_stat(bio->bi_bdev->bd_disk->queue);
	if (b->accounted)
		b->started = bio_start_io_acct(bio);
	if (unlikely(READ_ONCE(q->dev->histograms)))
		b->rq.start_time_ns = ktime_get_ns();
	else
		b->rq.start_time_ns = 0;
	if (unlikely(bio->bi_opf & (REQ_PREFLUSH | REQ_FUA)))
		buse_bio_set_steps(q, b);
	else
		buse_bio_set_data(b, bio->bi_opf);
	return &b->rq;
}

/* Not a whole number of blocks, and one at least. */
static __always_inline bool buse_bio_is_odd(const struct buse_device *dev,
					    const struct bio *bio)
{
	u64 at = (u64)bio->bi_iter.bi_sector << SECTOR_SHIFT;

	return !bio->bi_iter.bi_size ||
	       (at | bio->bi_iter.bi_size) &
	       (dev->params.logical_block_bytes - 1);
}

/* Ends a bio that is no I/O of this disk. False: it is an empty flush. */
static noinline bool buse_bio_refused(struct bio *bio)
{
	if (bio->bi_iter.bi_size) {
		bio_io_error(bio);
		return true;
	}
	if (bio->bi_opf & (REQ_PREFLUSH | REQ_FUA))
		return false;
	bio_endio(bio);
	return true;
}

void buse_submit_bio(struct bio *bio)
{
	struct buse_device *dev = bio->bi_bdev->bd_disk->private_data;
	unsigned int cpu = raw_smp_processor_id();
	struct buse_queue *q = &dev->queues[dev->queue_of[cpu]];
	struct request *rq;
	blk_status_t status;

	if (unlikely(buse_bio_is_odd(dev, bio)) && buse_bio_refused(bio))
		return;
	bio = bio_split_to_limits(bio);
	if (unlikely(!bio))
		return;
	spin_lock(&q->lock);
	if (unlikely(!q->nr_free) && !buse_bio_wait(q, bio)) {
		__release(&q->lock);
		return;
	}
	rq = buse_bio_begin(q, bio, cpu);
	status = buse_accept(q, rq, true);
	buse_flush_batch(q);
	if (unlikely(status))
		buse_bio_end(q, rq, status);
}

static bool buse_bio_idle(struct buse_queue *q)
{
	bool idle;

	/* Who puts tags looks for us under the lock. */
	spin_lock(&q->lock);
	idle = q->nr_free == q->dev->params.queue_depth;
	spin_unlock(&q->lock);
	return idle;
}

/*
 * Waits until no tag is in use and no bio on its way to another CPU; nothing new
 * may come.
 */
void buse_bio_drain(struct buse_device *dev)
{
	u32 i, k;

	for (i = 0; i < dev->params.nr_queues; i++) {
		struct buse_queue *q = &dev->queues[i];

		wait_event(q->tag_wait, buse_bio_idle(q));
		/* An interrupt that was sent: it does not keep us waiting. */
		for (k = 0; k < q->nr_lanes; k++)
			/* Pairs with the release in buse_away_done(). */
			while (smp_load_acquire(&q->lanes[k].away))
				cond_resched();
	}
}

/* Which queue each CPU's bios go to. */
int buse_bio_init(struct buse_device *dev)
{
	struct blk_mq_queue_map map = { .nr_queues = dev->params.nr_queues };

	if (!buse_takes_bios(dev))
		return 0;
	map.mq_map = BUSE_ALLOC(kcalloc(nr_cpu_ids, sizeof(*map.mq_map),
					GFP_KERNEL));
	if (!map.mq_map)
		return -ENOMEM;
	map.nr_queues = min(map.nr_queues, nr_cpu_ids);
	buse_map_cpus(&map);
	dev->queue_of = map.mq_map;
	return 0;
}

int buse_bio_init_queue(struct buse_queue *q)
{
	u32 depth = q->dev->params.queue_depth;
	u32 i;

	init_waitqueue_head(&q->tag_wait);
	if (!buse_takes_bios(q->dev))
		return 0;
	q->bios = BUSE_ALLOC(kvcalloc(depth, sizeof(*q->bios), GFP_KERNEL));
	q->free_tags = BUSE_ALLOC(kvcalloc(depth, sizeof(*q->free_tags),
					    GFP_KERNEL));
	if (!q->bios || !q->free_tags)
		return -ENOMEM;
	for (i = 0; i < depth; i++) {
		q->bios[i].rq.tag = i;
		buse_bio_put_tag(q, i);
	}
	return 0;
}

void buse_bio_free(struct buse_device *dev)
{
	kfree(dev->queue_of);
}

void buse_bio_free_queue(struct buse_queue *q)
{
	kvfree(q->bios);
	kvfree(q->free_tags);
}
