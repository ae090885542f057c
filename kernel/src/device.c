// SPDX-License-Identifier: GPL-2.0-only
/* Life cycle of a device: create, start, park, stop, destroy. */
#include <linux/atomic.h>
#include <linux/log2.h>
#include <linux/poll.h>
#include <linux/slab.h>

#include "core.h"

/* Devices whose memory is not freed yet; the module's code outlives them. */
static atomic_t nr_devices = ATOMIC_INIT(0);
static DECLARE_WAIT_QUEUE_HEAD(all_gone);

void buse_device_wait_all_gone(void)
{
	wait_event(all_gone, !atomic_read(&nr_devices));
}

static void buse_device_free(struct kref *ref)
{
	struct buse_device *dev = container_of(ref, struct buse_device, ref);
	u32 i;

	cancel_delayed_work_sync(&dev->park_work);
	cancel_delayed_work_sync(&dev->pins_work);
	for (i = 0; i < dev->params.nr_queues; i++)
		buse_queue_free(&dev->queues[i]);
	kvfree(dev->queues);
	buse_order_free(dev);
	buse_bio_free(dev);
	kfree(dev);
	if (atomic_dec_and_test(&nr_devices))
		wake_up(&all_gone);
}

void buse_device_put(struct buse_device *dev)
{
	kref_put(&dev->ref, buse_device_free);
}

static bool buse_all_served(struct buse_device *dev)
{
	u32 i;

	for (i = 0; i < dev->params.nr_queues; i++)
		if (!READ_ONCE(dev->queues[i].served))
			return false;
	return true;
}

/* Jiffies that a queue without a server may go on waiting, 0: it fails. */
static long buse_park_left(struct buse_queue *q, u32 limit_ms)
{
	if (limit_ms == BUSE_PARK_FAIL_FAST)
		return 0;
	if (limit_ms == BUSE_PARK_FOR_EVER)
		return MAX_SCHEDULE_TIMEOUT;
	return max_t(long, 0, q->parked_at + msecs_to_jiffies(limit_ms) -
			      jiffies);
}

/* Applies the policy to the queues that are without a server. */
static void buse_park_work(struct work_struct *work)
{
	struct buse_device *dev = container_of(to_delayed_work(work),
					       struct buse_device, park_work);
	u32 limit_ms = READ_ONCE(dev->params.park_limit_ms);
	long next = MAX_SCHEDULE_TIMEOUT;
	u32 i;

	for (i = 0; i < dev->params.nr_queues; i++) {
		struct buse_queue *q = &dev->queues[i];
		bool expired = false;
		long left;

		spin_lock(&q->lock);
		if (!q->served) {
			left = buse_park_left(q, limit_ms);
			expired = !left;
			q->failing = expired;
			if (!expired)
				next = min(next, left);
		}
		spin_unlock(&q->lock);
		if (expired)
			buse_queue_fail(q);
	}
	if (next != MAX_SCHEDULE_TIMEOUT)
		queue_delayed_work(buse_wq, &dev->park_work, next);
}

/* A queue lost its server. */
void buse_device_parked(struct buse_device *dev)
{
	u32 limit_ms = READ_ONCE(dev->params.park_limit_ms);

	if (!READ_ONCE(dev->disk) || READ_ONCE(dev->dying))
		return;
	/* The work alone knows when to look next: other queues may be due before. */
	if (limit_ms != BUSE_PARK_FOR_EVER)
		mod_delayed_work(buse_wq, &dev->park_work, 0);
}

/* Without dev->mutex: it may release what a STOP waits for. */
int buse_device_set_policy(struct buse_device *dev, u64 park_limit_ms)
{
	if (park_limit_ms > U32_MAX)
		return -EINVAL;
	WRITE_ONCE(dev->params.park_limit_ms, park_limit_ms);
	if (READ_ONCE(dev->disk)) {
		mod_delayed_work(buse_wq, &dev->park_work, 0);
		flush_delayed_work(&dev->park_work);
	}
	return 0;
}

static void buse_device_layout(struct buse_device *dev)
{
	const struct buse_params *p = &dev->params;
	u32 slots = p->queue_depth * BUSE_CHUNK_BYTES;

	dev->ring_entries = roundup_pow_of_two(p->queue_depth);
	dev->sq_offset = PAGE_SIZE;
	dev->cq_offset = dev->sq_offset +
		PAGE_ALIGN(dev->ring_entries * sizeof(struct buse_request));
	dev->lane_bytes = dev->cq_offset +
		PAGE_ALIGN(dev->ring_entries * sizeof(struct buse_completion));
	dev->data_offset = p->servers_per_queue * dev->lane_bytes;
	dev->chunk_offset = dev->data_offset + slots;
	dev->nr_chunks = (p->pool_bytes - slots) / BUSE_CHUNK_BYTES;
	dev->map_bytes = dev->chunk_offset +
		(size_t)dev->nr_chunks * BUSE_CHUNK_BYTES;
}

/* A new device with checked parameters and one reference. */
struct buse_device *buse_device_alloc(const struct buse_info *info)
{
	struct buse_device *dev;
	u32 i;

	dev = BUSE_ALLOC(kzalloc(sizeof(*dev), GFP_KERNEL));
	if (!dev)
		return ERR_PTR(-ENOMEM);
	kref_init(&dev->ref);
	atomic_inc(&nr_devices);
	mutex_init(&dev->mutex);
	INIT_WORK(&dev->scan_work, buse_disk_scan);
	INIT_DELAYED_WORK(&dev->park_work, buse_park_work);
	INIT_DELAYED_WORK(&dev->pins_work, buse_pins_work);
	mutex_init(&dev->quiesce_mutex);
	init_waitqueue_head(&dev->quiesce_wait);
	strscpy(dev->name, info->name, sizeof(dev->name));
	dev->params = info->params;
	buse_device_layout(dev);
	buse_stats_init(dev);

	dev->queues = BUSE_ALLOC(kvcalloc(dev->params.nr_queues,
					  sizeof(*dev->queues), GFP_KERNEL));
	if (!dev->queues) {
		dev->params.nr_queues = 0;
		goto out;
	}
	if (buse_order_init(dev) || buse_bio_init(dev))
		goto out;
	for (i = 0; i < dev->params.nr_queues; i++)
		if (buse_queue_init(dev, i))
			goto out;
	return dev;
out:
	buse_device_put(dev);
	return ERR_PTR(-ENOMEM);
}

int buse_device_start(struct buse_device *dev)
{
	int ret;

	mutex_lock(&dev->mutex);
	if (dev->dying)
		ret = -ENODEV;
	else if (dev->disk || dev->stopped)
		ret = -EBUSY;
	else if (!buse_all_served(dev))
		ret = -ENOTCONN;
	else
		ret = buse_disk_add(dev);
	mutex_unlock(&dev->mutex);
	/* A server that died before there was a disk started no clock. */
	if (!ret && !buse_all_served(dev))
		buse_device_parked(dev);
	return ret;
}

/* All I/O fails from here on, whatever the server does. */
static void buse_device_fail(struct buse_device *dev)
{
	u32 i;

	for (i = 0; i < dev->params.nr_queues; i++) {
		struct buse_queue *q = &dev->queues[i];

		spin_lock(&q->lock);
		q->dead = true;
		spin_unlock(&q->lock);
		buse_queue_fail(q);
	}
}

int buse_device_stop(struct buse_device *dev, bool force)
{
	int ret = 0;

	/* First, so that whoever waits for I/O under the mutex goes on. */
	if (force)
		buse_device_fail(dev);
	mutex_lock(&dev->mutex);
	if (dev->dying) {
		ret = -ENODEV;
	} else if (!force && READ_ONCE(dev->quiesce) % 2) {
		/* The sync would wait for UNQUIESCE. */
		ret = -EBUSY;
	} else if (dev->disk) {
		if (force) {
			/* Read by opens without open_mutex at hand: a hint. */
			WRITE_ONCE(dev->stopping, true);
			blk_mark_disk_dead(dev->disk);
		} else {
			ret = buse_disk_claim_idle(dev);
		}
		if (!ret)
			buse_disk_remove(dev);
	}
	if (!ret)
		dev->stopped = true;
	mutex_unlock(&dev->mutex);
	return ret;
}

int buse_device_destroy(struct buse_device *dev)
{
	u32 i, j;

	mutex_lock(&dev->mutex);
	if (dev->dying || dev->disk) {
		int ret = dev->dying ? -ENODEV : -EBUSY;

		mutex_unlock(&dev->mutex);
		return ret;
	}
	/* Waiters look at it after they are on their wait queue. */
	WRITE_ONCE(dev->dying, true);
	for (i = 0; i < dev->params.nr_queues; i++) {
		struct buse_queue *q = &dev->queues[i];

		for (j = 0; j < q->nr_lanes; j++) {
			wake_up_poll(&q->lanes[j].wait,
				     EPOLLIN | EPOLLERR | EPOLLHUP);
			wake_up_poll(&q->lanes[j].standby_wait,
				     EPOLLERR | EPOLLHUP);
		}
	}
	wake_up(&dev->quiesce_wait);
	mutex_unlock(&dev->mutex);
	buse_registry_remove(dev);
	return 0;
}

int buse_device_resize(struct buse_device *dev, u64 size_bytes)
{
	int ret = 0;

	if (!size_bytes || size_bytes > LLONG_MAX ||
	    size_bytes % dev->params.logical_block_bytes)
		return -EINVAL;
	mutex_lock(&dev->mutex);
	if (dev->dying) {
		ret = -ENODEV;
	} else if (dev->stopped) {
		ret = -EBUSY;
	} else {
		dev->params.size_bytes = size_bytes;
		if (dev->disk)
			set_capacity_and_notify(dev->disk,
						size_bytes >> SECTOR_SHIFT);
	}
	mutex_unlock(&dev->mutex);
	return ret;
}

static u32 buse_device_state(struct buse_device *dev, bool failing)
{
	if (dev->stopped)
		return BUSE_STATE_STOPPED;
	if (!dev->disk)
		return BUSE_STATE_CREATED;
	if (failing)
		return BUSE_STATE_FAILING;
	return buse_all_served(dev) ? BUSE_STATE_LIVE : BUSE_STATE_PARKED;
}

void buse_device_info(struct buse_device *dev, struct buse_info *info)
{
	bool failing = false;
	u32 i, j;

	memset(info, 0, sizeof(*info));
	mutex_lock(&dev->mutex);
	info->index = dev->index;
	info->params = dev->params;
	strscpy(info->name, dev->name, sizeof(info->name));
	info->server_major = MAJOR(buse_server_devt(dev));
	info->server_minor = MINOR(buse_server_devt(dev));
	if (dev->disk) {
		info->openers = disk_openers(dev->disk);
		info->disk_major = MAJOR(disk_devt(dev->disk));
		info->disk_minor = MINOR(disk_devt(dev->disk));
	}
	for (i = 0; i < dev->params.nr_queues; i++) {
		struct buse_queue *q = &dev->queues[i];

		spin_lock(&q->lock);
		for (j = 0; j < q->nr_lanes; j++)
			info->servers += !!q->lanes[j].server;
		info->redelivered += q->redelivered;
		info->stale_completions += q->stale_completions;
		failing |= q->failing || q->dead;
		spin_unlock(&q->lock);
	}
	info->state = buse_device_state(dev, failing);
	if (READ_ONCE(dev->quiesce) % 2)
		info->flags |= BUSE_INFO_QUIESCED;
	mutex_unlock(&dev->mutex);
}
