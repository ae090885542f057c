/* SPDX-License-Identifier: GPL-2.0-only */
/* Differences between kernels, told apart by probe.sh. */
#ifndef BUSE_COMPAT_H
#define BUSE_COMPAT_H

#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/device.h>
#include <linux/mm.h>

#include "probes.h"

#ifdef HAVE_RQ_LIST
#define BUSE_RQ_LIST struct rq_list
#else
#define BUSE_RQ_LIST struct request *
#endif

#ifndef HAVE_VM_FLAGS_SET
static inline void vm_flags_set(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags |= flags;
}
#endif

static inline struct class *buse_class_create(const char *name)
{
#ifdef HAVE_CLASS_CREATE_OWNER
	return class_create(THIS_MODULE, name);
#else
	return class_create(name);
#endif
}

/*
 * No elevator: the server sees requests as they come; it can be set later.
 * Stacking: a CPU that goes offline does not wait for our requests, which wait
 * for a server that may wait for that CPU, is frozen, or not there.
 */
static inline unsigned int buse_tag_set_flags(void)
{
	unsigned int flags = BLK_MQ_F_STACKING;

#ifdef HAVE_BLK_MQ_F_SHOULD_MERGE
	flags |= BLK_MQ_F_SHOULD_MERGE;
#endif
#ifdef HAVE_BLK_MQ_F_NO_SCHED_BY_DEFAULT
	flags |= BLK_MQ_F_NO_SCHED_BY_DEFAULT;
#endif
	return flags;
}

#endif /* BUSE_COMPAT_H */
