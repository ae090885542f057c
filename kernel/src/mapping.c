// SPDX-License-Identifier: GPL-2.0-only
/*
 * A server's mapping of its queue's shared memory, and how it is taken away.
 *
 * Each file has an address space of its own, as all files of a node share the
 * inode's and only one of them is to be revoked. Pages are mapped by faults, so
 * that a mapping is known to the address space before it shows anything: a
 * revocation finds a fault either before its look at `revoked` or after its
 * page table entry is there.
 */
#include <linux/backing-dev.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/vmalloc.h>

#include "compat.h"
#include "core.h"

/* Mapped by one fault. */
#define BUSE_FAULT_PAGES	16UL

void buse_mapping_init(struct buse_file *file, struct file *filp)
{
	init_rwsem(&file->map_lock);
	address_space_init_once(&file->mapping);
	init_rwsem(&file->mapping.invalidate_lock);
	file->mapping.host = file_inode(filp);
	file->mapping.a_ops = &empty_aops;
	filp->f_mapping = &file->mapping;
}

/* Maps the pages around the fault. Under map_lock. */
static vm_fault_t buse_fault_around(struct vm_fault *vmf, void *map)
{
	struct vm_area_struct *vma = vmf->vma;
	unsigned long first = vmf->pgoff & ~(BUSE_FAULT_PAGES - 1);
	unsigned long pgoff;

	for (pgoff = first; pgoff < first + BUSE_FAULT_PAGES; pgoff++) {
		unsigned long at;
		int ret;

		if (pgoff < vma->vm_pgoff ||
		    pgoff >= vma->vm_pgoff + vma_pages(vma))
			continue;
		at = vma->vm_start + ((pgoff - vma->vm_pgoff) << PAGE_SHIFT);
		ret = vm_insert_page(vma, at,
				     vmalloc_to_page(map + (pgoff << PAGE_SHIFT)));
		if (ret == -ENOMEM)
			return VM_FAULT_OOM;
		/* -EBUSY: mapped before. */
		if (ret && ret != -EBUSY)
			return VM_FAULT_SIGBUS;
	}
	return VM_FAULT_NOPAGE;
}

static vm_fault_t buse_vm_fault(struct vm_fault *vmf)
{
	struct buse_file *file = vmf->vma->vm_private_data;
	vm_fault_t ret = VM_FAULT_SIGBUS;
	/* A take-over waits for us: we must not wait for this very disk. */
	unsigned int noio = memalloc_noio_save();

	down_read(&file->map_lock);
	if (!file->revoked)
		ret = buse_fault_around(vmf, file->lane->queue->map);
	up_read(&file->map_lock);
	memalloc_noio_restore(noio);
	return ret;
}

static const struct vm_operations_struct buse_vm_ops = {
	.fault	= buse_vm_fault,
};

int buse_mmap(struct file *filp, struct vm_area_struct *vma)
{
	struct buse_file *file = filp->private_data;
	/* Pairs with the release in buse_file_attach(). */
	struct buse_lane *lane = smp_load_acquire(&file->lane);

	if (!lane)
		return -ENOTCONN;
	if (vma->vm_pgoff || !(vma->vm_flags & VM_SHARED) ||
	    vma->vm_end - vma->vm_start != file->dev->map_bytes)
		return -EINVAL;
	vm_flags_set(vma, VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP |
			  VM_MIXEDMAP);
	vma->vm_private_data = file;
	vma->vm_ops = &buse_vm_ops;
	return 0;
}

/* Takes all mappings of the file away, for good; its users get SIGBUS. */
void buse_mapping_revoke(struct buse_file *file)
{
	down_write(&file->map_lock);
	file->revoked = true;
	up_write(&file->map_lock);
	unmap_mapping_range(&file->mapping, 0, 0, 1);
}
