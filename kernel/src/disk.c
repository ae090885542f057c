// SPDX-License-Identifier: GPL-2.0-only
/* The block device: limits, opens, partition scan, removal. */
#include <linux/delay.h>

#include "compat.h"
#include "core.h"

/*
 * open_mutex may be held by a partition scan that waits for a server, so a
 * STOP without force does not queue up behind it.
 */
#define BUSE_CLAIM_TRIES	100
#define BUSE_CLAIM_DELAY_MS	10

static int buse_disk_may_open(struct gendisk *disk)
{
	struct buse_device *dev = disk->private_data;

	return dev->stopping ? -ENXIO : 0;
}

#ifdef HAVE_DISK_OPEN_GENDISK
static int buse_disk_open(struct gendisk *disk, blk_mode_t mode)
{
	return buse_disk_may_open(disk);
}
#else
static int buse_disk_open(struct block_device *bdev, fmode_t mode)
{
	return buse_disk_may_open(bdev->bd_disk);
}
#endif

static void buse_disk_free(struct gendisk *disk)
{
	buse_device_put(disk->private_data);
}

static const struct block_device_operations buse_disk_fops = {
	.owner		= THIS_MODULE,
	.open		= buse_disk_open,
	.free_disk	= buse_disk_free,
};

static const struct block_device_operations buse_bio_disk_fops = {
	.owner		= THIS_MODULE,
	.open		= buse_disk_open,
	.free_disk	= buse_disk_free,
	.submit_bio	= buse_submit_bio,
};

static unsigned int buse_discard_sectors(const struct buse_params *p, u32 attr)
{
	return p->attributes & attr ? p->max_discard_bytes >> SECTOR_SHIFT : 0;
}

#ifdef HAVE_LIMITS_FEATURES
static struct gendisk *buse_disk_alloc(struct buse_device *dev)
{
	const struct buse_params *p = &dev->params;
	struct queue_limits lim = {
		.logical_block_size	= p->logical_block_bytes,
		.physical_block_size	= p->physical_block_bytes,
		.io_min			= p->io_min_bytes,
		.io_opt			= p->io_opt_bytes,
		.max_hw_sectors		= p->max_io_bytes >> SECTOR_SHIFT,
		.max_segments		= USHRT_MAX,
		.max_segment_size	= UINT_MAX,
		.max_hw_discard_sectors	=
			buse_discard_sectors(p, BUSE_ATTR_DISCARD),
		.max_write_zeroes_sectors =
			buse_discard_sectors(p, BUSE_ATTR_WRITE_ZEROES),
		.max_secure_erase_sectors =
			buse_discard_sectors(p, BUSE_ATTR_SECURE_ERASE),
		.max_discard_segments	= p->max_discard_segments,
		.chunk_sectors		= p->chunk_bytes >> SECTOR_SHIFT,
	};
#ifdef HAVE_HW_WZEROES_UNMAP
	/* Write zeroes may unmap unless the request forbids it. */
	lim.max_hw_wzeroes_unmap_sectors = lim.max_write_zeroes_sectors;
#endif

	if (p->attributes & BUSE_ATTR_DISCARD)
		lim.discard_granularity = p->discard_granularity_bytes;
	if (p->attributes & BUSE_ATTR_VOLATILE_CACHE)
		lim.features |= BLK_FEAT_WRITE_CACHE;
	if (p->attributes & BUSE_ATTR_FUA)
		lim.features |= BLK_FEAT_FUA;
	if (p->attributes & BUSE_ATTR_ROTATIONAL)
		lim.features |= BLK_FEAT_ROTATIONAL;
	if (!buse_takes_bios(dev))
		return blk_mq_alloc_disk(&dev->tag_set, &lim, dev);
	lim.features |= BLK_FEAT_NOWAIT | BLK_FEAT_IO_STAT;
	return blk_alloc_disk(&lim, NUMA_NO_NODE);
}
#else
static struct gendisk *buse_disk_alloc(struct buse_device *dev)
{
	const struct buse_params *p = &dev->params;
	struct gendisk *disk = buse_takes_bios(dev) ?
		blk_alloc_disk(NUMA_NO_NODE) :
		blk_mq_alloc_disk(&dev->tag_set, dev);
	struct request_queue *q;

	if (IS_ERR_OR_NULL(disk))
		return disk ?: ERR_PTR(-ENOMEM);
	q = disk->queue;
	if (buse_takes_bios(dev)) {
		blk_queue_flag_set(QUEUE_FLAG_NOWAIT, q);
		blk_queue_flag_set(QUEUE_FLAG_IO_STAT, q);
	}
	blk_queue_logical_block_size(q, p->logical_block_bytes);
	blk_queue_physical_block_size(q, p->physical_block_bytes);
	blk_queue_io_min(q, p->io_min_bytes);
	if (p->io_opt_bytes)
		blk_queue_io_opt(q, p->io_opt_bytes);
	blk_queue_max_hw_sectors(q, p->max_io_bytes >> SECTOR_SHIFT);
	blk_queue_max_segments(q, USHRT_MAX);
	blk_queue_max_segment_size(q, UINT_MAX);
	blk_queue_max_discard_sectors(q,
				      buse_discard_sectors(p, BUSE_ATTR_DISCARD));
	blk_queue_max_write_zeroes_sectors(q,
					   buse_discard_sectors(p, BUSE_ATTR_WRITE_ZEROES));
	blk_queue_max_secure_erase_sectors(q,
					   buse_discard_sectors(p, BUSE_ATTR_SECURE_ERASE));
	blk_queue_max_discard_segments(q, p->max_discard_segments);
	if (p->chunk_bytes)
		blk_queue_chunk_sectors(q, p->chunk_bytes >> SECTOR_SHIFT);
	if (p->attributes & BUSE_ATTR_DISCARD)
		q->limits.discard_granularity = p->discard_granularity_bytes;
	blk_queue_write_cache(q, p->attributes & BUSE_ATTR_VOLATILE_CACHE,
			      p->attributes & BUSE_ATTR_FUA);
	if (!(p->attributes & BUSE_ATTR_ROTATIONAL))
		blk_queue_flag_set(QUEUE_FLAG_NONROT, q);
	return disk;
}
#endif

static int buse_disk_alloc_tags(struct buse_device *dev)
{
	if (buse_takes_bios(dev))
		return 0;
	dev->tag_set.ops = &buse_mq_ops;
	dev->tag_set.nr_hw_queues = dev->params.nr_queues;
	dev->tag_set.nr_maps = dev->params.nr_poll_queues ? HCTX_MAX_TYPES : 1;
	dev->tag_set.queue_depth = dev->params.queue_depth;
	dev->tag_set.numa_node = NUMA_NO_NODE;
	dev->tag_set.flags = buse_tag_set_flags();
	dev->tag_set.driver_data = dev;
	return buse_fault_alloc() ? -ENOMEM :
				    blk_mq_alloc_tag_set(&dev->tag_set);
}

static void buse_disk_free_tags(struct buse_device *dev)
{
	if (!buse_takes_bios(dev))
		blk_mq_free_tag_set(&dev->tag_set);
}

/* Adds the disk, under dev->mutex, without a single I/O. */
int buse_disk_add(struct buse_device *dev)
{
	struct gendisk *disk;
	int ret = buse_disk_alloc_tags(dev);

	if (ret)
		return ret;
	disk = buse_fault_alloc() ? ERR_PTR(-ENOMEM) : buse_disk_alloc(dev);
	if (IS_ERR(disk)) {
		ret = PTR_ERR(disk);
		goto out_tags;
	}
	disk->fops = buse_takes_bios(dev) ? &buse_bio_disk_fops :
					    &buse_disk_fops;
	disk->private_data = dev;
	snprintf(disk->disk_name, DISK_NAME_LEN, "buse%u", dev->index);
	set_capacity(disk, dev->params.size_bytes >> SECTOR_SHIFT);
	set_disk_ro(disk, dev->params.attributes & BUSE_ATTR_READ_ONLY);
	/*
	 * The scan reads, so it waits for the server; and the caller may be the
	 * server, or hold locks its server's supervisor needs.
	 */
	set_bit(GD_SUPPRESS_PART_SCAN, &disk->state);

	/* The disk's reference; free_disk is called only once it was added. */
	kref_get(&dev->ref);
	ret = buse_fault_alloc() ? -ENOMEM :
		device_add_disk(NULL, disk, buse_disk_groups);
	if (ret) {
		buse_device_put(dev);
		goto out_disk;
	}
	dev->disk = disk;
	queue_work(system_unbound_wq, &dev->scan_work);
	return 0;

out_disk:
	put_disk(disk);
out_tags:
	buse_disk_free_tags(dev);
	return ret;
}

/* The partition scan START put off. */
void buse_disk_scan(struct work_struct *work)
{
	struct buse_device *dev = container_of(work, struct buse_device,
					       scan_work);
	struct gendisk *disk = dev->disk;

	clear_bit(GD_SUPPRESS_PART_SCAN, &disk->state);
	mutex_lock(&disk->open_mutex);
	if (!dev->stopping)
		bdev_disk_changed(disk, false);
	mutex_unlock(&disk->open_mutex);
}

/* Refuses further opens, unless there is one. Under dev->mutex. */
int buse_disk_claim_idle(struct buse_device *dev)
{
	struct gendisk *disk = dev->disk;
	int tries;
	int ret = 0;

	for (tries = 0; !mutex_trylock(&disk->open_mutex); tries++) {
		if (tries == BUSE_CLAIM_TRIES)
			return -EBUSY;
		if (msleep_interruptible(BUSE_CLAIM_DELAY_MS))
			return -EINTR;
	}
	if (disk_openers(disk))
		ret = -EBUSY;
	else
		dev->stopping = true;
	mutex_unlock(&disk->open_mutex);
	return ret;
}

/* Removes the disk, under dev->mutex. All I/O fails, or there is none. */
void buse_disk_remove(struct buse_device *dev)
{
	cancel_work_sync(&dev->scan_work);
	del_gendisk(dev->disk);
	/* The block layer waits for its requests, not for bios. */
	if (buse_takes_bios(dev))
		buse_bio_drain(dev);
	put_disk(dev->disk);
	dev->disk = NULL;
	buse_disk_free_tags(dev);
}
