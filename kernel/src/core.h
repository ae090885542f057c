/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Internal declarations of the buse module.
 *
 * Locks, outermost first:
 *   registry_lock (mutex)	index and name -> device
 *   buse_device.mutex		START, STOP, RESIZE, DESTROY of one device
 *   disk->open_mutex		of the block layer
 *   buse_file.mutex		one ATTACH of a file at a time
 *   buse_queue.succession	who serves the lanes of one queue
 *   buse_file.map_lock		what a file's mapping shows
 *   buse_lane.cq_mutex		one drain of a completion ring at a time
 *   buse_queue.lock (spin)	rings, tag states, pool of one queue
 *
 * Nothing that can wait for a server is done under buse_device.mutex, except
 * by a STOP without force, and a forced STOP fails all I/O before it takes the
 * mutex. So a forced STOP always gets through.
 *
 * succession is held over bounded work only (a drain, an unmap), never while
 * somebody waits for a server; so closing a server's file takes it too.
 *
 * Who owns a request in which state of its tag (all changes under
 * buse_queue.lock unless noted):
 *   FREE		the block layer; with bios (bio.c): nobody, or the submitter
 *   HELD		order.c; waits for requests that it overlaps
 *   PENDING		the queue; no data memory, not visible to a server
 *   COPYING		the task in ENTER or a poll that fills its data memory
 *   DELIVERED		the server of the tag's lane; the kernel may take it
 *			back (the lane changes hands, all I/O fails)
 *   COMPLETING		the task that is about to end it; that task alone sets
 *			FREE, without the lock, right before it ends the request,
 *			or takes the next step of a bio
 */
#ifndef BUSE_CORE_H
#define BUSE_CORE_H

#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/fs.h>
#include <linux/jump_label.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "../uapi/buse.h"

/* Unit of the data memory; requests up to this size use a slot of their own. */
#define BUSE_CHUNK_BYTES	(16U << 10)
/* Requests handled between two looks at the scheduler. */
#define BUSE_BATCH		32U

enum buse_tag_state {
	BUSE_TAG_FREE,
	BUSE_TAG_HELD,
	BUSE_TAG_PENDING,
	BUSE_TAG_COPYING,
	BUSE_TAG_DELIVERED,
	BUSE_TAG_COMPLETING,
};

/* Latency histograms: see stats.c. */
#define BUSE_NR_CLASSES		4
#define BUSE_NR_BUCKETS		28

struct buse_bio;
struct buse_order;
struct buse_extent;

/* Private shadow of what the server was told; the rings are never read back. */
struct buse_tag {
	struct request *rq;
	u64 sequence;
	u32 generation;		/* of the last delivery */
	u32 data_offset;	/* in the mapping, while data memory is held */
	u16 nr_chunks;		/* chunks held; 0: none, or the tag's slot */
	u8 lane;		/* of the last delivery */
	u8 op;			/* enum buse_op */
	u8 state;
	bool delivered_before;
	bool slot_kept;		/* the slot is in use by a former server's I/O */
};

/* A request that is being completed. */
struct buse_done {
	struct buse_tag *tag;
	blk_status_t status;
};

/* One pair of rings of a queue, for one server. */
struct buse_lane {
	struct buse_queue *queue;
	struct buse_ring_header *header;
	struct buse_request *sq;
	struct buse_completion *cq;
	u32 mask;		/* of both rings */
	u32 index;

	/* Under queue->lock. */
	u32 tail;		/* next SQ entry to fill */
	u32 published;		/* sq_tail as the server sees it */
	u32 nr_delivered;
	u32 epoch;		/* counts the servers */
	bool accepts;		/* there is a server for new requests */

	/* Under queue->succession. */
	struct buse_file *server;	/* may be released, never stale */
	struct buse_file *standby;	/* the next one, if it waits here */
	wait_queue_head_t standby_wait;

	/* Set before the server sleeps, cleared by who wakes it. */
	int need_wake ____cacheline_aligned_in_smp;
	bool spins;		/* in ENTER: it finds pending requests by itself */
	wait_queue_head_t wait;
	atomic64_t wakeups;
	u64 enters;		/* by the server; inexact if threads share it */

	struct mutex cq_mutex ____cacheline_aligned_in_smp;
	u32 cq_head;
	u64 polled;		/* completions taken by clients' polls */
	struct buse_done done[BUSE_BATCH];	/* for the drain */
	/* A batch that ends on another CPU: away.c. */
	bool away;		/* the end_ is that CPU's, not cq_mutex's */
	u32 submitter_busy;	/* for so many batches */
	u32 busy_span;
	union {
		struct io_comp_batch end_batch;
		struct bio_list end_bios;
	};
	call_single_data_t end_call;
};

/* Why pending requests are not delivered although a server would take them. */
#define BUSE_HOLD_MEMORY	(1U << 0)	/* data memory is short */
#define BUSE_HOLD_QUIESCED	(1U << 1)

struct buse_queue {
	struct buse_device *dev;
	void *map;		/* the shared memory, map_bytes long */
	struct buse_tag *tags;
	struct buse_lane *lanes;
	u32 nr_lanes;
	u32 mask;		/* of the rings and the FIFO of pending tags */
	u32 data_offset;	/* as in the device */
	bool polled;		/* its completions are taken by the clients' polls */
	struct buse_extent *extents;	/* one per tag; NULL: not ordered */
	struct buse_bio *bios;	/* one per tag; NULL: the block layer's requests */
	u64 (*latency)[BUSE_NR_BUCKETS];	/* under lock */
	struct mutex succession;

	spinlock_t lock ____cacheline_aligned_in_smp;
	bool served;		/* a lane has a server */
	bool failing;		/* park limit ran out: new I/O fails */
	bool dead;		/* forced stop: all I/O fails, for good */
	bool special;		/* several lanes, or ordered */
	u32 hold;		/* BUSE_HOLD_* */
	u32 pending_head;	/* FIFO of pending tags */
	u32 pending_count;
	u32 nr_copying;
	u32 nr_accepting;	/* lanes */
	u16 *pending;
	unsigned long *chunk_map;
	unsigned long *kept_map;	/* chunks in use by a former server's I/O */
	u32 nr_kept;		/* chunks and slots */
	unsigned long parked_at;	/* jiffies */
	u64 redelivered;
	u64 stale_completions;
	u64 completed;
	u64 held;
	u16 *free_tags;		/* for bios: a stack */
	u32 nr_free;
	wait_queue_head_t tag_wait;
};

enum buse_fault {
	BUSE_FAULT_FAIL,
	BUSE_FAULT_DELAY,
	BUSE_FAULT_DROP_REQUEST,
	BUSE_FAULT_DROP_COMPLETION,
	BUSE_FAULTS,
};

struct buse_fault_rule {
	u32 period;		/* 0: off */
	u32 ms;
	bool once;		/* only the event number `period` */
	atomic_t seen;
	atomic_t hits;
};

struct buse_device {
	struct kref ref;	/* registry, server files, disk */
	u32 index;
	bool known;		/* under registry_lock: others may find it */
	char name[BUSE_NAME_LEN];
	struct buse_params params;

	/* Layout of each queue's shared memory, fixed at creation. */
	u32 ring_entries;
	u32 lane_bytes;		/* header and rings of each lane, then data */
	u32 sq_offset;		/* from the start of the lane */
	u32 cq_offset;
	u32 data_offset;	/* slots, one per tag; chunks follow */
	u32 chunk_offset;
	u32 nr_chunks;
	size_t map_bytes;

	struct mutex mutex;
	bool stopped;		/* under mutex */
	bool stopping;		/* under disk->open_mutex: refuse opens */
	bool dying;		/* DESTROY was called */
	struct gendisk *disk;	/* under mutex */
	struct blk_mq_tag_set tag_set;	/* not for bios */
	unsigned int *queue_of;	/* by CPU, for bios */
	struct work_struct scan_work;
	struct delayed_work park_work;
	struct delayed_work pins_work;
	struct mutex quiesce_mutex;	/* changes of quiesce */
	u32 quiesce;			/* odd: quiesced; counts */
	wait_queue_head_t quiesce_wait;
	atomic64_t sequence;
	struct buse_order *order;	/* NULL: not ordered */
	bool histograms;	/* record latencies */

	struct buse_queue *queues;

	struct buse_fault_rule faults[BUSE_FAULTS];
	struct dentry *fault_dir;
};

enum buse_file_state {
	BUSE_FILE_STANDBY,	/* not its turn yet */
	BUSE_FILE_ACTIVE,	/* its lane's server */
	BUSE_FILE_RELEASED,	/* the same, but gets nothing new */
	BUSE_FILE_STALE,	/* cut off: a successor took over */
	BUSE_FILE_BROKEN,	/* cut off: broke the protocol */
};

/* One open file of /dev/busecN. */
struct buse_file {
	struct buse_device *dev;
	struct mutex mutex;	/* serialises ATTACH */
	struct buse_lane *lane;	/* set once */
	u32 head;		/* the server's SQ head in its last ENTER */
	u8 state;		/* under queue->lock */
	/* Its mappings are in an address space of their own, to be revoked. */
	struct address_space mapping;
	struct rw_semaphore map_lock;
	bool revoked;		/* under map_lock */
};

extern struct workqueue_struct *buse_wq;

/* registry.c */
int buse_registry_init(void);
void buse_registry_exit(void);
int buse_registry_add(struct buse_device *dev, u32 index);
void buse_registry_remove(struct buse_device *dev);
struct buse_device *buse_registry_get(u32 index);
int buse_registry_list(struct buse_list *list);
dev_t buse_server_devt(const struct buse_device *dev);

/* params.c */
int buse_params_check(struct buse_params *params);

/* device.c */
struct buse_device *buse_device_alloc(const struct buse_info *info);
void buse_device_put(struct buse_device *dev);
void buse_device_wait_all_gone(void);
int buse_device_start(struct buse_device *dev);
int buse_device_stop(struct buse_device *dev, bool force);
int buse_device_destroy(struct buse_device *dev);
int buse_device_resize(struct buse_device *dev, u64 size_bytes);
void buse_device_info(struct buse_device *dev, struct buse_info *info);
void buse_device_parked(struct buse_device *dev);
int buse_device_set_policy(struct buse_device *dev, u64 park_limit_ms);

/* quiesce.c */
int buse_device_quiesce(struct buse_device *dev, u64 timeout_ms);
void buse_device_unquiesce(struct buse_device *dev);
void buse_queue_idle(struct buse_queue *q);

/* disk.c */
int buse_disk_add(struct buse_device *dev);
void buse_disk_remove(struct buse_device *dev);
int buse_disk_claim_idle(struct buse_device *dev);
void buse_disk_scan(struct work_struct *work);

/* queue.c */
extern const struct blk_mq_ops buse_mq_ops;
int buse_queue_init(struct buse_device *dev, u32 index);
void buse_queue_free(struct buse_queue *q);
void buse_queue_kick(struct buse_queue *q);
void buse_lane_wake(struct buse_lane *lane);

/* deliver.c */
void buse_lane_deliver_pending(struct buse_lane *lane, bool may_sleep);

/* pending.c */
void buse_pending_sort(struct buse_queue *q);
void buse_queue_end(struct buse_queue *q, struct request *rq,
		    blk_status_t status);
void buse_request_fail(struct buse_queue *q, struct request *rq);
void buse_queue_fail(struct buse_queue *q);

/* succession.c */
int buse_file_attach(struct buse_file *file, struct buse_queue *q, u32 flags,
		     u32 lane_nr);
void buse_file_detach(struct buse_file *file);
int buse_file_release(struct buse_file *file);
bool buse_file_break(struct buse_file *file);
int buse_file_error(struct buse_file *file);

/* mapping.c */
void buse_mapping_init(struct buse_file *file, struct file *filp);
int buse_mmap(struct file *filp, struct vm_area_struct *vma);
void buse_mapping_revoke(struct buse_file *file);

/* complete.c */
int buse_lane_drain(struct buse_lane *lane);
int buse_lane_poll(struct buse_lane *lane, struct io_comp_batch *iob);

/* away.c */
void buse_away_init(struct buse_lane *lane);
bool buse_away_claim(struct buse_lane *lane);
bool buse_away_send(struct buse_lane *lane, unsigned int cpu);

/* bio.c */
void buse_submit_bio(struct bio *bio);
void buse_bio_end(struct buse_queue *q, struct request *rq, blk_status_t status);
void buse_bio_end_list(struct bio_list *list);
void buse_bio_end_batch(struct buse_lane *lane, u32 n, bool copy, bool idle);
void buse_bio_drain(struct buse_device *dev);
int buse_bio_init(struct buse_device *dev);
int buse_bio_init_queue(struct buse_queue *q);
void buse_bio_free(struct buse_device *dev);
void buse_bio_free_queue(struct buse_queue *q);

/* poll.c */
void buse_map_cpus(struct blk_mq_queue_map *map);
void buse_map_queues(struct blk_mq_tag_set *set);
int buse_poll_hctx(struct blk_mq_hw_ctx *hctx, struct io_comp_batch *iob);

/* order.c */
int buse_order_init(struct buse_device *dev);
int buse_order_init_queue(struct buse_queue *q);
void buse_order_free(struct buse_device *dev);
void buse_order_free_queue(struct buse_queue *q);
bool buse_order_enter(struct buse_queue *q, u32 tag_nr);
void buse_order_leave(struct buse_queue *q, u32 tag_nr);
bool buse_order_claim(struct buse_queue *q, u32 tag_nr);

/* stats.c */
void buse_stats_init(struct buse_device *dev);
int buse_stats_init_queue(struct buse_queue *q);
void buse_stats_free_queue(struct buse_queue *q);
void buse_stats_record(struct buse_queue *q, struct request *rq, u64 now);
ssize_t buse_stats_show(struct buse_device *dev, char *buf);

/* pool.c */
bool buse_pool_get_chunks(struct buse_queue *q, struct buse_tag *tag, u32 bytes);
void buse_pool_put(struct buse_queue *q, struct buse_tag *tag);
void buse_pool_copy(struct buse_queue *q, struct buse_tag *tag, bool to_server);

/* ranges.c */
void buse_ranges_fill(struct request *rq, struct buse_range *to);

/* sysfs.c */
extern const struct attribute_group *buse_disk_groups[];

/* pins.c */
void buse_pins_keep(struct buse_queue *q, u32 tag_nr);
void buse_pins_work(struct work_struct *work);

/* server.c */
extern const struct file_operations buse_server_fops;

/* fault.c */
DECLARE_STATIC_KEY_FALSE(buse_faults_on);
bool buse_fault_hit(struct buse_device *dev, enum buse_fault kind, u32 count);
void buse_fault_delay_now(struct buse_device *dev, u32 completions);
bool buse_fault_alloc(void);
void buse_fault_add(struct buse_device *dev);
void buse_fault_remove(struct buse_device *dev);
void buse_fault_init(void);
void buse_fault_exit(void);

/* control.c */
int buse_control_init(void);
void buse_control_exit(void);

/* Does the disk take bios as they come? See bio.c. */
static inline bool buse_takes_bios(const struct buse_device *dev)
{
	return dev->params.attributes & BUSE_ATTR_BIO;
}

static inline bool buse_fault(struct buse_queue *q, enum buse_fault kind)
{
	return static_branch_unlikely(&buse_faults_on) &&
	       buse_fault_hit(q->dev, kind, 1);
}

/* An allocation that a test can make fail. */
#define BUSE_ALLOC(expression)	(buse_fault_alloc() ? NULL : (expression))

/*
 * Around the end of requests. Bottom halves are off so that a final fput() in a
 * completion is left to a work item: run in the server's own task it could
 * close the disk and wait for the server. Polled bios are the client's to
 * finish, and must not be ended with bottom halves off.
 */
static inline void buse_end_begin(struct buse_queue *q)
{
	if (likely(!q->polled))
		local_bh_disable();
}

static inline void buse_end_finish(struct buse_queue *q)
{
	if (likely(!q->polled))
		local_bh_enable();
}

/* Appends to the FIFO of pending requests. Under q->lock. */
static inline void buse_pending_push(struct buse_queue *q, u32 tag_nr)
{
	u32 at = (q->pending_head + q->pending_count) & q->mask;

	q->tags[tag_nr].state = BUSE_TAG_PENDING;
	q->pending[at] = tag_nr;
	WRITE_ONCE(q->pending_count, q->pending_count + 1);
}

/* Would ENTER have something for a server whose SQ head is this? */
static inline bool buse_lane_ready(struct buse_lane *lane, u32 head)
{
	struct buse_queue *q = lane->queue;

	return READ_ONCE(lane->published) != head ||
	       (READ_ONCE(q->pending_count) && !READ_ONCE(q->hold) &&
		READ_ONCE(lane->accepts));
}

/* Wakes the server if it sleeps; after publishing, without q->lock. */
static inline void buse_lane_kick(struct buse_lane *lane)
{
	/*
	 * Pairs with the barrier between setting need_wake and looking for
	 * work in buse_wait() and buse_poll(): either they see the work or we
	 * see need_wake.
	 */
	smp_mb();
	if (READ_ONCE(lane->need_wake))
		buse_lane_wake(lane);
}

/*
 * Delivers pending requests as far as data memory reaches. By the server, or,
 * without sleeping, by who polls.
 */
static inline void buse_lane_deliver(struct buse_lane *lane, bool may_sleep)
{
	if (READ_ONCE(lane->queue->pending_count))
		buse_lane_deliver_pending(lane, may_sleep);
}

#endif /* BUSE_CORE_H */
