// SPDX-License-Identifier: GPL-2.0-only
/* /dev/busecN: the end of a device that its servers open. */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <linux/sched/clock.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "compat.h"
#include "core.h"

#define BUSE_ENTER_ARG_MASK \
	(U32_MAX | BUSE_ENTER_NOWAIT | \
	 BUSE_ENTER_SPIN_MAX_US << BUSE_ENTER_SPIN_SHIFT)

static int buse_open(struct inode *inode, struct file *filp)
{
	struct buse_file *file;

	file = kzalloc(sizeof(*file), GFP_KERNEL);
	if (!file)
		return -ENOMEM;
	file->dev = buse_registry_get(iminor(inode));
	if (!file->dev) {
		kfree(file);
		return -ENXIO;
	}
	mutex_init(&file->mutex);
	filp->private_data = file;
	return 0;
}

/* Runs in the dying server, possibly: nothing here waits for anything. */
static int buse_release(struct inode *inode, struct file *filp)
{
	struct buse_file *file = filp->private_data;

	if (file->queue && buse_queue_detach(file->queue))
		buse_device_parked(file->dev);
	buse_device_put(file->dev);
	kfree(file);
	return 0;
}

/* The attached queue, or NULL. */
static struct buse_queue *buse_queue_of(struct buse_file *file)
{
	/* Pairs with the release in buse_attach(). */
	return smp_load_acquire(&file->queue);
}

static long buse_attach(struct buse_file *file, void __user *argp)
{
	struct buse_device *dev = file->dev;
	struct buse_attach a;
	long ret;

	if (copy_from_user(&a, argp, sizeof(a)))
		return -EFAULT;
	if (a.abi_version != BUSE_ABI_VERSION ||
	    a.queue >= dev->params.nr_queues ||
	    memchr_inv(a.reserved, 0, sizeof(a.reserved)))
		return -EINVAL;
	a.map_bytes = dev->map_bytes;
	a.ring_entries = dev->ring_entries;
	a.queue_depth = dev->params.queue_depth;
	a.sq_offset = dev->sq_offset;
	a.cq_offset = dev->cq_offset;
	a.data_offset = dev->data_offset;

	mutex_lock(&file->mutex);
	if (file->queue)
		ret = -EBUSY;
	else if (copy_to_user(argp, &a, sizeof(a)))
		ret = -EFAULT;
	else
		ret = buse_queue_attach(&dev->queues[a.queue], file);
	if (!ret)
		/* Publishes file->queue to ENTER, mmap and poll. */
		smp_store_release(&file->queue, &dev->queues[a.queue]);
	mutex_unlock(&file->mutex);
	return ret;
}

/* Why a server cannot go on, or 0. */
static int buse_server_error(struct buse_queue *q)
{
	if (unlikely(READ_ONCE(q->dev->dying)))
		return -ENODEV;
	return unlikely(!READ_ONCE(q->live)) ? -EPROTO : 0;
}

static int buse_break(struct buse_queue *q)
{
	bool parked;

	spin_lock(&q->lock);
	parked = q->live;
	if (parked)
		buse_queue_park(q);
	spin_unlock(&q->lock);
	if (parked) {
		pr_warn_ratelimited("buse%u: a server (%s, pid %d) broke the ring protocol, its queue is parked\n",
				    q->dev->index, current->comm,
				    task_pid_nr(current));
		wake_up_poll(&q->wait, EPOLLIN | EPOLLERR | EPOLLHUP);
		buse_device_parked(q->dev);
	}
	return -EPROTO;
}

/* Cheaper than sleeping where another CPU may bring work soon. */
static bool buse_spin(struct buse_queue *q, u32 head, u64 spin_us)
{
	u64 end;

	if (!spin_us || num_online_cpus() == 1)
		return false;
	end = local_clock() + spin_us * NSEC_PER_USEC;
	do {
		if (buse_queue_ready(q, head) || buse_server_error(q))
			return true;
		if (need_resched() || signal_pending(current))
			return false;
		cpu_relax();
	} while (local_clock() < end);
	return false;
}

static int buse_wait(struct buse_queue *q, u32 head)
{
	DEFINE_WAIT(wait);
	int ret = 0;

	for (;;) {
		prepare_to_wait(&q->wait, &wait, TASK_INTERRUPTIBLE);
		WRITE_ONCE(q->need_wake, 1);
		/* Pairs with buse_queue_kick(). */
		smp_mb();
		if (buse_queue_ready(q, head) || buse_server_error(q))
			break;
		if (signal_pending(current)) {
			ret = -EINTR;
			break;
		}
		schedule();
	}
	finish_wait(&q->wait, &wait);
	return ret;
}

static long buse_enter(struct buse_file *file, u64 arg)
{
	struct buse_queue *q = buse_queue_of(file);
	u64 spin_us = arg >> BUSE_ENTER_SPIN_SHIFT & BUSE_ENTER_SPIN_MAX_US;
	u32 head = (u32)arg;
	bool yielded = false;
	int drained, ret;

	if (unlikely(!q))
		return -ENOTCONN;
	if (unlikely(arg & ~BUSE_ENTER_ARG_MASK))
		return -EINVAL;
	ret = buse_server_error(q);
	if (unlikely(ret))
		return ret;
	drained = buse_queue_drain(q);
	if (unlikely(drained < 0 ||
		     READ_ONCE(q->published) - head > q->dev->ring_entries))
		return buse_break(q);
	WRITE_ONCE(file->head, head);

	for (;;) {
		buse_queue_deliver(q);
		ret = buse_server_error(q);
		if (unlikely(ret))
			return ret;
		if (READ_ONCE(q->published) != head || arg & BUSE_ENTER_NOWAIT)
			return 0;
		/*
		 * The submitters that our completions or our own wake-up
		 * preempted get the CPU once before we sleep: their requests
		 * then need no wake-up and come as one batch.
		 */
		if (drained && !yielded) {
			yielded = true;
			yield();
			continue;
		}
		if (buse_spin(q, head, spin_us))
			continue;
		ret = buse_wait(q, head);
		if (ret)
			return ret;
	}
}

static long buse_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	struct buse_file *file = filp->private_data;

	switch (cmd) {
	case BUSE_SRV_ENTER:
		return buse_enter(file, arg);
	case BUSE_SRV_ATTACH:
		return buse_attach(file, (void __user *)arg);
	default:
		return -ENOTTY;
	}
}

static __poll_t buse_poll(struct file *filp, poll_table *wait)
{
	struct buse_file *file = filp->private_data;
	struct buse_queue *q = buse_queue_of(file);

	if (!q)
		return EPOLLERR;
	poll_wait(filp, &q->wait, wait);
	WRITE_ONCE(q->need_wake, 1);
	/* Pairs with buse_queue_kick(). */
	smp_mb();
	if (buse_server_error(q))
		return EPOLLERR | EPOLLHUP;
	return buse_queue_ready(q, READ_ONCE(file->head)) ?
		EPOLLIN | EPOLLRDNORM : 0;
}

static int buse_mmap(struct file *filp, struct vm_area_struct *vma)
{
	struct buse_file *file = filp->private_data;
	struct buse_queue *q = buse_queue_of(file);

	if (!q)
		return -ENOTCONN;
	if (vma->vm_pgoff || !(vma->vm_flags & VM_SHARED) ||
	    vma->vm_end - vma->vm_start != q->dev->map_bytes)
		return -EINVAL;
	vm_flags_set(vma, VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP);
	return remap_vmalloc_range(vma, q->map, 0);
}

const struct file_operations buse_server_fops = {
	.owner		= THIS_MODULE,
	.open		= buse_open,
	.release	= buse_release,
	.unlocked_ioctl	= buse_ioctl,
	.poll		= buse_poll,
	.mmap		= buse_mmap,
	.llseek		= noop_llseek,
};
