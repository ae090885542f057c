// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ends requests on the CPU that submitted them. When that CPU sleeps until they
 * end, waking it is an interrupt in any case; with the requests ended in it,
 * what the block layer keeps for each CPU (bios above all) stays with the CPU
 * that needs it next.
 *
 * All that is ours to do for the requests is done before: their tags are free,
 * their data is in their pages. So a lane may change hands meanwhile. The
 * requests keep the disk, and with it the lane, until the last of them has ended.
 */
#include "core.h"

/* The interrupt, on the submitters' CPU. */
static void buse_end_call(void *info)
{
	struct buse_lane *lane = info;
	struct io_comp_batch iob = lane->end_batch;

	/* Pairs with the acquire in buse_end_away(). */
	smp_store_release(&lane->away, false);
	/* The lane may go with the last request. */
	blk_mq_end_request_batch(&iob);
}

void buse_away_init(struct buse_lane *lane)
{
	INIT_CSD(&lane->end_call, buse_end_call, lane);
}

/*
 * Lets the CPU end the batch, or returns false: it is offline, or has not begun
 * with the one before. Under lane->cq_mutex.
 */
bool buse_end_away(struct buse_lane *lane, unsigned int cpu,
		   const struct io_comp_batch *iob)
{
	/* There no request may end in an interrupt. */
	if (IS_ENABLED(CONFIG_PREEMPT_RT))
		return false;
	/* Pairs with the release in buse_end_call(). */
	if (smp_load_acquire(&lane->away))
		return false;
	lane->end_batch = *iob;
	lane->away = true;
	if (likely(!smp_call_function_single_async(cpu, &lane->end_call)))
		return true;
	lane->away = false;
	return false;
}
