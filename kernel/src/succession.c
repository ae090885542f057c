// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who serves a lane, and what becomes of its requests when that changes.
 *
 * Whatever the reason (the file is closed, a successor takes over, the server
 * broke the protocol), the order is the same:
 *   1. nothing new is delivered to the lane;
 *   2. the old server can no longer write the shared memory, but for I/O that
 *	is under way: see pins.c;
 *   3. what it held is pending again, and the rings start anew;
 *   4. the next server may start.
 * A completion of the old server is taken before 3 or never.
 */
#include <linux/poll.h>
#include <linux/sched.h>

#include "core.h"
#include "trace.h"

/* After a change of a lane's server or of accepts. Under q->lock. */
static void buse_queue_count(struct buse_queue *q)
{
	bool served = false;
	u32 accepting = 0;
	u32 i;

	for (i = 0; i < q->nr_lanes; i++) {
		served |= !!q->lanes[i].server;
		accepting += q->lanes[i].accepts;
	}
	if (q->served && !served)
		q->parked_at = jiffies;
	if (served)
		q->failing = false;
	q->served = served;
	q->nr_accepting = accepting;
}

/* Makes everything the lane's server holds pending. Under q->lock. */
static void buse_lane_take_back(struct buse_lane *lane)
{
	struct buse_queue *q = lane->queue;
	u32 taken_back = 0;
	u32 tag_nr;

	for (tag_nr = 0; tag_nr < q->dev->params.queue_depth; tag_nr++) {
		struct buse_tag *tag = &q->tags[tag_nr];

		if (tag->state != BUSE_TAG_DELIVERED ||
		    tag->lane != lane->index)
			continue;
		lane->nr_delivered--;
		buse_pins_keep(q, tag_nr);
		buse_pool_put(q, tag);
		buse_pending_push(q, tag_nr);
		taken_back++;
	}
	trace_buse_park(q, taken_back);
	buse_pending_sort(q);
	buse_queue_idle(q);
}

/* Stops deliveries to the file's lane; its calls fail from here on. */
static void buse_file_stop(struct buse_file *file, u8 state)
{
	struct buse_queue *q = file->lane->queue;

	spin_lock(&q->lock);
	file->lane->accepts = false;
	WRITE_ONCE(file->state, state);
	buse_queue_count(q);
	spin_unlock(&q->lock);
}

/*
 * Gives the lane to @next, or to nobody. The former server is closed or its
 * mapping revoked. Under q->succession. Returns whether nobody serves the queue
 * from now on.
 */
static bool buse_lane_install(struct buse_lane *lane, struct buse_file *next)
{
	struct buse_queue *q = lane->queue;
	bool parked;

	/* A drain that is under way takes its completions to the end. */
	mutex_lock(&lane->cq_mutex);
	spin_lock(&q->lock);
	parked = q->served;
	lane->epoch++;
	lane->server = next;
	buse_lane_take_back(lane);
	lane->tail = 0;
	WRITE_ONCE(lane->published, 0);
	WRITE_ONCE(lane->cq_head, 0);
	WRITE_ONCE(lane->header->sq_tail, 0);
	WRITE_ONCE(lane->header->cq_tail, 0);
	lane->accepts = next;
	buse_queue_count(q);
	parked &= !q->served;
	if (next)
		/* The reset above before the server may look: buse_file_error(). */
		smp_store_release(&next->state, BUSE_FILE_ACTIVE);
	spin_unlock(&q->lock);
	mutex_unlock(&lane->cq_mutex);

	wake_up_poll(&lane->wait, EPOLLIN | EPOLLERR | EPOLLHUP);
	wake_up_poll(&lane->standby_wait, EPOLLIN | EPOLLOUT);
	buse_queue_kick(q);
	return parked;
}

/* The server is gone: its standby's turn, or nobody's. Under q->succession. */
static bool buse_lane_succeed(struct buse_lane *lane)
{
	struct buse_file *next = lane->standby;

	lane->standby = NULL;
	return buse_lane_install(lane, next);
}

static struct buse_lane *buse_lane_choose(struct buse_queue *q, u32 flags,
					  u32 lane_nr)
{
	struct buse_lane *lane;
	u32 i;

	if (flags) {
		lane = &q->lanes[lane_nr];
		if (!lane->server || flags & BUSE_ATTACH_TAKE_OVER ||
		    (flags & BUSE_ATTACH_STANDBY && !lane->standby))
			return lane;
		return NULL;
	}
	for (i = 0; i < q->nr_lanes; i++)
		if (!q->lanes[i].server)
			return &q->lanes[i];
	return NULL;
}

/* Gives the file a lane of the queue; lane_nr is below q->nr_lanes. */
int buse_file_attach(struct buse_file *file, struct buse_queue *q, u32 flags,
		     u32 lane_nr)
{
	struct buse_lane *lane;
	int ret = 0;

	mutex_lock(&q->succession);
	lane = buse_lane_choose(q, flags, lane_nr);
	if (READ_ONCE(q->dev->dying)) {
		ret = -ENODEV;
	} else if (!lane) {
		ret = -EBUSY;
	} else {
		/* Publishes the lane to ENTER, mmap and poll. */
		smp_store_release(&file->lane, lane);
		if (lane->server && flags & BUSE_ATTACH_STANDBY) {
			lane->standby = file;
		} else {
			if (lane->server) {
				buse_file_stop(lane->server, BUSE_FILE_STALE);
				buse_mapping_revoke(lane->server);
			}
			buse_lane_install(lane, file);
		}
	}
	mutex_unlock(&q->succession);
	return ret;
}

/* The file is closed, or of no use: nobody holds a mapping of it. */
void buse_file_detach(struct buse_file *file)
{
	struct buse_lane *lane = file->lane;
	bool parked = false;

	mutex_lock(&lane->queue->succession);
	if (lane->server == file) {
		buse_file_stop(file, BUSE_FILE_STALE);
		parked = buse_lane_succeed(lane);
	} else if (lane->standby == file) {
		lane->standby = NULL;
		WRITE_ONCE(file->state, BUSE_FILE_STALE);
		wake_up_poll(&lane->standby_wait, EPOLLERR | EPOLLHUP);
	}
	mutex_unlock(&lane->queue->succession);
	if (parked)
		buse_device_parked(file->dev);
}

/* BUSE_SRV_RELEASE. */
int buse_file_release(struct buse_file *file)
{
	struct buse_queue *q = file->lane->queue;
	int ret = -EINVAL;

	mutex_lock(&q->succession);
	if (file->state == BUSE_FILE_ACTIVE) {
		buse_file_stop(file, BUSE_FILE_RELEASED);
		ret = 0;
	}
	mutex_unlock(&q->succession);
	if (!ret) {
		wake_up_poll(&file->lane->wait, EPOLLIN | EPOLLHUP);
		buse_queue_kick(q);
	}
	return ret;
}

/* Cuts off a server that broke the protocol; false if it was cut off before. */
bool buse_file_break(struct buse_file *file)
{
	struct buse_lane *lane = file->lane;
	bool parked = false;
	bool broken;

	mutex_lock(&lane->queue->succession);
	broken = lane->server == file;
	if (broken) {
		buse_file_stop(file, BUSE_FILE_BROKEN);
		buse_mapping_revoke(file);
		parked = buse_lane_succeed(lane);
	}
	mutex_unlock(&lane->queue->succession);
	if (parked)
		buse_device_parked(file->dev);
	return broken;
}

/* Why a server cannot go on, or 0. */
int buse_file_error(struct buse_file *file)
{
	if (unlikely(READ_ONCE(file->dev->dying)))
		return -ENODEV;
	/* Pairs with the release in buse_lane_install(). */
	switch (smp_load_acquire(&file->state)) {
	case BUSE_FILE_ACTIVE:
		return 0;
	case BUSE_FILE_STANDBY:
		return -EAGAIN;
	case BUSE_FILE_RELEASED:
		return READ_ONCE(file->lane->nr_delivered) ? 0 : -ESHUTDOWN;
	case BUSE_FILE_STALE:
		return -ESTALE;
	default:
		return -EPROTO;
	}
}
