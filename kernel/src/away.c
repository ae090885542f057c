// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ends requests on the CPU that submitted them. When that CPU sleeps until they
 * end, waking it is an interrupt in any case; with the requests ended in it,
 * what the block layer keeps for each CPU (bios above all) stays with the CPU
 * that needs it next. A busy CPU is left alone: the interrupt notes what it
 * interrupted, and after a task the next batches end on the server's CPU.
 *
 * All that is ours to do for the requests is done before: their tags are free,
 * their data is in their pages. So a lane may change hands meanwhile. Requests
 * keep the disk, and with it the lane, until the last of them has ended; for bios
 * buse_bio_drain() sees to that.
 */
#include <linux/sched.h>

#include "core.h"

/* Batches for which a submitter that was found busy is taken to be, at first and at most. */
#define BUSE_BUSY_FIRST		4U
#define BUSE_BUSY_MAX		256U

/* On the submitters' CPU, in the interrupt. */
static void buse_note_submitter(struct buse_lane *lane)
{
	u32 span = 0;

	if (!is_idle_task(current))
		span = clamp(2 * lane->busy_span, BUSE_BUSY_FIRST,
			     BUSE_BUSY_MAX);
	WRITE_ONCE(lane->busy_span, span);
	lane->submitter_busy = span;
}

static void buse_away_done(struct buse_lane *lane)
{
	/* Pairs with the acquires in buse_away_claim() and buse_bio_drain(). */
	smp_store_release(&lane->away, false);
}

/* The interrupt, on the submitters' CPU. */
static void buse_end_call(void *info)
{
	struct buse_lane *lane = info;

	buse_note_submitter(lane);
	/* Either way the lane may go when it is not away any more. */
	if (lane->queue->bios) {
		struct bio_list bios = lane->end_bios;

		buse_away_done(lane);
		buse_bio_end_list(&bios);
	} else {
		struct io_comp_batch iob = lane->end_batch;

		buse_away_done(lane);
		blk_mq_end_request_batch(&iob);
	}
}

void buse_away_init(struct buse_lane *lane)
{
	INIT_CSD(&lane->end_call, buse_end_call, lane);
}

/*
 * May a batch be ended away? Not if the submitter's CPU is busy, or has not
 * begun with the batch before. If so, it is to be put in the lane's end_batch or
 * end_bios and sent. Under lane->cq_mutex.
 */
bool buse_away_claim(struct buse_lane *lane)
{
	/* There no request may end in an interrupt. */
	if (IS_ENABLED(CONFIG_PREEMPT_RT))
		return false;
	/* Pairs with the release in buse_end_call(). */
	if (smp_load_acquire(&lane->away))
		return false;
	if (lane->submitter_busy) {
		lane->submitter_busy--;
		return false;
	}
	WRITE_ONCE(lane->away, true);
	return true;
}

/* False: the CPU is offline, and the batch the caller's again. */
bool buse_away_send(struct buse_lane *lane, unsigned int cpu)
{
	if (likely(!smp_call_function_single_async(cpu, &lane->end_call)))
		return true;
	WRITE_ONCE(lane->away, false);
	return false;
}
