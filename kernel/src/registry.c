// SPDX-License-Identifier: GPL-2.0-only
/* Which devices exist, by index and name, and their server nodes. */
#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/idr.h>

#include "compat.h"
#include "core.h"

static DEFINE_MUTEX(registry_lock);
static DEFINE_IDR(registry);
static struct class *server_class;
static struct cdev server_cdev;
static dev_t server_base;

dev_t buse_server_devt(const struct buse_device *dev)
{
	return MKDEV(MAJOR(server_base), MINOR(server_base) + dev->index);
}

static bool buse_name_taken(const char *name)
{
	struct buse_device *dev;
	int index;

	idr_for_each_entry(&registry, dev, index)
		if (!strcmp(dev->name, name))
			return true;
	return false;
}

static int buse_registry_insert(struct buse_device *dev, u32 index)
{
	u32 end = index == BUSE_INDEX_ANY ? BUSE_MAX_DEVICES : index + 1;
	u32 start = index == BUSE_INDEX_ANY ? 0 : index;
	int ret;

	if (start >= BUSE_MAX_DEVICES)
		return -EINVAL;
	mutex_lock(&registry_lock);
	if (buse_name_taken(dev->name))
		ret = -EEXIST;
	else
		ret = buse_fault_alloc() ? -ENOMEM :
			idr_alloc(&registry, dev, start, end, GFP_KERNEL);
	if (ret >= 0)
		dev->index = ret;
	mutex_unlock(&registry_lock);
	if (ret == -ENOSPC && index != BUSE_INDEX_ANY)
		return -EEXIST;
	return min(ret, 0);
}

/* Makes the device known; takes over the caller's reference. */
int buse_registry_add(struct buse_device *dev, u32 index)
{
	struct device *node;
	int ret;

	ret = buse_registry_insert(dev, index);
	if (ret)
		return ret;
	node = buse_fault_alloc() ? ERR_PTR(-ENOMEM) :
		device_create(server_class, NULL, buse_server_devt(dev), NULL,
			      "busec%u", dev->index);
	if (IS_ERR(node)) {
		mutex_lock(&registry_lock);
		idr_remove(&registry, dev->index);
		mutex_unlock(&registry_lock);
		return PTR_ERR(node);
	}
	/* Released in buse_registry_remove(), by a task in the control ioctl. */
	__module_get(THIS_MODULE);
	buse_fault_add(dev);
	/* Not before: it could be destroyed again while it is being made. */
	mutex_lock(&registry_lock);
	dev->known = true;
	mutex_unlock(&registry_lock);
	return 0;
}

void buse_registry_remove(struct buse_device *dev)
{
	buse_fault_remove(dev);
	device_destroy(server_class, buse_server_devt(dev));
	mutex_lock(&registry_lock);
	idr_remove(&registry, dev->index);
	mutex_unlock(&registry_lock);
	buse_device_put(dev);
	module_put(THIS_MODULE);
}

/* The device with one more reference, or NULL. */
struct buse_device *buse_registry_get(u32 index)
{
	struct buse_device *dev = NULL;

	mutex_lock(&registry_lock);
	if (index < BUSE_MAX_DEVICES)
		dev = idr_find(&registry, index);
	if (dev && !dev->known)
		dev = NULL;
	if (dev)
		kref_get(&dev->ref);
	mutex_unlock(&registry_lock);
	return dev;
}

int buse_registry_list(struct buse_list *list)
{
	struct buse_device *dev;
	int index = min_t(u32, list->first, BUSE_MAX_DEVICES);

	list->count = 0;
	mutex_lock(&registry_lock);
	idr_for_each_entry_continue(&registry, dev, index) {
		if (list->count == BUSE_LIST_MAX)
			break;
		if (!dev->known)
			continue;
		list->index[list->count++] = index;
	}
	mutex_unlock(&registry_lock);
	return 0;
}

int buse_registry_init(void)
{
	int ret;

	ret = alloc_chrdev_region(&server_base, 0, BUSE_MAX_DEVICES, "buse");
	if (ret)
		return ret;
	server_class = buse_class_create("buse");
	if (IS_ERR(server_class)) {
		ret = PTR_ERR(server_class);
		goto out_region;
	}
	cdev_init(&server_cdev, &buse_server_fops);
	server_cdev.owner = THIS_MODULE;
	ret = cdev_add(&server_cdev, server_base, BUSE_MAX_DEVICES);
	if (ret)
		goto out_class;
	return 0;

out_class:
	class_destroy(server_class);
out_region:
	unregister_chrdev_region(server_base, BUSE_MAX_DEVICES);
	return ret;
}

void buse_registry_exit(void)
{
	cdev_del(&server_cdev);
	class_destroy(server_class);
	unregister_chrdev_region(server_base, BUSE_MAX_DEVICES);
	idr_destroy(&registry);
}
