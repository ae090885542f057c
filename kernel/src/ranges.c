// SPDX-License-Identifier: GPL-2.0-only
/*
 * Discards of several ranges. The block layer merges discards into one request
 * with a bio for each range; the server gets the ranges as the request's data.
 */
#include <linux/bio.h>

#include "core.h"

/* The caller owns the request; to has room for its segments. */
void buse_ranges_fill(struct request *rq, struct buse_range *to)
{
	u32 left = blk_rq_nr_discard_segments(rq);
	struct bio *bio;

	__rq_for_each_bio(bio, rq) {
		if (WARN_ON_ONCE(!left))
			return;
		to->offset = (u64)bio->bi_iter.bi_sector << SECTOR_SHIFT;
		to->length = bio->bi_iter.bi_size;
		to++;
		left--;
	}
	/* Never what an earlier request left there. */
	memset(to, 0, left * sizeof(*to));
}
