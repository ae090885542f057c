// SPDX-License-Identifier: GPL-2.0-only
/*
 * Faults on purpose, for tests, in debugfs:
 *
 * buse/N/faults	write "KIND nth COUNT [MS]" or "KIND every COUNT [MS]" or
 *			"KIND off"; reading shows the rules and their hits
 *   fail		the request ends with EIO whatever the server says
 *   delay		the completion is taken MS milliseconds late, and with it
 *			what its server hands in together with it
 *   drop_request	the server never sees the request
 *   drop_completion	the completion is ignored
 *   A dropped request comes again when the server of its lane goes.
 * buse/fail_alloc	write N: the N-th allocation from now on that CREATE or
 *			START makes fails
 *
 * Without a rule the requests' path holds nothing but a patched-out jump.
 */
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>

#include "core.h"

#define BUSE_FAULT_MAX_MS	60000U
#define BUSE_FAULT_TEXT		64U

DEFINE_STATIC_KEY_FALSE(buse_faults_on);

static const char * const fault_names[BUSE_FAULTS] = {
	[BUSE_FAULT_FAIL]		= "fail",
	[BUSE_FAULT_DELAY]		= "delay",
	[BUSE_FAULT_DROP_REQUEST]	= "drop_request",
	[BUSE_FAULT_DROP_COMPLETION]	= "drop_completion",
};

static struct dentry *fault_root;
static DEFINE_MUTEX(fault_mutex);	/* changes of the rules */
static atomic_t alloc_countdown = ATOMIC_INIT(0);

/* Is one of these `count` events to be hit? */
bool buse_fault_hit(struct buse_device *dev, enum buse_fault kind, u32 count)
{
	struct buse_fault_rule *rule = &dev->faults[kind];
	u32 period = READ_ONCE(rule->period);
	u32 before, after;

	if (!period)
		return false;
	after = atomic_add_return(count, &rule->seen);
	before = after - count;
	if (READ_ONCE(rule->once) ? before >= period || after < period :
				    before / period == after / period)
		return false;
	atomic_inc(&rule->hits);
	return true;
}

/* Sleeps if one of these completions is to be late. */
void buse_fault_delay_now(struct buse_device *dev, u32 completions)
{
	if (completions && buse_fault_hit(dev, BUSE_FAULT_DELAY, completions))
		msleep_interruptible(READ_ONCE(dev->faults[BUSE_FAULT_DELAY].ms));
}

/* Shall the next allocation fail? */
bool buse_fault_alloc(void)
{
	return atomic_read(&alloc_countdown) &&
	       atomic_dec_if_positive(&alloc_countdown) == 0;
}

/* Under fault_mutex. */
static void buse_fault_set(struct buse_fault_rule *rule, bool once, u32 period,
			   u32 ms)
{
	bool was_on = rule->period;

	WRITE_ONCE(rule->period, 0);
	WRITE_ONCE(rule->once, once);
	WRITE_ONCE(rule->ms, ms);
	atomic_set(&rule->seen, 0);
	atomic_set(&rule->hits, 0);
	WRITE_ONCE(rule->period, period);
	if (period && !was_on)
		static_branch_inc(&buse_faults_on);
	else if (!period && was_on)
		static_branch_dec(&buse_faults_on);
}

static int buse_faults_show(struct seq_file *seq, void *unused)
{
	struct buse_device *dev = seq->private;
	u32 i;

	for (i = 0; i < BUSE_FAULTS; i++) {
		struct buse_fault_rule *rule = &dev->faults[i];

		seq_printf(seq, "%s %s %u %u hits %d\n", fault_names[i],
			   rule->once ? "nth" : "every", rule->period, rule->ms,
			   atomic_read(&rule->hits));
	}
	return 0;
}

static int buse_faults_open(struct inode *inode, struct file *filp)
{
	return single_open(filp, buse_faults_show, inode->i_private);
}

static ssize_t buse_faults_write(struct file *filp, const char __user *buf,
				 size_t length, loff_t *pos)
{
	struct buse_device *dev = file_inode(filp)->i_private;
	char text[BUSE_FAULT_TEXT], name[20], how[8];
	u32 period = 0, ms = 0;
	int kind, n;

	if (length >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, buf, length))
		return -EFAULT;
	text[length] = '\0';
	n = sscanf(text, "%19s %7s %u %u", name, how, &period, &ms);
	for (kind = 0; kind < BUSE_FAULTS; kind++)
		if (n > 1 && !strcmp(fault_names[kind], name))
			break;
	if (kind == BUSE_FAULTS || ms > BUSE_FAULT_MAX_MS)
		return -EINVAL;
	if (strcmp(how, "off") ? !period : n > 2)
		return -EINVAL;
	if (period && strcmp(how, "nth") && strcmp(how, "every"))
		return -EINVAL;
	mutex_lock(&fault_mutex);
	buse_fault_set(&dev->faults[kind], !strcmp(how, "nth"), period, ms);
	mutex_unlock(&fault_mutex);
	return length;
}

static const struct file_operations buse_faults_fops = {
	.owner		= THIS_MODULE,
	.open		= buse_faults_open,
	.read		= seq_read,
	.write		= buse_faults_write,
	.llseek		= seq_lseek,
	.release	= single_release,
};

void buse_fault_add(struct buse_device *dev)
{
	char name[12];

	snprintf(name, sizeof(name), "%u", dev->index);
	dev->fault_dir = debugfs_create_dir(name, fault_root);
	debugfs_create_file("faults", 0600, dev->fault_dir, dev,
			    &buse_faults_fops);
}

/* Waits for who is in a read or write of the file. */
void buse_fault_remove(struct buse_device *dev)
{
	u32 i;

	debugfs_remove(dev->fault_dir);
	mutex_lock(&fault_mutex);
	for (i = 0; i < BUSE_FAULTS; i++)
		buse_fault_set(&dev->faults[i], false, 0, 0);
	mutex_unlock(&fault_mutex);
}

void buse_fault_init(void)
{
	fault_root = debugfs_create_dir("buse", NULL);
	debugfs_create_atomic_t("fail_alloc", 0600, fault_root,
				&alloc_countdown);
}

void buse_fault_exit(void)
{
	debugfs_remove(fault_root);
}
