// SPDX-License-Identifier: Apache-2.0
#include "drivers/file/file_queue.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

#include "absl/time/clock.h"

namespace diskd::file_driver {
namespace {

constexpr int kMaxRetries = 64;
constexpr int kPunch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
constexpr int kZero = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;

}  // namespace

FileQueue::FileQueue(int fd, bool prefer_allocated, sdk::QueueIo& io)
    : fd_(fd), prefer_allocated_(prefer_allocated), io_(io), operations_(io.queue_depth()) {
  free_.reserve(operations_.size());
  for (Operation& operation : operations_) {
    operation.queue = this;
    operation.done = [](sdk::IoOperation* done, int result) {
      auto* finished = static_cast<Operation*>(done);
      finished->queue->Done(*finished, result);
    };
    free_.push_back(&operation);
  }
}

void FileQueue::Submit(sdk::Request& request) {
  const bool moves = request.op == sdk::Op::kRead || request.op == sdk::Op::kWrite;
  const bool here = lone_.InPlace(free_.size() == operations_.size());
  Operation& operation = *free_.back();
  free_.pop_back();
  operation.request = &request;
  operation.moved = 0;
  operation.retries = 0;
  operation.alternative = false;
  operation.syncing = false;
  if (here && (moves || request.op == sdk::Op::kFlush)) {
    const absl::Time begin = absl::Now();
    const int result = Perform(request);
    lone_.Took(absl::Now() - begin);
    Done(operation, result);
  } else {
    Start(operation);
  }
}

int FileQueue::Perform(const sdk::Request& request) const {
  const iovec memory{request.data, request.length};
  const auto offset = static_cast<off_t>(request.offset);
  ssize_t result = 0;
  if (request.op == sdk::Op::kRead) {
    result = preadv2(fd_, &memory, 1, offset, 0);
  } else if (request.op == sdk::Op::kWrite) {
    result = pwritev2(fd_, &memory, 1, offset, request.fua ? RWF_DSYNC : 0);
  } else {
    result = fdatasync(fd_);
  }
  return result < 0 ? -errno : static_cast<int>(result);
}

void FileQueue::Start(Operation& operation) {
  const sdk::Request& request = *operation.request;
  io_uring_sqe* sqe = io_.Prepare(&operation);
  switch (operation.syncing ? sdk::Op::kFlush : request.op) {
    case sdk::Op::kRead:
      io_uring_prep_read(sqe, fd_, request.data + operation.moved, request.length - operation.moved,
                         request.offset + operation.moved);
      break;
    case sdk::Op::kWrite:
      io_uring_prep_write(sqe, fd_, request.data + operation.moved,
                          request.length - operation.moved, request.offset + operation.moved);
      if (request.fua) sqe->rw_flags = RWF_DSYNC;
      break;
    case sdk::Op::kFlush:
      io_uring_prep_fsync(sqe, fd_, IORING_FSYNC_DATASYNC);
      break;
    case sdk::Op::kDiscard:
      io_uring_prep_fallocate(sqe, fd_, kPunch, static_cast<off_t>(request.offset), request.length);
      break;
    case sdk::Op::kWriteZeroes:
      PrepareZeroes(sqe, operation);
      break;
  }
  io_.SetOperation(sqe, &operation);
}

void FileQueue::PrepareZeroes(io_uring_sqe* sqe, const Operation& operation) const {
  const sdk::Request& request = *operation.request;
  const bool zero_first = request.no_unmap || prefer_allocated_;
  const int mode = zero_first != operation.alternative ? kZero : kPunch;
  io_uring_prep_fallocate(sqe, fd_, mode, static_cast<off_t>(request.offset), request.length);
}

void FileQueue::Done(Operation& operation, int result) {
  if (Continue(operation, result)) return;
  const bool moves =
      operation.request->op == sdk::Op::kRead || operation.request->op == sdk::Op::kWrite;
  // Nothing moved: the file has been cut behind our back.
  if (result == 0 && moves && operation.moved < operation.request->length) result = -EIO;
  Finish(operation, result < 0 ? -result : 0);
}

bool FileQueue::Continue(Operation& operation, int result) {
  const sdk::Request& request = *operation.request;
  if (result == -EINTR || result == -EAGAIN) {
    if (++operation.retries > kMaxRetries) return false;
  } else if (request.op == sdk::Op::kWriteZeroes && !operation.syncing) {
    if (result == -EOPNOTSUPP && !operation.alternative) {
      operation.alternative = true;
    } else if (result == 0 && request.fua) {
      operation.syncing = true;
    } else {
      return false;
    }
  } else if (result > 0) {
    operation.moved += static_cast<uint32_t>(result);
    if (operation.moved >= request.length) return false;
  } else {
    return false;
  }
  Start(operation);
  return true;
}

void FileQueue::Finish(Operation& operation, int error) {
  sdk::Request& request = *operation.request;
  free_.push_back(&operation);
  request.Complete(error);
}

}  // namespace diskd::file_driver
