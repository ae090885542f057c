/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR Apache-2.0 */
/*
 * User-space ABI of the buse module: block devices served by processes.
 *
 * Three kinds of nodes:
 *   /dev/buse-control  control plane, the ioctls with BUSE_CTL_ below
 *   /dev/busecN        server end of device N, the ioctls with BUSE_SRV_
 *   /dev/buseN         the disk itself
 *
 * Every structure has fixed-width members, no implicit padding, and a layout
 * pinned by static assertions at the end of this file. Members named
 * "reserved" must be zero; the kernel refuses other values with EINVAL.
 * docs/kernel-abi.md describes the protocol in prose.
 */
#ifndef _UAPI_LINUX_BUSE_H
#define _UAPI_LINUX_BUSE_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define BUSE_ABI_VERSION	1

#define BUSE_NAME_LEN		128	/* with the terminating NUL */
#define BUSE_MAX_DEVICES	4096
#define BUSE_MAX_QUEUES		64
#define BUSE_MAX_QUEUE_DEPTH	1024
#define BUSE_MAX_SERVERS_PER_QUEUE 8
#define BUSE_MAX_IO_BYTES	(4U << 20)
#define BUSE_MAX_POOL_BYTES	(256U << 20)
#define BUSE_MAX_DISCARD_SEGMENTS	256

#define BUSE_INDEX_ANY		0xffffffffU

/* Values of buse_params.park_limit_ms that are not a time. */
#define BUSE_PARK_FOR_EVER	0U		/* I/O waits for the next server */
#define BUSE_PARK_FAIL_FAST	0xffffffffU	/* no server: I/O fails at once */

/* Device attributes, struct buse_params.attributes. */
#define BUSE_ATTR_READ_ONLY	(1U << 0)
#define BUSE_ATTR_VOLATILE_CACHE (1U << 1)	/* needs BUSE_OP_FLUSH */
#define BUSE_ATTR_FUA		(1U << 2)	/* BUSE_REQ_FUA is understood */
#define BUSE_ATTR_DISCARD	(1U << 3)
#define BUSE_ATTR_WRITE_ZEROES	(1U << 4)
#define BUSE_ATTR_ROTATIONAL	(1U << 5)
#define BUSE_ATTR_SECURE_ERASE	(1U << 6)
#define BUSE_ATTR_ORDERED	(1U << 7)	/* overlapping requests one by one */
#define BUSE_ATTR_BIO		(1U << 8)	/* no merging, no scheduler, no polling */
#define BUSE_ATTR_ALL		((1U << 9) - 1)

/*
 * Geometry and limits of a device. Zero in a member marked (*) selects the
 * default; BUSE_CTL_CREATE and BUSE_CTL_INFO return the values in force.
 */
struct buse_params {
	__u64 size_bytes;		/* multiple of logical_block_bytes */
	__u32 attributes;		/* BUSE_ATTR_* */
	__u32 logical_block_bytes;	/* (*) 512, 1024, 2048 or 4096 */
	__u32 physical_block_bytes;	/* (*) power of two >= logical */
	__u32 io_min_bytes;		/* (*) */
	__u32 io_opt_bytes;		/* (*) 0: none */
	__u32 max_io_bytes;		/* (*) largest read or write */
	__u32 discard_granularity_bytes;/* (*) */
	__u32 max_discard_bytes;	/* (*) also bounds write zeroes and erase */
	__u32 nr_queues;		/* (*) hardware queues */
	__u32 queue_depth;		/* (*) requests in flight per queue */
	__u32 pool_bytes;		/* (*) data memory per queue */
	__u32 park_limit_ms;		/* I/O fails after it, or BUSE_PARK_* */
	__u32 servers_per_queue;	/* (*) 1: lanes, see struct buse_attach */
	__u32 nr_poll_queues;		/* of nr_queues, the last ones: polled */
	__u32 max_discard_segments;	/* (*) above 1: BUSE_REQ_RANGES is understood */
	__u32 chunk_bytes;		/* 0: none; no read or write crosses a multiple of it */
	__u32 reserved[2];
};

/* Device states, struct buse_info.state. */
enum buse_state {
	BUSE_STATE_CREATED	= 0,	/* server end exists, no disk yet */
	BUSE_STATE_LIVE		= 1,	/* disk exists, every queue is served */
	BUSE_STATE_PARKED	= 2,	/* disk exists, a queue has no server */
	BUSE_STATE_FAILING	= 3,	/* park limit ran out: I/O gets EIO */
	BUSE_STATE_STOPPED	= 4,	/* the disk is gone, destroy is next */
};

#define BUSE_INFO_QUIESCED	(1U << 0)	/* by BUSE_CTL_QUIESCE */

struct buse_info {
	__u32 index;
	__u32 state;			/* enum buse_state */
	__u32 openers;			/* of the disk */
	__u32 servers;			/* open server ends with a queue */
	__u32 disk_major;		/* 0 while there is no disk */
	__u32 disk_minor;
	__u32 server_major;
	__u32 server_minor;
	__u64 redelivered;		/* requests delivered more than once */
	__u64 stale_completions;	/* ignored: wrong tag or generation */
	struct buse_params params;
	char name[BUSE_NAME_LEN];	/* unique, printable, no '/' */
	__u32 flags;			/* out: BUSE_INFO_* */
	__u32 reserved[3];
};

/* BUSE_CTL_CREATE: in index (or BUSE_INDEX_ANY), name, params; out all. */
/* BUSE_CTL_INFO: in index; out all. */

/*
 * The other calls but LIST. `value` is, with
 *   RESIZE	the new size in bytes
 *   SET_POLICY	the new park_limit_ms, in force at once, also for what waits
 *   QUIESCE	the longest time to wait in ms, 1 to BUSE_QUIESCE_MAX_MS
 * and 0 with the others.
 */
#define BUSE_QUIESCE_MAX_MS	(24U * 3600 * 1000)
#define BUSE_STOP_FORCE		(1U << 0)	/* fail I/O first, ignore openers */

struct buse_command {
	__u32 index;
	__u32 flags;			/* BUSE_STOP_FORCE with STOP, else 0 */
	__u64 value;			/* see above */
};

/* BUSE_CTL_LIST: indices >= first, ascending, at most BUSE_LIST_MAX. */
#define BUSE_LIST_MAX		62

struct buse_list {
	__u32 first;			/* in */
	__u32 count;			/* out */
	__u32 index[BUSE_LIST_MAX];	/* out */
};

#define BUSE_CTL_CREATE		_IOWR('B', 0x01, struct buse_info)
#define BUSE_CTL_START		_IOW('B', 0x02, struct buse_command)
#define BUSE_CTL_STOP		_IOW('B', 0x03, struct buse_command)
#define BUSE_CTL_DESTROY	_IOW('B', 0x04, struct buse_command)
#define BUSE_CTL_INFO		_IOWR('B', 0x05, struct buse_info)
#define BUSE_CTL_LIST		_IOWR('B', 0x06, struct buse_list)
#define BUSE_CTL_RESIZE		_IOW('B', 0x07, struct buse_command)
#define BUSE_CTL_SET_POLICY	_IOW('B', 0x08, struct buse_command)
/*
 * Holds new requests back and returns when no server holds one: ETIMEDOUT (and
 * as before) when that takes too long, EBUSY when it is quiesced already,
 * ECANCELED when somebody resumed it meanwhile. Lasts until UNQUIESCE, beyond
 * the caller's death.
 */
#define BUSE_CTL_QUIESCE	_IOW('B', 0x09, struct buse_command)
#define BUSE_CTL_UNQUIESCE	_IOW('B', 0x0a, struct buse_command)

/*
 * Server end. One open file of /dev/busecN serves one lane of one queue, chosen
 * once by BUSE_SRV_ATTACH. A queue has buse_params.servers_per_queue lanes, each
 * a ring pair of its own; a request goes to one of them. mmap(0, map_bytes)
 * gives the queue's shared memory, in which the lane uses:
 *
 *   header_offset  struct buse_ring_header
 *   sq_offset      struct buse_request[ring_entries]     kernel -> server
 *   cq_offset      struct buse_completion[ring_entries]  server -> kernel
 *   data_offset    request data, found by buse_request.data_offset
 *
 * When a file is closed, what it held is delivered to the queue's other lanes,
 * or, without any, waits for the next file that attaches. Deliveries after the
 * first have a new generation.
 *
 * Without flags ATTACH takes a free lane, or fails with EBUSY. With a flag it
 * concerns the lane named in `lane`:
 *   LANE	take it if it is free
 *   TAKE_OVER	take it in any case: the present server is cut off at once; its
 *		calls give ESTALE, its mapping SIGBUS, its completions count for
 *		nothing, and what it held is delivered again, here
 *   STANDBY	take it if it is free, else as soon as its server is gone. Until
 *		then ENTER waits (EAGAIN with NOWAIT); the rings may not be read
 *		before an ENTER has returned 0 or poll() has said POLLOUT
 */
#define BUSE_ATTACH_LANE	(1U << 0)
#define BUSE_ATTACH_TAKE_OVER	(1U << 1)
#define BUSE_ATTACH_STANDBY	(1U << 2)

struct buse_attach {
	__u32 queue;			/* in */
	__u32 abi_version;		/* in: BUSE_ABI_VERSION */
	__u64 map_bytes;		/* out */
	__u32 ring_entries;		/* out: power of two >= queue_depth */
	__u32 queue_depth;		/* out: tags are below this */
	__u32 sq_offset;		/* out */
	__u32 cq_offset;		/* out */
	__u32 data_offset;		/* out */
	__u32 header_offset;		/* out */
	__u32 flags;			/* in: at most one BUSE_ATTACH_* */
	__u32 lane;			/* in with a flag, else 0; out */
	__u32 reserved[4];
};

/*
 * BUSE_SRV_ENTER: take every completion below cq_tail, then wait until
 * sq_tail differs from the server's own head. The argument is one packed
 * word: bits 0-31 the server's sq head, the flag bits below, and the longest
 * time to spin before sleeping, in microseconds, in bits 40-55.
 * Returns 0 when there is something to serve or BUSE_ENTER_NOWAIT was given.
 * EINTR: a signal came. ENODEV: the device is being destroyed, close the file.
 * EPROTO: the server broke the protocol and is cut off; close the file.
 * ESTALE: a successor has taken over; close the file.
 * ESHUTDOWN: after RELEASE, the last request is answered; close the file.
 * EAGAIN: a standby with NOWAIT whose turn has not come.
 */
#define BUSE_ENTER_NOWAIT	(1ULL << 32)
#define BUSE_ENTER_SPIN_SHIFT	40
#define BUSE_ENTER_SPIN_MAX_US	0xffffULL

#define BUSE_SRV_ATTACH		_IOWR('B', 0x41, struct buse_attach)
#define BUSE_SRV_ENTER		_IO('B', 0x42)

/*
 * BUSE_SRV_RELEASE: nothing more is delivered to this file. The server answers
 * what it holds, ENTERs until that gives ESHUTDOWN, and closes. Argument 0.
 * EINVAL: it is not, or no longer, its lane's server.
 */
#define BUSE_SRV_RELEASE	_IO('B', 0x43)

/* Head and tail count for ever, modulo 2^32; mask with ring_entries - 1. */
struct buse_ring_header {
	__u32 sq_tail;			/* written by the kernel */
	__u32 reserved0[15];
	__u32 cq_tail;			/* written by the server */
	__u32 reserved1[15];
};

enum buse_op {
	BUSE_OP_READ		= 0,	/* fill data with length bytes */
	BUSE_OP_WRITE		= 1,	/* data holds length bytes */
	BUSE_OP_FLUSH		= 2,	/* no range: completed writes -> durable */
	BUSE_OP_DISCARD		= 3,
	BUSE_OP_WRITE_ZEROES	= 4,
	BUSE_OP_SECURE_ERASE	= 5,	/* discard, and no copy stays readable */
};

#define BUSE_REQ_FUA		(1U << 0)	/* durable before completion */
#define BUSE_REQ_NO_UNMAP	(1U << 1)	/* write zeroes: keep allocated */
#define BUSE_REQ_REDELIVERED	(1U << 2)	/* an earlier server may have done it */
#define BUSE_REQ_RANGES		(1U << 3)	/* discard of several ranges: see buse_range */
/* Hints; a server may ignore them. */
#define BUSE_REQ_META		(1U << 4)	/* metadata of a file system */
#define BUSE_REQ_SWAP		(1U << 5)	/* memory is waiting for it */
#define BUSE_REQ_FAILFAST	(1U << 6)	/* rather an early error than retries */
#define BUSE_REQ_READAHEAD	(1U << 7)	/* nobody waits for it yet */

struct buse_request {
	__u64 offset;			/* bytes */
	__u64 sequence;			/* order of arrival on this device */
	__u32 length;			/* bytes */
	__u32 data_offset;		/* from the start of the mapping */
	__u32 generation;		/* echo in the completion */
	__u16 tag;			/* echo in the completion */
	__u8  op;			/* enum buse_op */
	__u8  flags;			/* BUSE_REQ_* */
};

/*
 * The data of a request with BUSE_REQ_RANGES: length / 16 of these, at most
 * max_discard_segments, in no order; they may overlap. The request's offset is
 * 0. A discard of one range has no data.
 */
struct buse_range {
	__u64 offset;			/* bytes */
	__u64 length;			/* bytes */
};

struct buse_completion {
	__u32 generation;
	__u16 tag;
	__u16 reserved;
	__s32 result;			/* 0 or a negative errno */
	__u32 reserved1;
};

#ifdef __cplusplus
#define BUSE_ABI_ASSERT(cond) static_assert(cond, #cond)
#else
#define BUSE_ABI_ASSERT(cond) _Static_assert(cond, #cond)
#endif

BUSE_ABI_ASSERT(sizeof(struct buse_params) == 80);
BUSE_ABI_ASSERT(sizeof(struct buse_info) == 272);
BUSE_ABI_ASSERT(sizeof(struct buse_command) == 16);
BUSE_ABI_ASSERT(sizeof(struct buse_list) == 256);
BUSE_ABI_ASSERT(sizeof(struct buse_attach) == 64);
BUSE_ABI_ASSERT(sizeof(struct buse_ring_header) == 128);
BUSE_ABI_ASSERT(sizeof(struct buse_request) == 32);
BUSE_ABI_ASSERT(sizeof(struct buse_range) == 16);
BUSE_ABI_ASSERT(sizeof(struct buse_completion) == 16);
BUSE_ABI_ASSERT(__builtin_offsetof(struct buse_ring_header, cq_tail) == 64);
BUSE_ABI_ASSERT(__builtin_offsetof(struct buse_info, params) == 48);
BUSE_ABI_ASSERT(__builtin_offsetof(struct buse_info, name) == 128);
BUSE_ABI_ASSERT(__builtin_offsetof(struct buse_request, generation) == 24);

#endif /* _UAPI_LINUX_BUSE_H */
