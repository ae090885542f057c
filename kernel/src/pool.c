// SPDX-License-Identifier: GPL-2.0-only
/*
 * Data memory of a queue: one slot of BUSE_CHUNK_BYTES for each tag, and
 * chunks of the same size, taken in contiguous runs, for larger requests.
 *
 * The chunks always suffice for one request of max_io_bytes, so when nothing
 * is in flight, and no I/O of a former server either (pins.c), the oldest
 * pending request fits: there is always progress.
 * Nothing is allocated after the queue was created.
 */
#include <linux/bitmap.h>

#include "core.h"
#include "data.h"

/* For a request that its tag's slot can't hold, or must not. Under q->lock. */
bool buse_pool_get_chunks(struct buse_queue *q, struct buse_tag *tag, u32 bytes)
{
	struct buse_device *dev = q->dev;
	unsigned int chunks = DIV_ROUND_UP(bytes, BUSE_CHUNK_BYTES);
	unsigned long at;

	at = bitmap_find_next_zero_area(q->chunk_map, dev->nr_chunks, 0, chunks,
					0);
	if (at >= dev->nr_chunks) {
		WRITE_ONCE(q->hold, q->hold | BUSE_HOLD_MEMORY);
		return false;
	}
	bitmap_set(q->chunk_map, at, chunks);
	tag->data_offset = dev->chunk_offset + at * BUSE_CHUNK_BYTES;
	tag->nr_chunks = chunks;
	return true;
}

/* Takes back what buse_pool_get() gave, if anything. Under q->lock. */
void buse_pool_put(struct buse_queue *q, struct buse_tag *tag)
{
	u32 first;

	if (!tag->nr_chunks)
		return;
	first = (tag->data_offset - q->dev->chunk_offset) / BUSE_CHUNK_BYTES;
	bitmap_clear(q->chunk_map, first, tag->nr_chunks);
	if (unlikely(q->nr_kept))
		bitmap_or(q->chunk_map, q->chunk_map, q->kept_map,
			  q->dev->nr_chunks);
	tag->nr_chunks = 0;
	WRITE_ONCE(q->hold, q->hold & ~BUSE_HOLD_MEMORY);
}

static void buse_copy_segment(void *data, struct bio_vec *bv, bool to_server)
{
	void *page = bvec_kmap_local(bv);
	/* Bounded for the compiler, which then copies right here. */
	size_t bytes = min_t(size_t, bv->bv_len, PAGE_SIZE);

	if (to_server) {
		memcpy(data, page, bytes);
	} else {
		memcpy(page, data, bytes);
		flush_dcache_page(bv->bv_page);
	}
	kunmap_local(page);
}

/*
 * Copies between the request's pages and its data memory. The caller owns the
 * request. The server may write the memory at the same time; that changes the
 * data it hands over and nothing else.
 */
void buse_pool_copy(struct buse_queue *q, struct buse_tag *tag, bool to_server)
{
	void *data = q->map + tag->data_offset;
	struct req_iterator iter;
	struct bio_vec bv;

	if (unlikely(buse_has_ranges(tag->rq))) {
		buse_ranges_fill(tag->rq, data);
		return;
	}
	rq_for_each_segment(bv, tag->rq, iter) {
		buse_copy_segment(data, &bv, to_server);
		data += bv.bv_len;
	}
}
