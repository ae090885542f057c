// SPDX-License-Identifier: GPL-2.0-only
/* /dev/busecN: the end of a device that its servers open. */
#include <linux/fs.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <linux/sched/clock.h>
#include <linux/sched/signal.h>
#include <linux/sched/stat.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "core.h"

/* Looks at the ring between two at the clock, while spinning. */
#define BUSE_SPIN_LOOKS		16U

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
	buse_mapping_init(file, filp);
	filp->private_data = file;
	return 0;
}

/* Runs in the dying server, possibly: waits for bounded work only. */
static int buse_release(struct inode *inode, struct file *filp)
{
	struct buse_file *file = filp->private_data;

	if (file->lane)
		buse_file_detach(file);
	buse_device_put(file->dev);
	kfree(file);
	return 0;
}

/* The attached lane, or NULL. */
static struct buse_lane *buse_lane_of(struct buse_file *file)
{
	/* Pairs with the release in buse_file_attach(). */
	return smp_load_acquire(&file->lane);
}

static bool buse_attach_ok(const struct buse_attach *a,
			   const struct buse_params *p)
{
	switch (a->flags) {
	case 0:
		if (a->lane)
			return false;
		break;
	case BUSE_ATTACH_LANE:
	case BUSE_ATTACH_TAKE_OVER:
	case BUSE_ATTACH_STANDBY:
		break;
	default:
		return false;
	}
	return a->abi_version == BUSE_ABI_VERSION && a->queue < p->nr_queues &&
	       a->lane < p->servers_per_queue &&
	       !memchr_inv(a->reserved, 0, sizeof(a->reserved));
}

static noinline long buse_attach(struct buse_file *file, void __user *argp)
{
	struct buse_device *dev = file->dev;
	struct buse_attach a;
	u32 rings;
	long ret;

	if (copy_from_user(&a, argp, sizeof(a)))
		return -EFAULT;
	if (!buse_attach_ok(&a, &dev->params))
		return -EINVAL;
	mutex_lock(&file->mutex);
	ret = file->lane ? -EBUSY :
		buse_file_attach(file, &dev->queues[a.queue], a.flags, a.lane);
	mutex_unlock(&file->mutex);
	if (ret)
		return ret;

	a.lane = file->lane->index;
	rings = a.lane * dev->lane_bytes;
	a.map_bytes = dev->map_bytes;
	a.ring_entries = dev->ring_entries;
	a.queue_depth = dev->params.queue_depth;
	a.header_offset = rings;
	a.sq_offset = rings + dev->sq_offset;
	a.cq_offset = rings + dev->cq_offset;
	a.data_offset = dev->data_offset;
	if (!copy_to_user(argp, &a, sizeof(a)))
		return 0;
	/* The caller cannot know what it serves; another thread may have mapped it. */
	buse_mapping_revoke(file);
	buse_file_detach(file);
	return -EFAULT;
}

static noinline long buse_break(struct buse_file *file)
{
	if (!buse_file_break(file))
		return buse_file_error(file);
	pr_warn_ratelimited("buse%u: a server (%s, pid %d) broke the ring protocol and is cut off\n",
			    file->dev->index, current->comm,
			    task_pid_nr(current));
	return -EPROTO;
}

static bool buse_spin_for(struct buse_file *file, struct buse_lane *lane,
			  u32 head, u64 spin_us)
{
	u64 end = 0;
	u32 i;

	do {
		for (i = 0; i < BUSE_SPIN_LOOKS; i++) {
			if (buse_lane_ready(lane, head))
				return true;
			cpu_relax();
		}
		if (buse_file_error(file))
			return true;
		if (need_resched() || signal_pending(current))
			return false;
		/* Not before the first looks: mostly they suffice. */
		if (!end)
			end = local_clock() + spin_us * NSEC_PER_USEC;
	} while (local_clock() < end);
	return false;
}

/* Cheaper than sleeping where another CPU may bring work soon. */
static bool buse_spin(struct buse_file *file, struct buse_lane *lane, u32 head,
		      u64 spin_us)
{
	bool found;

	/* Nobody can bring work while we hold the only CPU. */
	if (!spin_us || num_online_cpus() == 1 || !single_task_running())
		return false;
	WRITE_ONCE(lane->spins, true);
	found = buse_spin_for(file, lane, head, spin_us);
	WRITE_ONCE(lane->spins, false);
	return found;
}

/*
 * For who does not come back to look: submitters that saw it spin have left
 * their requests pending by now. They look and leave under the lock.
 */
static noinline void buse_spin_seen(struct buse_queue *q)
{
	spin_lock(&q->lock);
	spin_unlock(&q->lock);
}

static noinline int buse_wait(struct buse_file *file, struct buse_lane *lane, u32 head)
{
	DEFINE_WAIT(wait);
	int ret = 0;

	for (;;) {
		prepare_to_wait(&lane->wait, &wait, TASK_INTERRUPTIBLE);
		WRITE_ONCE(lane->need_wake, 1);
		/* Pairs with buse_lane_kick(). */
		smp_mb();
		if (buse_lane_ready(lane, head) || buse_file_error(file))
			break;
		if (signal_pending(current)) {
			buse_spin_seen(lane->queue);
			if (!buse_lane_ready(lane, head))
				ret = -EINTR;
			break;
		}
		schedule();
	}
	finish_wait(&lane->wait, &wait);
	return ret;
}

/* What an ENTER that finds this error does about it. */
static noinline int buse_enter_error(struct buse_file *file, struct buse_lane *lane,
			    int error, u64 arg)
{
	if (error != -EAGAIN || arg & BUSE_ENTER_NOWAIT)
		return error;
	if (wait_event_interruptible(lane->standby_wait,
				     buse_file_error(file) != -EAGAIN))
		return -EINTR;
	return buse_file_error(file);
}

/* buse_file_error(), short for the server that serves. */
static __always_inline int buse_serve_error(struct buse_file *file)
{
	/* Pairs with the release in buse_lane_install(). */
	if (likely(smp_load_acquire(&file->state) == BUSE_FILE_ACTIVE &&
		   !READ_ONCE(file->dev->dying)))
		return 0;
	return buse_file_error(file);
}

static long buse_enter(struct buse_file *file, u64 arg)
{
	struct buse_lane *lane = buse_lane_of(file);
	u64 spin_us = arg >> BUSE_ENTER_SPIN_SHIFT & BUSE_ENTER_SPIN_MAX_US;
	u32 head = (u32)arg;
	bool yielded = false;
	int drained, ret;

	if (unlikely(!lane))
		return -ENOTCONN;
	if (unlikely(arg & ~BUSE_ENTER_ARG_MASK))
		return -EINVAL;
	ret = buse_serve_error(file);
	if (unlikely(ret))
		ret = buse_enter_error(file, lane, ret, arg);
	if (unlikely(ret))
		return ret;
	WRITE_ONCE(lane->enters, lane->enters + 1);
	if (static_branch_unlikely(&buse_faults_on))
		buse_fault_delay_now(file->dev, READ_ONCE(lane->header->cq_tail) -
						READ_ONCE(lane->cq_head));
	drained = buse_lane_drain(lane);
	/* Of several threads one may come late, with a head that is long behind. */
	if (unlikely(drained < 0 ||
		     (s32)(READ_ONCE(lane->published) - head) < 0))
		return buse_break(file);
	WRITE_ONCE(file->head, head);

	for (;;) {
		buse_lane_deliver(lane, true);
		ret = buse_serve_error(file);
		if (unlikely(ret))
			break;
		if (READ_ONCE(lane->published) != head ||
		    arg & BUSE_ENTER_NOWAIT)
			return 0;
		/*
		 * The submitters that our completions or our own wake-up
		 * preempted get the CPU once before we sleep: their requests
		 * then need no wake-up and come as one batch.
		 */
		if (drained && !yielded && !single_task_running()) {
			yielded = true;
			yield();
			continue;
		}
		if (buse_spin(file, lane, head, spin_us))
			continue;
		ret = buse_wait(file, lane, head);
		if (ret)
			return ret;
	}
	/* What was just delivered, or left to us, may be the successor's. */
	buse_spin_seen(lane->queue);
	buse_lane_deliver(lane, true);
	buse_lane_kick(lane);
	return ret;
}

static long buse_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	struct buse_file *file = filp->private_data;

	switch (cmd) {
	case BUSE_SRV_ENTER:
		return buse_enter(file, arg);
	case BUSE_SRV_ATTACH:
		return buse_attach(file, (void __user *)arg);
	case BUSE_SRV_RELEASE:
		if (arg)
			return -EINVAL;
		return buse_lane_of(file) ? buse_file_release(file) : -ENOTCONN;
	default:
		return -ENOTTY;
	}
}

static __poll_t buse_poll(struct file *filp, poll_table *wait)
{
	struct buse_file *file = filp->private_data;
	struct buse_lane *lane = buse_lane_of(file);
	int error;

	if (!lane)
		return EPOLLERR;
	if (buse_file_error(file) == -EAGAIN)
		poll_wait(filp, &lane->standby_wait, wait);
	poll_wait(filp, &lane->wait, wait);
	error = buse_file_error(file);
	if (error == -EAGAIN)
		return 0;
	if (error)
		return EPOLLERR | EPOLLHUP;
	WRITE_ONCE(lane->need_wake, 1);
	/* Pairs with buse_lane_kick(). */
	smp_mb();
	return buse_lane_ready(lane, READ_ONCE(file->head)) ?
		EPOLLIN | EPOLLRDNORM | EPOLLOUT : EPOLLOUT;
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
