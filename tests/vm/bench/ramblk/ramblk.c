// SPDX-License-Identifier: GPL-2.0-only
/*
 * The yardstick of the benchmarks: a RAM disk on blk-mq that answers in
 * queue_rq(). What a disk in user space costs beyond this is what the way to
 * user space costs. Kernels from 6.11 on.
 */
#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/highmem.h>
#include <linux/module.h>
#include <linux/vmalloc.h>

#define RAMBLK_DEPTH	128

static unsigned int size_mb = 64;
module_param(size_mb, uint, 0444);
MODULE_PARM_DESC(size_mb, "size in MiB");

static struct {
	void *data;
	int major;
	struct blk_mq_tag_set tag_set;
	struct gendisk *disk;
} ramblk;

static void ramblk_copy(struct request *rq)
{
	void *data = ramblk.data + ((u64)blk_rq_pos(rq) << SECTOR_SHIFT);
	struct req_iterator iter;
	struct bio_vec bv;

	rq_for_each_segment(bv, rq, iter) {
		void *page = bvec_kmap_local(&bv);

		if (req_op(rq) == REQ_OP_WRITE)
			memcpy(data, page, bv.bv_len);
		else
			memcpy(page, data, bv.bv_len);
		kunmap_local(page);
		data += bv.bv_len;
	}
}

static blk_status_t ramblk_queue_rq(struct blk_mq_hw_ctx *hctx,
				    const struct blk_mq_queue_data *bd)
{
	struct request *rq = bd->rq;

	blk_mq_start_request(rq);
	if (req_op(rq) == REQ_OP_READ || req_op(rq) == REQ_OP_WRITE)
		ramblk_copy(rq);
	blk_mq_end_request(rq, BLK_STS_OK);
	return BLK_STS_OK;
}

static const struct blk_mq_ops ramblk_mq_ops = {
	.queue_rq	= ramblk_queue_rq,
};

static const struct block_device_operations ramblk_fops = {
	.owner	= THIS_MODULE,
};

static int ramblk_add(void)
{
	struct queue_limits limits = {
		.physical_block_size	= PAGE_SIZE,
	};
	int ret;

	ramblk.disk = blk_mq_alloc_disk(&ramblk.tag_set, &limits, NULL);
	if (IS_ERR(ramblk.disk))
		return PTR_ERR(ramblk.disk);
	ramblk.disk->major = ramblk.major;
	ramblk.disk->minors = 1;
	ramblk.disk->fops = &ramblk_fops;
	strscpy(ramblk.disk->disk_name, "ramblk0", DISK_NAME_LEN);
	set_capacity(ramblk.disk, (sector_t)size_mb << (20 - SECTOR_SHIFT));
	ret = add_disk(ramblk.disk);
	if (ret)
		put_disk(ramblk.disk);
	return ret;
}

static int __init ramblk_init(void)
{
	int ret = -ENOMEM;

	ramblk.data = vzalloc((size_t)size_mb << 20);
	if (!ramblk.data)
		return ret;
	ret = register_blkdev(0, "ramblk");
	if (ret < 0)
		goto free_data;
	ramblk.major = ret;
	ramblk.tag_set.ops = &ramblk_mq_ops;
	ramblk.tag_set.nr_hw_queues = num_online_cpus();
	ramblk.tag_set.queue_depth = RAMBLK_DEPTH;
	ramblk.tag_set.numa_node = NUMA_NO_NODE;
	ret = blk_mq_alloc_tag_set(&ramblk.tag_set);
	if (ret)
		goto unregister;
	ret = ramblk_add();
	if (!ret)
		return 0;
	blk_mq_free_tag_set(&ramblk.tag_set);
unregister:
	unregister_blkdev(ramblk.major, "ramblk");
free_data:
	vfree(ramblk.data);
	return ret;
}

static void __exit ramblk_exit(void)
{
	del_gendisk(ramblk.disk);
	put_disk(ramblk.disk);
	blk_mq_free_tag_set(&ramblk.tag_set);
	unregister_blkdev(ramblk.major, "ramblk");
	vfree(ramblk.data);
}

module_init(ramblk_init);
module_exit(ramblk_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("RAM disk on blk-mq, a yardstick for benchmarks");
