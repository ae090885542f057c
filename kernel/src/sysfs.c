// SPDX-License-Identifier: GPL-2.0-only
/* /sys/block/buseN/buse/: what is peculiar to these disks. */
#include <linux/device.h>
#include <linux/sysfs.h>

#include "core.h"

static struct buse_device *buse_of(struct device *device)
{
	return dev_to_disk(device)->private_data;
}

/* For /dev/disk/by-buse: see kernel/60-buse.rules. */
static ssize_t name_show(struct device *device, struct device_attribute *attr,
			 char *buf)
{
	return sysfs_emit(buf, "%s\n", buse_of(device)->name);
}
static DEVICE_ATTR_RO(name);

/* Switches the recording of latencies; see stats.c for its cost. */
static ssize_t histograms_show(struct device *device,
			       struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%d\n", READ_ONCE(buse_of(device)->histograms));
}

static ssize_t histograms_store(struct device *device,
				struct device_attribute *attr, const char *buf,
				size_t count)
{
	bool on;
	int ret = kstrtobool(buf, &on);

	if (ret)
		return ret;
	WRITE_ONCE(buse_of(device)->histograms, on);
	return count;
}
static DEVICE_ATTR_RW(histograms);

static ssize_t latency_us_show(struct device *device,
			       struct device_attribute *attr, char *buf)
{
	return buse_stats_show(buse_of(device), buf);
}
static DEVICE_ATTR_RO(latency_us);

static u64 buse_enters(const struct buse_queue *q)
{
	u64 sum = 0;
	u32 i;

	for (i = 0; i < q->nr_lanes; i++)
		sum += READ_ONCE(q->lanes[i].enters);
	return sum;
}

static u64 buse_wakeups(const struct buse_queue *q)
{
	u64 sum = 0;
	u32 i;

	for (i = 0; i < q->nr_lanes; i++)
		sum += atomic64_read(&q->lanes[i].wakeups);
	return sum;
}

static u64 buse_polled(const struct buse_queue *q)
{
	u64 sum = 0;
	u32 i;

	for (i = 0; i < q->nr_lanes; i++)
		sum += READ_ONCE(q->lanes[i].polled);
	return sum;
}

/* A counter is a line with a number for each queue. */
#define BUSE_COUNTER(_name, _value)					\
static ssize_t _name##_show(struct device *device,			\
			    struct device_attribute *attr, char *buf)	\
{									\
	struct buse_device *dev = buse_of(device);			\
	ssize_t at = 0;							\
	u32 i;								\
									\
	for (i = 0; i < dev->params.nr_queues; i++) {			\
		const struct buse_queue *q = &dev->queues[i];		\
									\
		at += sysfs_emit_at(buf, at, i ? " %llu" : "%llu",	\
				    (u64)(_value));			\
	}								\
	return at + sysfs_emit_at(buf, at, "\n");			\
}									\
static DEVICE_ATTR_RO(_name)

BUSE_COUNTER(completed, READ_ONCE(q->completed));
BUSE_COUNTER(polled, buse_polled(q));
BUSE_COUNTER(enters, buse_enters(q));
BUSE_COUNTER(wakeups, buse_wakeups(q));
BUSE_COUNTER(held, READ_ONCE(q->held));
BUSE_COUNTER(redelivered, READ_ONCE(q->redelivered));
BUSE_COUNTER(stale, READ_ONCE(q->stale_completions));

static struct attribute *buse_disk_attrs[] = {
	&dev_attr_name.attr,
	&dev_attr_histograms.attr,
	&dev_attr_latency_us.attr,
	&dev_attr_completed.attr,
	&dev_attr_polled.attr,
	&dev_attr_enters.attr,
	&dev_attr_wakeups.attr,
	&dev_attr_held.attr,
	&dev_attr_redelivered.attr,
	&dev_attr_stale.attr,
	NULL,
};

static const struct attribute_group buse_disk_group = {
	.name	= "buse",
	.attrs	= buse_disk_attrs,
};

const struct attribute_group *buse_disk_groups[] = {
	&buse_disk_group,
	NULL,
};
