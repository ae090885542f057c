#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# probe.sh COMPILER-COMMAND...: print a header that says which interfaces the
# kernel has, found by compiling snippets. Distributions backport interfaces,
# so the kernel's version number says nothing about them.
set -u

probe() { # MACRO HEADERS BODY
	macro=$1
	src="#include <linux/module.h>"
	for header in $2; do
		src="$src
#include <linux/$header>"
	done
	if printf '%s\n%s\n' "$src" "$3" | $CC_CMD -fsyntax-only \
		-Wno-unused -Wno-missing-prototypes -Wno-missing-declarations \
		-Werror=incompatible-pointer-types \
		-Werror=implicit-function-declaration \
		-Werror=int-conversion -x c - >/dev/null 2>"$err"; then
		echo "#define $macro 1"
	else
		echo "/* no $macro */"
	fi
}

CC_CMD=$*
err=$(mktemp) || exit 1
trap 'rm -f "$err"' EXIT

# The compiler and its flags must work at all, or every answer is wrong.
probe BUSE_PROBE_WORKS "blkdev.h blk-mq.h" \
	"int probe(void) { return GENHD_FL_NO_PART; }" > "$err.first"
first=$(cat "$err.first")
rm -f "$err.first"
if [ "$first" != "#define BUSE_PROBE_WORKS 1" ]; then
	echo "probe.sh: cannot compile against the kernel headers:" >&2
	cat "$err" >&2
	exit 1
fi

echo "/* Made by probe.sh. */"
probe HAVE_RQ_LIST "blkdev.h blk-mq.h" \
	"void f(struct rq_list *l); struct blk_mq_ops ops = { .queue_rqs = f };"
probe HAVE_LIMITS_FEATURES "blkdev.h blk-mq.h" \
	"void *f(struct blk_mq_tag_set *s, struct queue_limits *l)
	{ l->features = BLK_FEAT_WRITE_CACHE | BLK_FEAT_FUA;
	  return blk_mq_alloc_disk(s, l, NULL); }"
probe HAVE_DISK_OPEN_GENDISK "blkdev.h" \
	"int f(struct gendisk *d, blk_mode_t m);
	struct block_device_operations o = { .open = f };"
probe HAVE_BLK_MQ_F_SHOULD_MERGE "blkdev.h blk-mq.h" \
	"int f(void) { return BLK_MQ_F_SHOULD_MERGE; }"
probe HAVE_BLK_MQ_F_NO_SCHED_BY_DEFAULT "blkdev.h blk-mq.h" \
	"int f(void) { return BLK_MQ_F_NO_SCHED_BY_DEFAULT; }"
probe HAVE_CLASS_CREATE_OWNER "device.h" \
	"void *f(void) { return class_create(THIS_MODULE, \"x\"); }"
probe HAVE_VM_FLAGS_SET "mm.h" \
	"void f(struct vm_area_struct *v) { vm_flags_set(v, VM_DONTCOPY); }"
probe HAVE_HW_WZEROES_UNMAP "blkdev.h" \
	"int f(struct queue_limits *l) { return l->max_hw_wzeroes_unmap_sectors; }"
