// SPDX-License-Identifier: GPL-2.0-only
/*
 * Quiesce: new requests are held back in the kernel until no server holds one.
 * A server that dies meanwhile holds none any more; its requests are delivered
 * to the next one after UNQUIESCE. A forced STOP fails what is held back.
 */
#include <linux/jiffies.h>
#include <linux/sched.h>

#include "core.h"

/* Does a server, or a task on the way to it, hold a request? Under q->lock. */
static bool buse_queue_busy(struct buse_queue *q)
{
	u32 i;

	if (q->nr_copying)
		return true;
	for (i = 0; i < q->nr_lanes; i++)
		if (q->lanes[i].nr_delivered)
			return true;
	return false;
}

/* Tells who waits in QUIESCE when the queue got idle. Under q->lock. */
void buse_queue_idle(struct buse_queue *q)
{
	if (q->hold & BUSE_HOLD_QUIESCED && !buse_queue_busy(q))
		wake_up(&q->dev->quiesce_wait);
}

static bool buse_device_idle(struct buse_device *dev)
{
	bool busy = false;
	u32 i;

	for (i = 0; i < dev->params.nr_queues && !busy; i++) {
		struct buse_queue *q = &dev->queues[i];

		spin_lock(&q->lock);
		busy = buse_queue_busy(q);
		spin_unlock(&q->lock);
	}
	return !busy;
}

/* Starts the next phase, odd: quiesced. Under quiesce_mutex. */
static void buse_quiesce_step(struct buse_device *dev)
{
	u32 hold = dev->quiesce % 2 ? 0 : BUSE_HOLD_QUIESCED;
	u32 i;

	WRITE_ONCE(dev->quiesce, dev->quiesce + 1);
	for (i = 0; i < dev->params.nr_queues; i++) {
		struct buse_queue *q = &dev->queues[i];

		spin_lock(&q->lock);
		WRITE_ONCE(q->hold, (q->hold & ~BUSE_HOLD_QUIESCED) | hold);
		spin_unlock(&q->lock);
		if (!hold)
			buse_queue_kick(q);
	}
	wake_up(&dev->quiesce_wait);
}

/* Ends the phase if it is still that one. */
static void buse_quiesce_end(struct buse_device *dev, u32 phase)
{
	mutex_lock(&dev->quiesce_mutex);
	if (dev->quiesce == phase)
		buse_quiesce_step(dev);
	mutex_unlock(&dev->quiesce_mutex);
}

int buse_device_quiesce(struct buse_device *dev, u64 timeout_ms)
{
	u32 phase;
	long left;
	bool idle;

	if (!timeout_ms || timeout_ms > BUSE_QUIESCE_MAX_MS)
		return -EINVAL;
	mutex_lock(&dev->quiesce_mutex);
	if (dev->quiesce % 2) {
		mutex_unlock(&dev->quiesce_mutex);
		return -EBUSY;
	}
	buse_quiesce_step(dev);
	phase = dev->quiesce;
	mutex_unlock(&dev->quiesce_mutex);

	left = wait_event_interruptible_timeout(dev->quiesce_wait,
			(idle = buse_device_idle(dev)) ||
			READ_ONCE(dev->quiesce) != phase ||
			READ_ONCE(dev->dying), msecs_to_jiffies(timeout_ms));
	if (READ_ONCE(dev->dying))
		return -ENODEV;
	if (READ_ONCE(dev->quiesce) != phase)
		return -ECANCELED;
	if (idle)
		return 0;
	buse_quiesce_end(dev, phase);
	return left < 0 ? -EINTR : -ETIMEDOUT;
}

void buse_device_unquiesce(struct buse_device *dev)
{
	u32 phase = READ_ONCE(dev->quiesce);

	if (phase % 2)
		buse_quiesce_end(dev, phase);
}
