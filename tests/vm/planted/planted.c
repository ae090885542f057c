// SPDX-License-Identifier: GPL-2.0-only
/*
 * A module with the bugs that the test machine's kernels have to report: proves that a clean
 * kernel log means something. Loading it makes the bug; the load then fails, nothing stays.
 */
#include <linux/errno.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>

static char *bug = "warning";
module_param(bug, charp, 0444);

static DEFINE_MUTEX(first);
static DEFINE_MUTEX(second);

static void plant_use_after_free(void)
{
	int *memory = kmalloc(64, GFP_KERNEL);

	if (!memory)
		return;
	WRITE_ONCE(memory[0], 1);
	kfree(memory);
	WRITE_ONCE(memory[0], 2);
}

static void plant_deadlock(void)
{
	mutex_lock(&first);
	mutex_lock(&second);
	mutex_unlock(&second);
	mutex_unlock(&first);

	mutex_lock(&second);
	mutex_lock(&first);
	mutex_unlock(&first);
	mutex_unlock(&second);
}

static int __init planted_init(void)
{
	if (!strcmp(bug, "use-after-free"))
		plant_use_after_free();
	else if (!strcmp(bug, "deadlock"))
		plant_deadlock();
	else
		WARN(1, "planted warning\n");
	return -ENODEV;
}
module_init(planted_init);

MODULE_DESCRIPTION("Bugs for the test of the test machine");
MODULE_LICENSE("GPL");
