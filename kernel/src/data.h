/* SPDX-License-Identifier: GPL-2.0-only */
/* The data of requests on its way through the data memory, as far as it is short. */
#ifndef BUSE_DATA_H
#define BUSE_DATA_H

#include <linux/highmem.h>

#include "core.h"

/* Does the server get the request's ranges as data? See ranges.c. */
static inline bool buse_has_ranges(struct request *rq)
{
	return req_op(rq) == REQ_OP_DISCARD &&
	       blk_rq_nr_discard_segments(rq) > 1;
}

/* Bytes of a request that go through the shared memory. */
static inline u32 buse_data_bytes(struct request *rq)
{
	if (likely(req_op(rq) == REQ_OP_READ || req_op(rq) == REQ_OP_WRITE))
		return blk_rq_bytes(rq);
	if (unlikely(buse_has_ranges(rq)))
		return blk_rq_nr_discard_segments(rq) *
		       sizeof(struct buse_range);
	return 0;
}

static __always_inline void buse_pool_get_slot(struct buse_queue *q,
					       struct buse_tag *tag, u32 tag_nr)
{
	tag->data_offset = q->data_offset + tag_nr * BUSE_CHUNK_BYTES;
}

/* Gives the tag data memory for its request. Under q->lock. */
static inline bool buse_pool_get(struct buse_queue *q, u32 tag_nr, u32 bytes)
{
	struct buse_tag *tag = &q->tags[tag_nr];

	if (unlikely(bytes > BUSE_CHUNK_BYTES || tag->slot_kept))
		return buse_pool_get_chunks(q, tag, bytes);
	buse_pool_get_slot(q, tag, tag_nr);
	return true;
}

/* Is there something to copy before the request is delivered? */
static inline bool buse_data_to_server(struct request *rq)
{
	return req_op(rq) == REQ_OP_WRITE || unlikely(buse_has_ranges(rq));
}

/* Is the request's data one whole page and no more? */
static __always_inline bool buse_is_whole_page(struct request *rq)
{
	struct bio *bio = rq->bio;
	const struct bio_vec *bv = &bio->bi_io_vec[bio->bi_iter.bi_idx];

	return blk_rq_bytes(rq) == PAGE_SIZE &&
	       bio->bi_iter.bi_size == PAGE_SIZE && bv->bv_len == PAGE_SIZE &&
	       !mp_bvec_iter_offset(bio->bi_io_vec, bio->bi_iter);
}

/* A page to the compiler: its length and alignment are known. */
struct buse_page {
	u64 words[PAGE_SIZE / sizeof(u64)];
};

/* buse_pool_copy() of a read or write, short for the most common one. */
static __always_inline void buse_pool_copy_plain(struct buse_queue *q,
						 struct buse_tag *tag,
						 struct request *rq,
						 bool to_server)
{
	struct buse_page *data, *at;
	struct page *page;

	if (unlikely(!buse_is_whole_page(rq))) {
		buse_pool_copy(q, tag, to_server);
		return;
	}
	page = rq->bio->bi_io_vec[rq->bio->bi_iter.bi_idx].bv_page;
	data = q->map + tag->data_offset;
	at = kmap_local_page(page);
	if (to_server) {
		*data = *at;
	} else {
		*at = *data;
		flush_dcache_page(page);
	}
	kunmap_local(at);
}

#endif /* BUSE_DATA_H */
