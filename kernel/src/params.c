// SPDX-License-Identifier: GPL-2.0-only
/* Checks a device's parameters and fills in the defaults. */
#include <linux/cpumask.h>
#include <linux/log2.h>
#include <linux/math.h>
#include <linux/string.h>

#include "core.h"

#define BUSE_DEFAULT_QUEUES		4U
#define BUSE_DEFAULT_DEPTH		128U
#define BUSE_DEFAULT_MAX_IO		(1U << 20)
#define BUSE_DEFAULT_MAX_DISCARD	(1U << 30)
/* Data memory above the slots: see buse_default_pool(). */
#define BUSE_DEFAULT_CHUNK_BYTES	(5U << 20)

static int buse_check_blocks(struct buse_params *p)
{
	if (!p->logical_block_bytes)
		p->logical_block_bytes = 512;
	if (!is_power_of_2(p->logical_block_bytes) ||
	    p->logical_block_bytes < 512 || p->logical_block_bytes > 4096)
		return -EINVAL;
	if (!p->physical_block_bytes)
		p->physical_block_bytes = max(p->logical_block_bytes, 4096U);
	if (!is_power_of_2(p->physical_block_bytes) ||
	    p->physical_block_bytes < p->logical_block_bytes ||
	    p->physical_block_bytes > BUSE_MAX_IO_BYTES)
		return -EINVAL;
	if (!p->io_min_bytes)
		p->io_min_bytes = p->physical_block_bytes;
	if (p->io_min_bytes % p->physical_block_bytes ||
	    p->io_opt_bytes % p->physical_block_bytes)
		return -EINVAL;
	if (p->chunk_bytes && (!is_power_of_2(p->chunk_bytes) ||
			       p->chunk_bytes < p->physical_block_bytes ||
			       p->chunk_bytes < PAGE_SIZE))
		return -EINVAL;
	if (!p->size_bytes || p->size_bytes % p->logical_block_bytes ||
	    p->size_bytes > LLONG_MAX)
		return -EINVAL;
	return 0;
}

static int buse_check_discard(struct buse_params *p)
{
	if (!p->max_discard_segments || !(p->attributes & BUSE_ATTR_DISCARD) ||
	    p->attributes & BUSE_ATTR_BIO)
		p->max_discard_segments = 1;
	/* The list of ranges has room in the tag's slot. */
	BUILD_BUG_ON(BUSE_MAX_DISCARD_SEGMENTS * sizeof(struct buse_range) >
		     BUSE_CHUNK_BYTES);
	if (p->max_discard_segments > BUSE_MAX_DISCARD_SEGMENTS)
		return -EINVAL;
	if (!(p->attributes & (BUSE_ATTR_DISCARD | BUSE_ATTR_WRITE_ZEROES |
			       BUSE_ATTR_SECURE_ERASE))) {
		p->discard_granularity_bytes = 0;
		p->max_discard_bytes = 0;
		return 0;
	}
	if (!p->discard_granularity_bytes)
		p->discard_granularity_bytes = p->physical_block_bytes;
	if (!is_power_of_2(p->discard_granularity_bytes) ||
	    p->discard_granularity_bytes < p->logical_block_bytes)
		return -EINVAL;
	if (!p->max_discard_bytes)
		p->max_discard_bytes = max(BUSE_DEFAULT_MAX_DISCARD,
					   p->discard_granularity_bytes);
	if (p->max_discard_bytes % p->logical_block_bytes ||
	    p->max_discard_bytes < p->discard_granularity_bytes)
		return -EINVAL;
	return 0;
}

/* 7 MiB at the default depth; with the rings an idle queue pins below 8 MiB. */
static u32 buse_default_pool(const struct buse_params *p)
{
	return p->queue_depth * BUSE_CHUNK_BYTES +
	       max(BUSE_DEFAULT_CHUNK_BYTES, 4 * p->max_io_bytes);
}

static int buse_check_queues(struct buse_params *p)
{
	if (!p->nr_queues)
		p->nr_queues = min(num_possible_cpus(), BUSE_DEFAULT_QUEUES) +
			       min(p->nr_poll_queues, BUSE_MAX_QUEUES);
	if (!p->queue_depth)
		p->queue_depth = BUSE_DEFAULT_DEPTH;
	if (!p->max_io_bytes)
		p->max_io_bytes = BUSE_DEFAULT_MAX_IO;
	if (!p->servers_per_queue)
		p->servers_per_queue = 1;
	if (p->nr_queues > BUSE_MAX_QUEUES ||
	    p->nr_poll_queues >= p->nr_queues ||
	    (p->nr_poll_queues && p->attributes & BUSE_ATTR_BIO) ||
	    p->servers_per_queue > BUSE_MAX_SERVERS_PER_QUEUE ||
	    p->queue_depth > BUSE_MAX_QUEUE_DEPTH ||
	    p->max_io_bytes > BUSE_MAX_IO_BYTES ||
	    p->max_io_bytes < PAGE_SIZE ||
	    p->max_io_bytes % p->logical_block_bytes)
		return -EINVAL;
	if (!p->pool_bytes)
		p->pool_bytes = buse_default_pool(p);
	/* The slots, and one largest request besides: see pool.c. */
	if (p->pool_bytes > BUSE_MAX_POOL_BYTES ||
	    p->pool_bytes < p->queue_depth * BUSE_CHUNK_BYTES +
			    round_up(p->max_io_bytes, BUSE_CHUNK_BYTES))
		return -EINVAL;
	return 0;
}

int buse_params_check(struct buse_params *p)
{
	int ret;

	if (p->attributes & ~BUSE_ATTR_ALL ||
	    memchr_inv(p->reserved, 0, sizeof(p->reserved)))
		return -EINVAL;
	/* Without a cache to bypass every write is as good as FUA. */
	if (!(p->attributes & BUSE_ATTR_VOLATILE_CACHE))
		p->attributes &= ~BUSE_ATTR_FUA;
	ret = buse_check_blocks(p);
	if (!ret)
		ret = buse_check_queues(p);
	if (!ret)
		ret = buse_check_discard(p);
	return ret;
}
