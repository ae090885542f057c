/* SPDX-License-Identifier: GPL-2.0-only */
/* What a server is told of a request: operation and flags. */
#ifndef BUSE_REQUEST_H
#define BUSE_REQUEST_H

#include "core.h"

static inline int buse_op_of(struct request *rq)
{
	int op = (__force int)req_op(rq);

	/* The same numbers. */
	BUILD_BUG_ON((__force int)REQ_OP_READ ^ BUSE_OP_READ);
	BUILD_BUG_ON((__force int)REQ_OP_WRITE ^ BUSE_OP_WRITE);
	if (likely(op <= BUSE_OP_WRITE))
		return op;
	switch (req_op(rq)) {
	case REQ_OP_FLUSH:
		return BUSE_OP_FLUSH;
	case REQ_OP_DISCARD:
		return BUSE_OP_DISCARD;
	case REQ_OP_WRITE_ZEROES:
		return BUSE_OP_WRITE_ZEROES;
	case REQ_OP_SECURE_ERASE:
		return BUSE_OP_SECURE_ERASE;
	default:
		return -EOPNOTSUPP;
	}
}

#define BUSE_CMD_FLAGS	(REQ_FUA | REQ_NOUNMAP | REQ_META | REQ_SWAP | \
			 REQ_FAILFAST_MASK | REQ_RAHEAD)

static inline u8 buse_rare_flags_of(struct request *rq)
{
	u8 flags = 0;

	if (rq->cmd_flags & REQ_FUA)
		flags |= BUSE_REQ_FUA;
	if (req_op(rq) == REQ_OP_WRITE_ZEROES && (rq->cmd_flags & REQ_NOUNMAP))
		flags |= BUSE_REQ_NO_UNMAP;
	if (rq->cmd_flags & REQ_META)
		flags |= BUSE_REQ_META;
	if (rq->cmd_flags & REQ_SWAP)
		flags |= BUSE_REQ_SWAP;
	if (rq->cmd_flags & REQ_FAILFAST_MASK)
		flags |= BUSE_REQ_FAILFAST;
	if (rq->cmd_flags & REQ_RAHEAD)
		flags |= BUSE_REQ_READAHEAD;
	return flags;
}

#endif /* BUSE_REQUEST_H */
