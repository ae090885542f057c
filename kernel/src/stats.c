// SPDX-License-Identifier: GPL-2.0-only
/*
 * Latency histograms: how long requests took from the block layer's start to
 * the server's completion, in buckets of powers of two of a microsecond. Each
 * queue has its own, written under its lock; readers add them up.
 *
 * The start is the time that the block layer took for its own statistics
 * (queue/iostats, on by default), so there is one reading of the clock for each
 * batch of completions, and none at all while the histograms are off.
 */
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>
#include <linux/sysfs.h>

#include "core.h"

static bool histograms;
module_param(histograms, bool, 0644);
MODULE_PARM_DESC(histograms, "Record latencies on new devices");

static const char * const class_names[BUSE_NR_CLASSES] = {
	"read", "write", "flush", "discard",
};

static u32 buse_class_of(struct request *rq)
{
	switch (req_op(rq)) {
	case REQ_OP_READ:
		return 0;
	case REQ_OP_WRITE:
		return 1;
	case REQ_OP_FLUSH:
		return 2;
	default:
		return 3;
	}
}

/* Bucket 0: below 1 us; bucket n: from 2^(n-1) us on; the last: all above. */
static u32 buse_bucket_of(u64 ns)
{
	u32 us = min_t(u64, div_u64(ns, NSEC_PER_USEC), U32_MAX);

	return min_t(u32, fls(us), BUSE_NR_BUCKETS - 1);
}

/* A server completed the request. Under q->lock. */
void buse_stats_record(struct buse_queue *q, struct request *rq, u64 now)
{
	u64 *buckets = q->latency[buse_class_of(rq)];
	u64 start = rq->start_time_ns;

	if (start)
		buckets[buse_bucket_of(now > start ? now - start : 0)]++;
}

ssize_t buse_stats_show(struct buse_device *dev, char *buf)
{
	u32 class, bucket, i;
	ssize_t at = 0;

	for (class = 0; class < BUSE_NR_CLASSES; class++) {
		at += sysfs_emit_at(buf, at, "%s", class_names[class]);
		for (bucket = 0; bucket < BUSE_NR_BUCKETS; bucket++) {
			u64 sum = 0;

			for (i = 0; i < dev->params.nr_queues; i++)
				sum += READ_ONCE(dev->queues[i]
						 .latency[class][bucket]);
			at += sysfs_emit_at(buf, at, " %llu", sum);
		}
		at += sysfs_emit_at(buf, at, "\n");
	}
	return at;
}

void buse_stats_init(struct buse_device *dev)
{
	dev->histograms = histograms;
}

int buse_stats_init_queue(struct buse_queue *q)
{
	q->latency = kcalloc(BUSE_NR_CLASSES, sizeof(*q->latency), GFP_KERNEL);
	return q->latency ? 0 : -ENOMEM;
}

void buse_stats_free_queue(struct buse_queue *q)
{
	kfree(q->latency);
}
