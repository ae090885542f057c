// SPDX-License-Identifier: GPL-2.0-only
/* buse: block devices served by processes. */
#include <linux/module.h>

#include "core.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

/* Fails parked I/O, which memory reclaim may be waiting for. */
struct workqueue_struct *buse_wq;

static int __init buse_init(void)
{
	int ret;

	buse_wq = alloc_workqueue("buse", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (!buse_wq)
		return -ENOMEM;
	buse_fault_init();
	ret = buse_registry_init();
	if (ret)
		goto out_wq;
	ret = buse_control_init();
	if (ret)
		goto out_registry;
	return 0;

out_registry:
	buse_registry_exit();
out_wq:
	buse_fault_exit();
	destroy_workqueue(buse_wq);
	return ret;
}

/* Each device pins the module, so none is registered here. */
static void __exit buse_exit(void)
{
	buse_control_exit();
	buse_registry_exit();
	buse_device_wait_all_gone();
	/* The last steps of buse_end_call(), after the end of a device's last request. */
	synchronize_rcu();
	buse_fault_exit();
	destroy_workqueue(buse_wq);
}

module_init(buse_init);
module_exit(buse_exit);

MODULE_DESCRIPTION("Block devices served by processes");
MODULE_LICENSE("GPL");
