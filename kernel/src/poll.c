// SPDX-License-Identifier: GPL-2.0-only
/*
 * Polled queues: the last nr_poll_queues of a device take the requests of
 * clients that poll for completions (io_uring with IOPOLL, fio's hipri). A
 * request is on the server's ring when its submission returns, and the client's
 * poll takes the completions from the ring. So neither a server that watches
 * sq_tail nor the client needs a system call for an I/O.
 *
 * What the submitter cannot deliver (large writes, no data memory, a server
 * that has died) is pending as on any queue; the client's poll delivers it when
 * the server does not ENTER. Servers may also sleep in ENTER: they are woken.
 */
#include "core.h"

void buse_map_cpus(struct blk_mq_queue_map *map)
{
	unsigned int cpu, n = 0;

	if (map->nr_queues <= num_possible_cpus()) {
		blk_mq_map_queues(map);
		return;
	}
	/* The block layer's own way warns of queues without a CPU. */
	for_each_possible_cpu(cpu)
		map->mq_map[cpu] = map->queue_offset + n++;
}

void buse_map_queues(struct blk_mq_tag_set *set)
{
	const struct buse_device *dev = set->driver_data;
	u32 polled = dev->params.nr_poll_queues;
	u32 others = dev->params.nr_queues - polled;

	/* Without polled queues the block layer makes one for each CPU at most. */
	set->map[HCTX_TYPE_DEFAULT].nr_queues = min(others, set->nr_hw_queues);
	buse_map_cpus(&set->map[HCTX_TYPE_DEFAULT]);
	if (!polled)
		return;
	set->map[HCTX_TYPE_READ].nr_queues = 0;
	set->map[HCTX_TYPE_POLL].nr_queues = polled;
	set->map[HCTX_TYPE_POLL].queue_offset = others;
	buse_map_cpus(&set->map[HCTX_TYPE_POLL]);
}

/* Runs in the client, under rcu_read_lock(): nothing here may sleep. */
int buse_poll_hctx(struct blk_mq_hw_ctx *hctx, struct io_comp_batch *iob)
{
	struct buse_queue *q = hctx->driver_data;
	struct buse_lane *lane;
	int taken = 0;

	for (lane = q->lanes; lane < q->lanes + q->nr_lanes; lane++)
		taken += buse_lane_poll(lane, iob);
	if (likely(!READ_ONCE(q->pending_count)) || READ_ONCE(q->hold))
		return taken;
	for (lane = q->lanes; lane < q->lanes + q->nr_lanes; lane++) {
		if (!READ_ONCE(lane->accepts))
			continue;
		buse_lane_deliver(lane, false);
		buse_lane_kick(lane);
	}
	return taken;
}
