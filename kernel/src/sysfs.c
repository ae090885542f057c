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

static struct attribute *buse_disk_attrs[] = {
	&dev_attr_name.attr,
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
