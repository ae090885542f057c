// SPDX-License-Identifier: Apache-2.0
#include "drivers/sdk/transport/buse_server.h"

#include <poll.h>

#include <bit>
#include <cerrno>
#include <cstring>
#include <thread>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "drivers/sdk/check.h"
#include "drivers/sdk/geometry.h"
#include "drivers/sdk/transport/kernel_order.h"

namespace diskd::sdk {
namespace {

// With nothing else to run, spinning this long before sleeping quadruples the rate at queue
// depth 1; the kernel stops as soon as another task wants the CPU. On one CPU the submitter can't
// run meanwhile, so there is nothing to spin for.
constexpr uint64_t kSpinMicroseconds = 50;

// The ring's indices are shared with the kernel.
uint32_t LoadAcquire(const uint32_t& word) {
  return std::atomic_ref(const_cast<uint32_t&>(word)).load(std::memory_order_acquire);
}
void StoreRelease(uint32_t& word, uint32_t value) {
  std::atomic_ref(word).store(value, std::memory_order_release);
}

}  // namespace

struct BuseQueueServer::Slot final : Request {
  Slot(BuseQueueServer* server, uint16_t tag)
      : Request([](Request* request, int error) {
          auto* slot = static_cast<Slot*>(request);
          slot->server->Answer(*slot, error);
        }),
        server(server),
        tag(tag) {}

  BuseQueueServer* const server;
  const uint16_t tag;
  uint32_t generation = 0;
  bool in_flight = false;
};

BuseQueueServer::BuseQueueServer(std::unique_ptr<BuseQueue> kernel, int index, Driver& driver)
    : kernel_(std::move(kernel)), index_(index), driver_(driver), geometry_(driver.geometry()) {}

BuseQueueServer::~BuseQueueServer() = default;

absl::Status BuseQueueServer::CheckLayout() const {
  const uint64_t sq_end = layout_.sq_offset + uint64_t{layout_.ring_entries} * sizeof(buse_request);
  const uint64_t cq_end =
      layout_.cq_offset + uint64_t{layout_.ring_entries} * sizeof(buse_completion);
  if (std::has_single_bit(layout_.ring_entries) && layout_.queue_depth > 0 &&
      layout_.queue_depth <= layout_.ring_entries && sq_end <= layout_.map_bytes &&
      cq_end <= layout_.map_bytes &&
      layout_.header_offset + sizeof(buse_ring_header) <= layout_.map_bytes) {
    return absl::OkStatus();
  }
  return absl::InternalError("the buse module gave an impossible queue layout");
}

absl::Status BuseQueueServer::Open() {
  ASSIGN_OR_RETURN(layout_, kernel_->Attach(index_));
  RETURN_IF_ERROR(CheckLayout());
  ASSIGN_OR_RETURN(memory_, kernel_->Map(layout_.map_bytes));
  header_ = reinterpret_cast<buse_ring_header*>(memory_ + layout_.header_offset);
  requests_ = reinterpret_cast<const buse_request*>(memory_ + layout_.sq_offset);
  completions_ = reinterpret_cast<buse_completion*>(memory_ + layout_.cq_offset);
  mask_ = layout_.ring_entries - 1;
  for (uint32_t tag = 0; tag < layout_.queue_depth; ++tag) {
    slots_.push_back(std::make_unique<Slot>(this, static_cast<uint16_t>(tag)));
  }
  if (std::thread::hardware_concurrency() > 1) {
    spin_flags_ = kSpinMicroseconds << BUSE_ENTER_SPIN_SHIFT;
  }
  io_ = std::make_unique<RingQueueIo>(layout_.queue_depth);
  ASSIGN_OR_RETURN(queue_, driver_.OpenQueue(index_, *io_));
  sync_driver_ = queue_->sync_driver();
  return absl::OkStatus();
}

void BuseQueueServer::Close() {
  queue_.reset();
  io_.reset();
  // The last close of a queue's file parks the queue: the kernel keeps what is unanswered.
  kernel_.reset();
}

bool BuseQueueServer::AwaitTurn(const std::atomic<bool>& stop) {
  while (!stop.load(std::memory_order_relaxed)) {
    const int error = kernel_->Enter(head_);
    if (error == EINTR) continue;
    error_ = error;
    return true;
  }
  return false;
}

absl::Status BuseQueueServer::Serve(const std::atomic<bool>& stop) {
  if (kernel_->standby() && !AwaitTurn(stop)) return absl::OkStatus();
  for (;;) {
    const bool accepting = error_ == 0 && !stop.load(std::memory_order_relaxed);
    if (!accepting && in_flight_ == 0) break;
    if (accepting) TellAnswers();
    if (accepting && error_ == 0 && Drain()) queue_->CommitBatch();
    Publish();
    Check(in_flight_ == 0 || io_->started(),
          "a driver that has not started QueueIo must answer within Submit or CommitBatch");
    if (in_flight_ > 0) {
      WaitInRing(accepting);
    } else if (accepting) {
      Enter(spin_flags_);
    }
  }
  Publish();
  if (error_ == 0 && entered_cq_ != cq_tail_) Enter(BUSE_ENTER_NOWAIT);
  if (error_ == 0) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat("the buse device has ended the service: ", strerror(error_),
                   error_ == EPROTO ? " (a bug of this server: please report it)" : ""));
}

// A driver may wait in place for a request that comes alone. What it has answered before must not
// wait with it.
void BuseQueueServer::TellAnswers() {
  const bool told = entered_cq_ == cq_tail_;
  if (sync_driver_ != nullptr || in_flight_ > 0 || told) return;
  if (LoadAcquire(header_->sq_tail) == head_) return;  // the next ENTER tells
  Publish();
  Enter(BUSE_ENTER_NOWAIT);
}

bool BuseQueueServer::Drain() {
  const uint32_t tail = LoadAcquire(header_->sq_tail);
  if (tail == head_) return false;
  AfterRequest();
  do {
    const buse_request& published = requests_[head_ & mask_];
    if (sync_driver_ != nullptr && published.op <= BUSE_OP_WRITE) {
      Complete(published, Transfer(published));
    } else {
      Dispatch(published);
    }
    ++head_;
  } while (head_ != tail);
  return true;
}

inline int BuseQueueServer::Transfer(const buse_request& published) {
  static_assert(BUSE_OP_READ == 0 && BUSE_OP_WRITE == 1);
  const uint64_t offset = published.offset;
  const uint32_t length = published.length;
  if (!IsRangeOfDisk(geometry_, offset, length) ||
      uint64_t{published.data_offset} + length > layout_.map_bytes) [[unlikely]] {
    return EINVAL;
  }
  std::byte* const data = memory_ + published.data_offset;
  if (published.op == BUSE_OP_READ) return sync_driver_->Read(offset, {data, length});
  if (geometry_.read_only) [[unlikely]]
    return EROFS;
  return sync_driver_->Write(offset, {data, length}, (published.flags & BUSE_REQ_FUA) != 0);
}

inline void BuseQueueServer::Complete(const buse_request& published, int error) {
  counters_.Count(published.op == BUSE_OP_READ ? Op::kRead : Op::kWrite, published.length, error);
  buse_completion& completion = completions_[cq_tail_ & mask_];
  completion.generation = published.generation;
  completion.tag = published.tag;
  completion.result = -error;
  ++cq_tail_;
}

void BuseQueueServer::Dispatch(const buse_request& published) {
  Check(published.tag < slots_.size(), "the kernel used a tag above the queue depth");
  Slot& slot = *slots_[published.tag];
  Check(!slot.in_flight, "the kernel used a tag twice");
  slot.in_flight = true;
  ++in_flight_;
  slot.generation = published.generation;
  slot.fua = (published.flags & BUSE_REQ_FUA) != 0;
  slot.no_unmap = (published.flags & BUSE_REQ_NO_UNMAP) != 0;
  slot.length = published.length;
  slot.offset = published.offset;
  slot.data = nullptr;
  slot.driver_data = nullptr;
  switch (published.op) {
    case BUSE_OP_READ:
    case BUSE_OP_WRITE:
      slot.op = published.op == BUSE_OP_READ ? Op::kRead : Op::kWrite;
      slot.data = memory_ + published.data_offset;
      if (uint64_t{published.data_offset} + published.length > layout_.map_bytes) {
        return Answer(slot, EINVAL);
      }
      break;
    case BUSE_OP_FLUSH:
      slot.op = Op::kFlush;
      slot.length = 0;
      break;
    case BUSE_OP_DISCARD:
      slot.op = Op::kDiscard;
      break;
    case BUSE_OP_WRITE_ZEROES:
      slot.op = Op::kWriteZeroes;
      break;
    default:
      return Answer(slot, EOPNOTSUPP);
  }
  const int error = CheckRequest(geometry_, slot);
  if (error != 0) return Answer(slot, error);
  queue_->Submit(slot);
}

void BuseQueueServer::Answer(Slot& slot, int error) {
  Check(slot.in_flight, "a request was completed twice");
  slot.in_flight = false;
  --in_flight_;
  counters_.Count(slot.op, slot.length, error);
  buse_completion& completion = completions_[cq_tail_ & mask_];
  completion = {.generation = slot.generation, .tag = slot.tag, .result = -error};
  ++cq_tail_;
}

void BuseQueueServer::Publish() {
  BeforeAnswer();
  StoreRelease(header_->cq_tail, cq_tail_);
}

void BuseQueueServer::Enter(uint64_t flags) {
  const uint32_t published = cq_tail_;
  const int error = kernel_->Enter(head_ | flags);
  if (error == 0 || error == EINTR) {
    if (error == 0) entered_cq_ = published;
    return;
  }
  error_ = error;
}

void BuseQueueServer::WaitInRing(bool accepting) {
  // Tells the kernel the head, which the descriptor's readiness is measured against, and the
  // completions; then nothing published can be missed by the poll.
  if (error_ == 0) Enter(BUSE_ENTER_NOWAIT);
  accepting = accepting && error_ == 0;
  const bool more = accepting && LoadAcquire(header_->sq_tail) != head_;
  if (accepting && !more && !poll_armed_) {
    poll_armed_ = true;
    poll_.server = this;
    poll_.done = [](IoOperation* operation, int) {
      static_cast<PollOperation*>(operation)->server->poll_armed_ = false;
    };
    io_uring_sqe* sqe = io_->Prepare(&poll_);
    io_uring_prep_poll_add(sqe, kernel_->poll_fd(), POLLIN);
    io_->SetOperation(sqe, &poll_);
  }
  io_->SubmitAndReap(!more);
}

}  // namespace diskd::sdk
