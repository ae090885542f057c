// SPDX-License-Identifier: GPL-2.0-only
/* /dev/buse-control: create, start, stop, destroy, ask. */
#include <linux/capability.h>
#include <linux/ctype.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "core.h"

static bool buse_name_ok(const char *name)
{
	size_t length = strnlen(name, BUSE_NAME_LEN);
	size_t i;

	if (!length || length == BUSE_NAME_LEN)
		return false;
	for (i = 0; i < length; i++)
		if (!isascii(name[i]) || !isprint(name[i]) || name[i] == '/')
			return false;
	return true;
}

static long buse_create(struct buse_info *info, void __user *argp)
{
	struct buse_device *dev;
	int ret;

	if (!buse_name_ok(info->name) ||
	    info->flags || memchr_inv(info->reserved, 0, sizeof(info->reserved)))
		return -EINVAL;
	ret = buse_params_check(&info->params);
	if (ret)
		return ret;
	dev = buse_device_alloc(info);
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	/* One reference of ours besides the registry's. */
	kref_get(&dev->ref);
	ret = buse_registry_add(dev, info->index);
	if (ret) {
		buse_device_put(dev);
	} else {
		buse_device_info(dev, info);
		if (copy_to_user(argp, info, sizeof(*info))) {
			/* The caller cannot know what to destroy. */
			buse_device_destroy(dev);
			ret = -EFAULT;
		}
	}
	buse_device_put(dev);
	return ret;
}

static long buse_info(struct buse_info *info, void __user *argp)
{
	struct buse_device *dev = buse_registry_get(info->index);

	if (!dev)
		return -ENODEV;
	buse_device_info(dev, info);
	buse_device_put(dev);
	return copy_to_user(argp, info, sizeof(*info)) ? -EFAULT : 0;
}

static long buse_info_ioctl(unsigned int cmd, void __user *argp)
{
	struct buse_info *info;
	long ret;

	info = memdup_user(argp, sizeof(*info));
	if (IS_ERR(info))
		return PTR_ERR(info);
	ret = cmd == BUSE_CTL_CREATE ? buse_create(info, argp) :
				       buse_info(info, argp);
	kfree(info);
	return ret;
}

static long buse_list(void __user *argp)
{
	struct buse_list list = { };
	long ret;

	if (get_user(list.first, (__u32 __user *)argp))
		return -EFAULT;
	ret = buse_registry_list(&list);
	if (!ret && copy_to_user(argp, &list, sizeof(list)))
		ret = -EFAULT;
	return ret;
}

static bool buse_takes_value(unsigned int cmd)
{
	return cmd == BUSE_CTL_RESIZE || cmd == BUSE_CTL_SET_POLICY ||
	       cmd == BUSE_CTL_QUIESCE;
}

static long buse_command(unsigned int cmd, void __user *argp)
{
	u32 flags = cmd == BUSE_CTL_STOP ? BUSE_STOP_FORCE : 0;
	struct buse_device *dev;
	struct buse_command c;
	long ret;

	if (copy_from_user(&c, argp, sizeof(c)))
		return -EFAULT;
	if (c.flags & ~flags || (c.value && !buse_takes_value(cmd)))
		return -EINVAL;
	dev = buse_registry_get(c.index);
	if (!dev)
		return -ENODEV;
	switch (cmd) {
	case BUSE_CTL_START:
		ret = buse_device_start(dev);
		break;
	case BUSE_CTL_STOP:
		ret = buse_device_stop(dev, c.flags & BUSE_STOP_FORCE);
		break;
	case BUSE_CTL_DESTROY:
		ret = buse_device_destroy(dev);
		break;
	case BUSE_CTL_RESIZE:
		ret = buse_device_resize(dev, c.value);
		break;
	case BUSE_CTL_SET_POLICY:
		ret = buse_device_set_policy(dev, c.value);
		break;
	case BUSE_CTL_QUIESCE:
		ret = buse_device_quiesce(dev, c.value);
		break;
	default:
		buse_device_unquiesce(dev);
		ret = 0;
		break;
	}
	buse_device_put(dev);
	return ret;
}

static long buse_control_ioctl(struct file *filp, unsigned int cmd,
			       unsigned long arg)
{
	void __user *argp = (void __user *)arg;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	switch (cmd) {
	case BUSE_CTL_CREATE:
	case BUSE_CTL_INFO:
		return buse_info_ioctl(cmd, argp);
	case BUSE_CTL_START:
	case BUSE_CTL_STOP:
	case BUSE_CTL_DESTROY:
	case BUSE_CTL_RESIZE:
	case BUSE_CTL_SET_POLICY:
	case BUSE_CTL_QUIESCE:
	case BUSE_CTL_UNQUIESCE:
		return buse_command(cmd, argp);
	case BUSE_CTL_LIST:
		return buse_list(argp);
	default:
		return -ENOTTY;
	}
}

static const struct file_operations buse_control_fops = {
	.owner		= THIS_MODULE,
	.unlocked_ioctl	= buse_control_ioctl,
	.llseek		= noop_llseek,
};

static struct miscdevice buse_control = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "buse-control",
	.mode	= 0600,
	.fops	= &buse_control_fops,
};

int buse_control_init(void)
{
	return misc_register(&buse_control);
}

void buse_control_exit(void)
{
	misc_deregister(&buse_control);
}
