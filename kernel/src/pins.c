// SPDX-License-Identifier: GPL-2.0-only
/*
 * Data memory that a former server's I/O still uses.
 *
 * A server may read and write its back end straight from data memory (O_DIRECT,
 * registered buffers). Such I/O holds references to the pages and outlives the
 * server's mapping, even its process: it could overwrite the next request's
 * data, or write that data to the wrong place. So what a lane gives back when
 * it changes hands is looked at, and kept from use until nobody but mappings
 * refers to it. A tag whose slot is kept gets chunks meanwhile.
 */
#include <linux/bitmap.h>
#include <linux/mm.h>
#include <linux/page_ref.h>
#include <linux/vmalloc.h>

#include "core.h"
#include "data.h"

#define BUSE_PINS_DELAY_MS	50

/* Has the page users besides us and the page tables? */
static bool buse_page_pinned(void *address)
{
	struct page *page = vmalloc_to_page(address);
	int mapped = atomic_read(&page->_mapcount) + 1;
	int extra = page_ref_count(page) - 1 - mapped;

	/* A page that is being mapped or unmapped is looked at again later. */
	return extra || mapped != atomic_read(&page->_mapcount) + 1;
}

static bool buse_chunk_pinned(struct buse_queue *q, u32 data_offset)
{
	u32 at;

	for (at = 0; at < BUSE_CHUNK_BYTES; at += PAGE_SIZE)
		if (buse_page_pinned(q->map + data_offset + at))
			return true;
	return false;
}

static u32 buse_slot_offset(struct buse_queue *q, u32 tag_nr)
{
	return q->dev->data_offset + tag_nr * BUSE_CHUNK_BYTES;
}

static u32 buse_chunk_offset(struct buse_queue *q, u32 chunk)
{
	return q->dev->chunk_offset + chunk * BUSE_CHUNK_BYTES;
}

/*
 * Before the data memory of a request is taken back from a former server, whose
 * mapping is gone: keeps from use what is pinned. Under q->lock.
 */
void buse_pins_keep(struct buse_queue *q, u32 tag_nr)
{
	struct buse_tag *tag = &q->tags[tag_nr];
	u32 first, i;

	if (!buse_data_bytes(tag->rq))
		return;
	if (!tag->nr_chunks) {
		tag->slot_kept = buse_chunk_pinned(q, tag->data_offset);
		q->nr_kept += tag->slot_kept;
	}
	first = (tag->data_offset - q->dev->chunk_offset) / BUSE_CHUNK_BYTES;
	for (i = 0; i < tag->nr_chunks; i++) {
		if (!buse_chunk_pinned(q, buse_chunk_offset(q, first + i)))
			continue;
		set_bit(first + i, q->kept_map);
		q->nr_kept++;
	}
	if (q->nr_kept)
		queue_delayed_work(buse_wq, &q->dev->pins_work,
				   msecs_to_jiffies(BUSE_PINS_DELAY_MS));
}

/* Gives back what is not pinned any more. Returns whether there was any. */
static bool buse_pins_release(struct buse_queue *q)
{
	u32 before, i;

	spin_lock(&q->lock);
	before = q->nr_kept;
	for (i = 0; i < q->dev->params.queue_depth && q->nr_kept; i++) {
		struct buse_tag *tag = &q->tags[i];

		if (!tag->slot_kept ||
		    buse_chunk_pinned(q, buse_slot_offset(q, i)))
			continue;
		tag->slot_kept = false;
		q->nr_kept--;
	}
	for_each_set_bit(i, q->kept_map, q->dev->nr_chunks) {
		if (buse_chunk_pinned(q, buse_chunk_offset(q, i)))
			continue;
		clear_bit(i, q->kept_map);
		clear_bit(i, q->chunk_map);
		q->nr_kept--;
	}
	if (before != q->nr_kept)
		WRITE_ONCE(q->hold, q->hold & ~BUSE_HOLD_MEMORY);
	before -= q->nr_kept;
	spin_unlock(&q->lock);
	return before;
}

void buse_pins_work(struct work_struct *work)
{
	struct buse_device *dev = container_of(to_delayed_work(work),
					       struct buse_device, pins_work);
	bool kept = false;
	u32 i;

	for (i = 0; i < dev->params.nr_queues; i++) {
		struct buse_queue *q = &dev->queues[i];

		if (!READ_ONCE(q->nr_kept))
			continue;
		if (buse_pins_release(q))
			buse_queue_kick(q);
		kept |= READ_ONCE(q->nr_kept);
	}
	if (kept)
		queue_delayed_work(buse_wq, &dev->pins_work,
				   msecs_to_jiffies(BUSE_PINS_DELAY_MS));
}
