/* SPDX-License-Identifier: GPL-2.0-only */
/* Tracepoints: /sys/kernel/tracing/events/buse. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM buse

#if !defined(BUSE_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define BUSE_TRACE_H

#include <linux/tracepoint.h>

#include "core.h"

#define buse_show_op(op) \
	__print_symbolic(op, \
			 { BUSE_OP_READ, "read" }, \
			 { BUSE_OP_WRITE, "write" }, \
			 { BUSE_OP_FLUSH, "flush" }, \
			 { BUSE_OP_DISCARD, "discard" }, \
			 { BUSE_OP_WRITE_ZEROES, "write_zeroes" }, \
			 { BUSE_OP_SECURE_ERASE, "secure_erase" })

DECLARE_EVENT_CLASS(buse_delivery,
	TP_PROTO(const struct buse_queue *q, const struct buse_tag *tag, u8 op,
		 u64 offset, u32 length),
	TP_ARGS(q, tag, op, offset, length),
	TP_STRUCT__entry(
		__field(u32, device)
		__field(u32, queue)
		__field(u32, tag)
		__field(u32, generation)
		__field(u64, sequence)
		__field(u64, offset)
		__field(u32, length)
		__field(u8, op)
	),
	TP_fast_assign(
		__entry->device = q->dev->index;
		__entry->queue = q - q->dev->queues;
		__entry->tag = tag - q->tags;
		__entry->generation = tag->generation;
		__entry->sequence = tag->sequence;
		__entry->offset = offset;
		__entry->length = length;
		__entry->op = op;
	),
	TP_printk("buse%u queue=%u tag=%u generation=%u sequence=%llu op=%s offset=%llu length=%u",
		  __entry->device, __entry->queue, __entry->tag,
		  __entry->generation, __entry->sequence,
		  buse_show_op(__entry->op), __entry->offset, __entry->length)
);

/* A request goes to a server for the first time, and again. */
DEFINE_EVENT(buse_delivery, buse_deliver,
	TP_PROTO(const struct buse_queue *q, const struct buse_tag *tag, u8 op,
		 u64 offset, u32 length),
	TP_ARGS(q, tag, op, offset, length)
);
DEFINE_EVENT(buse_delivery, buse_redeliver,
	TP_PROTO(const struct buse_queue *q, const struct buse_tag *tag, u8 op,
		 u64 offset, u32 length),
	TP_ARGS(q, tag, op, offset, length)
);

/* The completion of a delivered request was taken; result as it will end. */
TRACE_EVENT(buse_complete,
	TP_PROTO(const struct buse_queue *q, const struct buse_tag *tag,
		 blk_status_t status),
	TP_ARGS(q, tag, status),
	TP_STRUCT__entry(
		__field(u32, device)
		__field(u32, queue)
		__field(u32, tag)
		__field(u32, generation)
		__field(u64, sequence)
		__field(int, result)
	),
	TP_fast_assign(
		__entry->device = q->dev->index;
		__entry->queue = q - q->dev->queues;
		__entry->tag = tag - q->tags;
		__entry->generation = tag->generation;
		__entry->sequence = tag->sequence;
		__entry->result = blk_status_to_errno(status);
	),
	TP_printk("buse%u queue=%u tag=%u generation=%u sequence=%llu result=%d",
		  __entry->device, __entry->queue, __entry->tag,
		  __entry->generation, __entry->sequence, __entry->result)
);

/* A queue took this many requests back from a server that is gone. */
TRACE_EVENT(buse_park,
	TP_PROTO(const struct buse_queue *q, u32 taken_back),
	TP_ARGS(q, taken_back),
	TP_STRUCT__entry(
		__field(u32, device)
		__field(u32, queue)
		__field(u32, taken_back)
	),
	TP_fast_assign(
		__entry->device = q->dev->index;
		__entry->queue = q - q->dev->queues;
		__entry->taken_back = taken_back;
	),
	TP_printk("buse%u queue=%u taken_back=%u",
		  __entry->device, __entry->queue, __entry->taken_back)
);

#endif /* BUSE_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
