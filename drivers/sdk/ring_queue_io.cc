// SPDX-License-Identifier: Apache-2.0
#include "drivers/sdk/ring_queue_io.h"

#include <algorithm>
#include <bit>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "drivers/sdk/check.h"

namespace diskd::sdk {
namespace {

// A request may take more than one operation (a short write, a write and its fsync).
constexpr int kOperationsPerRequest = 2;
constexpr unsigned kMinEntries = 8;
constexpr unsigned kMaxEntries = 4096;
// Rounds of submitting in which the kernel may be short of memory before the queue gives up.
constexpr int kMaxSubmitRounds = 1'000'000;

// Best first; older kernels refuse unknown flags with EINVAL.
constexpr unsigned kSetupFlags[] = {
    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN,  // Linux 6.0
    IORING_SETUP_COOP_TASKRUN,                               // Linux 5.19
    0,
};

}  // namespace

RingQueueIo::~RingQueueIo() {
  if (started_) io_uring_queue_exit(&ring_);
}

absl::Status RingQueueIo::Start() {
  if (started_) return absl::OkStatus();
  const unsigned wanted = static_cast<unsigned>(queue_depth_) * kOperationsPerRequest;
  const unsigned entries = std::clamp(std::bit_ceil(wanted), kMinEntries, kMaxEntries);
  int error = EINVAL;
  for (const unsigned flags : kSetupFlags) {
    io_uring_params params{};
    params.flags = flags | IORING_SETUP_CQSIZE;
    params.cq_entries = entries * 4;
    error = -io_uring_queue_init_params(entries, &ring_, &params);
    if (error != EINVAL) break;
  }
  if (error == 0) {
    started_ = true;
    return absl::OkStatus();
  }
  if (error == ENOSYS || error == EPERM || error == EACCES) {
    return absl::FailedPreconditionError(
        absl::StrCat("io_uring is not available (errno ", error,
                     "): set sysctl kernel.io_uring_disabled=0 and allow io_uring_setup in the "
                     "container's seccomp profile, or use a synchronous driver"));
  }
  return ErrnoStatus(error, "create an io_uring");
}

io_uring_sqe* RingQueueIo::Prepare(IoOperation* operation) {
  Check(started_, "QueueIo::Prepare() before a successful QueueIo::Start()");
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  for (int round = 0; sqe == nullptr; ++round) {
    Check(round < kMaxSubmitRounds, "the io_uring stays full");
    io_uring_submit(&ring_);
    sqe = io_uring_get_sqe(&ring_);
  }
  io_uring_sqe_set_data(sqe, operation);
  return sqe;
}

void RingQueueIo::SetOperation(io_uring_sqe* sqe, IoOperation* operation) {
  io_uring_sqe_set_data(sqe, operation);
}

void RingQueueIo::SubmitAndReap(bool wait) {
  // Results that are there already must not be waited for.
  wait = wait && io_uring_cq_ready(&ring_) == 0;
  SubmitAndWait(wait ? 1 : 0);
  Reap();
}

void RingQueueIo::SubmitAndWait(unsigned results) {
  const int result = io_uring_submit_and_wait(&ring_, results);
  // EBUSY and EAGAIN: results must be taken, or memory freed, first; the entries stay queued.
  Check(result >= 0 || result == -EINTR || result == -EAGAIN || result == -EBUSY,
        "io_uring_enter failed");
}

void RingQueueIo::Reap() {
  io_uring_cqe* cqe;
  while (io_uring_peek_cqe(&ring_, &cqe) == 0) {
    auto* operation = static_cast<IoOperation*>(io_uring_cqe_get_data(cqe));
    const int result = cqe->res;
    // Before done(): it may prepare more operations, whose results need the room.
    io_uring_cqe_seen(&ring_, cqe);
    operation->done(operation, result);
  }
}

}  // namespace diskd::sdk
