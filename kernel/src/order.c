// SPDX-License-Identifier: GPL-2.0-only
/*
 * BUSE_ATTR_ORDERED: no server is ever given two requests at the same time
 * whose ranges overlap and of which one changes data, on whatever queues they
 * are. The later one is held back until the earlier one is complete.
 *
 * Each accepted request with a range has an extent, from its acceptance until
 * right before it ends. A new extent counts the earlier ones that overlap it
 * (its blockers); an extent that goes lowers the count of the later ones that
 * overlap it; whose count drops to zero is released. As everybody waits for
 * earlier requests only, also for those held back themselves, there is no
 * circle and no starvation. Flushes have no range and are never held: they
 * concern completed writes.
 *
 * Where the extents are:
 *   fine	within one 64 KiB block: in the list of that block
 *   coarse	within two 4 MiB regions: in a list of each region
 *   huge	the rest (large discards, discards of several ranges, taken as
 *		one from the first to the last byte): in one list
 * A region belongs to one of 64 shards, with a lock. The lock protects the fine
 * and coarse lists of its regions. The list of the huge ones is changed under
 * all the locks, so it may be read under any of them. All locks an extent needs
 * are taken together, in rising order: that makes the order in which two
 * overlapping extents came one and the same everywhere, and the sequence number
 * is drawn under them.
 *
 * So a small request that overlaps nothing costs one lock that only requests
 * for the same regions share, and a look at the few extents of its block;
 * memory is bounded by the number of tags.
 *
 * Locks: buse_queue.lock, then huge_lock, then shard locks.
 */
#include <linux/bitops.h>
#include <linux/slab.h>

#include "core.h"
#include "data.h"

#define BUSE_FINE_SHIFT		16
#define BUSE_REGION_SHIFT	22
#define BUSE_NR_SHARDS		64U
#define BUSE_NR_BLOCKS		(1U << (BUSE_REGION_SHIFT - BUSE_FINE_SHIFT))
/* Added to the blockers of a request that fails while it is held. */
#define BUSE_CLAIMED		(1 << 30)

enum buse_extent_kind {
	BUSE_EXTENT_NONE,	/* not in any list */
	BUSE_EXTENT_FINE,
	BUSE_EXTENT_COARSE,
	BUSE_EXTENT_HUGE,
};

/* An extent's place in a list. */
struct buse_link {
	struct list_head list;
	struct buse_extent *extent;
};

struct buse_extent {
	struct buse_link link[2];	/* the second: coarse, of two regions */
	struct list_head ready;		/* of the task that releases it */
	struct buse_queue *q;
	u64 first;			/* bytes */
	u64 last;
	u64 sequence;
	atomic_t blockers;
	u16 tag_nr;
	u8 kind;
	bool changes_data;
};

struct buse_shard {
	spinlock_t lock;
	u64 busy;			/* bit: that fine list is not empty */
	struct list_head coarse;
	struct list_head fine[BUSE_NR_BLOCKS];
} ____cacheline_aligned_in_smp;

struct buse_order {
	spinlock_t huge_lock;		/* whoever takes all shard locks */
	struct list_head huge;
	struct buse_shard shards[BUSE_NR_SHARDS];
};

static u64 buse_first_region(const struct buse_extent *x)
{
	return x->first >> BUSE_REGION_SHIFT;
}

static u64 buse_last_region(const struct buse_extent *x)
{
	return x->last >> BUSE_REGION_SHIFT;
}

static struct buse_shard *buse_shard_of(struct buse_order *o, u64 region)
{
	return &o->shards[region % BUSE_NR_SHARDS];
}

static u32 buse_block_of(u64 at)
{
	return (at >> BUSE_FINE_SHIFT) % BUSE_NR_BLOCKS;
}

/* sparse cannot count locks taken in a loop: each is hidden from it. */
static void buse_shard_lock(struct buse_shard *s)
{
	spin_lock(&s->lock);
	__release(&s->lock);
}

static void buse_shard_unlock(struct buse_shard *s)
{
	__acquire(&s->lock);
	spin_unlock(&s->lock);
}

static void buse_order_lock(struct buse_order *o, const struct buse_extent *x)
{
	struct buse_shard *a = buse_shard_of(o, buse_first_region(x));
	struct buse_shard *b = buse_shard_of(o, buse_last_region(x));
	u32 i;

	if (x->kind == BUSE_EXTENT_HUGE) {
		spin_lock(&o->huge_lock);
		__release(&o->huge_lock);
		for (i = 0; i < BUSE_NR_SHARDS; i++) {
			spin_lock_nest_lock(&o->shards[i].lock, &o->huge_lock);
			__release(&o->shards[i].lock);
		}
		return;
	}
	if (a > b)
		swap(a, b);
	buse_shard_lock(a);
	if (a != b) {
		spin_lock_nested(&b->lock, SINGLE_DEPTH_NESTING);
		__release(&b->lock);
	}
}

static void buse_order_unlock(struct buse_order *o, const struct buse_extent *x)
{
	struct buse_shard *a = buse_shard_of(o, buse_first_region(x));
	struct buse_shard *b = buse_shard_of(o, buse_last_region(x));
	u32 i;

	if (x->kind == BUSE_EXTENT_HUGE) {
		for (i = BUSE_NR_SHARDS; i--;)
			buse_shard_unlock(&o->shards[i]);
		__acquire(&o->huge_lock);
		spin_unlock(&o->huge_lock);
		return;
	}
	buse_shard_unlock(a);
	if (a != b)
		buse_shard_unlock(b);
}

static bool buse_conflict(const struct buse_extent *a,
			  const struct buse_extent *b)
{
	return a->first <= b->last && b->first <= a->last &&
	       (a->changes_data || b->changes_data);
}

/*
 * What a coming (ready is NULL) or going extent does about those in a list that
 * conflict with it. A pair may meet in two lists, then both times.
 */
static void buse_meet(struct buse_extent *x, struct list_head *list,
		      struct list_head *ready)
{
	struct buse_link *link;

	list_for_each_entry(link, list, list) {
		struct buse_extent *y = link->extent;

		if (!buse_conflict(x, y))
			continue;
		if (!ready)
			atomic_inc(&x->blockers);
		else if (y->sequence > x->sequence &&
			 atomic_dec_and_test(&y->blockers))
			list_add_tail(&y->ready, ready);
	}
}

static void buse_meet_shard(struct buse_shard *s, struct buse_extent *x,
			    u64 blocks, struct list_head *ready)
{
	for (blocks &= s->busy; blocks; blocks &= blocks - 1)
		buse_meet(x, &s->fine[__ffs64(blocks)], ready);
	buse_meet(x, &s->coarse, ready);
}

/* Bits of the blocks of a region that the extent touches. */
static u64 buse_blocks_of(const struct buse_extent *x, u64 region)
{
	u64 first = max(x->first, region << BUSE_REGION_SHIFT);
	u64 last = min(x->last, ((region + 1) << BUSE_REGION_SHIFT) - 1);

	return GENMASK_ULL(buse_block_of(last), buse_block_of(first));
}

/*
 * A coarse extent meets the huge ones once for each of its regions, as they
 * find it in each of these.
 */
static void buse_meet_all(struct buse_order *o, struct buse_extent *x,
			  struct list_head *ready)
{
	u64 region;
	u32 i;

	if (x->kind == BUSE_EXTENT_HUGE) {
		for (i = 0; i < BUSE_NR_SHARDS; i++)
			buse_meet_shard(&o->shards[i], x, U64_MAX, ready);
		buse_meet(x, &o->huge, ready);
		return;
	}
	for (region = buse_first_region(x); region <= buse_last_region(x);
	     region++) {
		buse_meet_shard(buse_shard_of(o, region), x,
				buse_blocks_of(x, region), ready);
		buse_meet(x, &o->huge, ready);
	}
}

static void buse_extent_insert(struct buse_order *o, struct buse_extent *x)
{
	struct buse_shard *s = buse_shard_of(o, buse_first_region(x));
	u32 block = buse_block_of(x->first);

	switch (x->kind) {
	case BUSE_EXTENT_FINE:
		list_add_tail(&x->link[0].list, &s->fine[block]);
		s->busy |= BIT_ULL(block);
		break;
	case BUSE_EXTENT_COARSE:
		list_add_tail(&x->link[0].list, &s->coarse);
		if (buse_first_region(x) == buse_last_region(x))
			break;
		s = buse_shard_of(o, buse_last_region(x));
		list_add_tail(&x->link[1].list, &s->coarse);
		break;
	default:
		list_add_tail(&x->link[0].list, &o->huge);
	}
}

static void buse_extent_remove(struct buse_order *o, struct buse_extent *x)
{
	struct buse_shard *s = buse_shard_of(o, buse_first_region(x));
	u32 block = buse_block_of(x->first);

	list_del(&x->link[0].list);
	if (x->kind == BUSE_EXTENT_FINE && list_empty(&s->fine[block]))
		s->busy &= ~BIT_ULL(block);
	if (x->kind == BUSE_EXTENT_COARSE &&
	    buse_first_region(x) != buse_last_region(x))
		list_del(&x->link[1].list);
}

/* The range the request concerns. */
static void buse_extent_set(struct buse_extent *x, struct request *rq)
{
	struct bio *bio;

	x->changes_data = req_op(rq) != REQ_OP_READ;
	x->first = (u64)blk_rq_pos(rq) << SECTOR_SHIFT;
	x->last = x->first + blk_rq_bytes(rq) - 1;
	if (unlikely(buse_has_ranges(rq))) {
		x->kind = BUSE_EXTENT_HUGE;
		__rq_for_each_bio(bio, rq) {
			u64 at = (u64)bio->bi_iter.bi_sector << SECTOR_SHIFT;

			x->first = min(x->first, at);
			x->last = max(x->last, at + bio->bi_iter.bi_size - 1);
		}
	} else if (x->first >> BUSE_FINE_SHIFT == x->last >> BUSE_FINE_SHIFT) {
		x->kind = BUSE_EXTENT_FINE;
	} else if (buse_last_region(x) - buse_first_region(x) <= 1) {
		x->kind = BUSE_EXTENT_COARSE;
	} else {
		x->kind = BUSE_EXTENT_HUGE;
	}
}

/*
 * A request comes. Returns whether it has to be held until somebody releases
 * it. Under q->lock, which keeps the release off until the caller has set the
 * tag's state.
 */
bool buse_order_enter(struct buse_queue *q, u32 tag_nr)
{
	struct buse_order *o = q->dev->order;
	struct buse_tag *tag = &q->tags[tag_nr];
	struct buse_extent *x = &q->extents[tag_nr];
	bool held;

	if (req_op(tag->rq) == REQ_OP_FLUSH) {
		x->kind = BUSE_EXTENT_NONE;
		tag->sequence = atomic64_inc_return(&q->dev->sequence);
		return false;
	}
	buse_extent_set(x, tag->rq);
	atomic_set(&x->blockers, 0);
	buse_order_lock(o, x);
	x->sequence = atomic64_inc_return(&q->dev->sequence);
	buse_meet_all(o, x, NULL);
	buse_extent_insert(o, x);
	/* Who brings it to nothing from now on releases the request. */
	held = atomic_read(&x->blockers);
	buse_order_unlock(o, x);
	tag->sequence = x->sequence;
	if (likely(!held))
		return false;
	q->held++;
	return true;
}

static void buse_order_remove(struct buse_order *o, struct buse_extent *x,
			      struct list_head *ready)
{
	if (x->kind == BUSE_EXTENT_NONE)
		return;
	buse_order_lock(o, x);
	buse_extent_remove(o, x);
	buse_meet_all(o, x, ready);
	buse_order_unlock(o, x);
}

/* Nobody blocks the request any more. Returns it if it has to fail. */
static struct request *buse_order_release(struct buse_extent *x)
{
	struct buse_queue *q = x->q;
	struct buse_tag *tag = &q->tags[x->tag_nr];
	struct request *rq = NULL;

	spin_lock(&q->lock);
	if (unlikely(q->failing || q->dead)) {
		rq = tag->rq;
		tag->rq = NULL;
		tag->state = BUSE_TAG_FREE;
	} else {
		buse_pending_push(q, x->tag_nr);
	}
	spin_unlock(&q->lock);
	if (!rq)
		buse_queue_kick(q);
	return rq;
}

/*
 * A request is complete, or has failed, and is about to end. Without q->lock,
 * by the task that owns it.
 */
void buse_order_leave(struct buse_queue *q, u32 tag_nr)
{
	struct buse_order *o = q->dev->order;
	struct buse_extent *x;
	struct request *rq;
	LIST_HEAD(ready);

	buse_order_remove(o, &q->extents[tag_nr], &ready);
	while ((x = list_first_entry_or_null(&ready, struct buse_extent,
					     ready))) {
		list_del(&x->ready);
		rq = buse_order_release(x);
		if (!rq)
			continue;
		buse_order_remove(o, x, &ready);
		buse_queue_end(x->q, rq, BLK_STS_IOERR);
	}
}

/*
 * May the caller fail this held request? If not, it is being released, and who
 * releases it will find that the queue fails. Under q->lock.
 */
bool buse_order_claim(struct buse_queue *q, u32 tag_nr)
{
	return atomic_add_unless(&q->extents[tag_nr].blockers, BUSE_CLAIMED, 0);
}

int buse_order_init(struct buse_device *dev)
{
	struct buse_order *o;
	u32 i, k;

	if (!(dev->params.attributes & BUSE_ATTR_ORDERED))
		return 0;
	o = kvzalloc(sizeof(*o), GFP_KERNEL);
	if (!o)
		return -ENOMEM;
	spin_lock_init(&o->huge_lock);
	INIT_LIST_HEAD(&o->huge);
	for (i = 0; i < BUSE_NR_SHARDS; i++) {
		struct buse_shard *s = &o->shards[i];

		spin_lock_init(&s->lock);
		INIT_LIST_HEAD(&s->coarse);
		for (k = 0; k < BUSE_NR_BLOCKS; k++)
			INIT_LIST_HEAD(&s->fine[k]);
	}
	dev->order = o;
	return 0;
}

int buse_order_init_queue(struct buse_queue *q)
{
	u32 i;

	if (!q->dev->order)
		return 0;
	q->extents = kvcalloc(q->dev->params.queue_depth, sizeof(*q->extents),
			      GFP_KERNEL);
	if (!q->extents)
		return -ENOMEM;
	for (i = 0; i < q->dev->params.queue_depth; i++) {
		struct buse_extent *x = &q->extents[i];

		x->q = q;
		x->tag_nr = i;
		x->link[0].extent = x;
		x->link[1].extent = x;
	}
	return 0;
}

void buse_order_free(struct buse_device *dev)
{
	kvfree(dev->order);
}

void buse_order_free_queue(struct buse_queue *q)
{
	kvfree(q->extents);
}
