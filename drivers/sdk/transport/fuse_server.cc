// SPDX-License-Identifier: Apache-2.0
#include "drivers/sdk/transport/fuse_server.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/status_macros.h"
#include "drivers/sdk/check.h"
#include "drivers/sdk/device/fuse_device.h"
#include "drivers/sdk/geometry.h"
#include "drivers/sdk/transport/kernel_order.h"

namespace diskd::sdk {
namespace {

constexpr size_t kPage = 4096;
// What precedes the data of a WRITE; received so that the data itself is page-aligned, as
// O_DIRECT needs it.
constexpr size_t kHeaderBytes = sizeof(fuse_in_header) + sizeof(fuse_write_in);
// The kernel refuses to be read with less room than its largest request needs, so each receive
// needs a large slot; most requests are small. 6 MiB per descriptor.
constexpr int kLargeSlots = 4;
constexpr int kSmallSlots = 28;
constexpr size_t kSmallPayload = 64 * 1024;
constexpr int kQueueDepth = kLargeSlots + kSmallSlots;

}  // namespace

struct FuseQueueServer::Slot final : Request {
  Slot(FuseQueueServer* server, std::byte* memory, size_t capacity, std::vector<Slot*>* home)
      : Request([](Request* request, int error) {
          auto* slot = static_cast<Slot*>(request);
          slot->server->Answer(*slot, error);
        }),
        server(server),
        payload(memory + kPage),
        capacity(capacity),
        home(home) {}

  std::byte* start() const { return payload - kHeaderBytes; }
  size_t room() const { return kHeaderBytes + capacity; }

  FuseQueueServer* const server;
  std::byte* const payload;
  const size_t capacity;
  std::vector<Slot*>* const home;
  uint64_t unique = 0;
  bool in_flight = false;
};

absl::Status RequestFuseResend(int fd) {
  fuse_out_header header{.len = sizeof(header), .error = kFuseNotifyResend, .unique = 0};
  if (write(fd, &header, sizeof(header)) == sizeof(header)) return absl::OkStatus();
  if (errno == EINVAL) {
    return absl::UnimplementedError(
        "this kernel (before 6.9) can't send unanswered FUSE requests again: abort the connection");
  }
  return ErrnoStatus(errno, "ask the kernel to send unanswered FUSE requests again");
}

FuseQueueServer::FuseQueueServer(int fd, int index, Driver& driver)
    : fd_(fd), index_(index), driver_(driver), geometry_(driver.geometry()), io_(kQueueDepth) {}

FuseQueueServer::~FuseQueueServer() = default;

absl::Status FuseQueueServer::AddSlots(int count, size_t payload_bytes, std::vector<Slot*>& free) {
  const size_t stride = kPage + payload_bytes;
  ASSIGN_OR_RETURN(IoBuffer buffer, IoBuffer::Allocate(stride * count));
  for (int i = 0; i < count; ++i) {
    slots_.push_back(
        std::make_unique<Slot>(this, buffer.data() + stride * i, payload_bytes, &free));
    free.push_back(slots_.back().get());
  }
  buffers_.push_back(std::move(buffer));
  return absl::OkStatus();
}

absl::Status FuseQueueServer::Open() {
  ASSIGN_OR_RETURN(queue_, driver_.OpenQueue(index_, io_));
  const bool many = io_.started();
  RETURN_IF_ERROR(AddSlots(many ? kLargeSlots : 1, kFuseMaxIoBytes, free_large_));
  if (many) RETURN_IF_ERROR(AddSlots(kSmallSlots, kSmallPayload, free_small_));
  return absl::OkStatus();
}

void FuseQueueServer::Close() { queue_.reset(); }

absl::Status FuseQueueServer::Serve(const std::atomic<bool>& stop) {
  return io_.started() ? ServeWithRing(stop) : ServeBlocking(stop);
}

// The flags belong to the open file, which a predecessor, maybe another driver, used before.
void FuseQueueServer::SetBlocking(bool blocking) {
  if (blocking_ == blocking) return;
  const int flags = fcntl(fd_, F_GETFL);
  const int wanted = blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK;
  Check(flags >= 0 && fcntl(fd_, F_SETFL, wanted) == 0, "the FUSE descriptor's flags can't be set");
  blocking_ = blocking;
}

absl::Status FuseQueueServer::ServeBlocking(const std::atomic<bool>& stop) {
  Slot& slot = *free_large_.back();
  free_large_.pop_back();
  while (!stop.load(std::memory_order_relaxed)) {
    SetBlocking(true);
    size_t length;
    switch (Receive(slot, length)) {
      case Received::kRequest:
        Dispatch(slot, length);
        queue_->CommitBatch();
        Check(in_flight_ == 0,
              "a driver that has not started QueueIo must answer within Submit or CommitBatch");
        free_large_.clear();  // Answer has put the only slot back
        break;
      case Received::kNothing:
        break;
      case Received::kEnded:
        return absl::UnavailableError("the FUSE connection is gone");
    }
  }
  return absl::OkStatus();
}

absl::Status FuseQueueServer::ServeWithRing(const std::atomic<bool>& stop) {
  bool ended = false;
  for (;;) {
    const bool accepting = !ended && !stop.load(std::memory_order_relaxed);
    if (!accepting && in_flight_ == 0) break;
    Received received = Received::kNothing;
    if (accepting) received = ReceiveBatch(stop);
    ended |= received == Received::kEnded;
    // Without a free slot only results can help; they come as long as something is in flight.
    const bool wait = in_flight_ > 0 ? received != Received::kRequest || free_large_.empty()
                                     : received == Received::kNothing && !in_place_;
    if (wait && accepting && received == Received::kNothing) ArmPoll();
    io_.SubmitAndReap(wait);
  }
  return ended ? absl::UnavailableError("the FUSE connection is gone") : absl::OkStatus();
}

FuseQueueServer::Received FuseQueueServer::ReceiveBatch(const std::atomic<bool>& stop) {
  const bool wait = in_place_;
  if (wait) DisarmPoll();
  SetBlocking(wait);
  Received received = Received::kRequest;
  bool any = false;
  for (int i = 0; i < kQueueDepth && !free_large_.empty(); ++i) {
    Slot& slot = *free_large_.back();
    size_t length;
    received = Receive(slot, length);
    if (received != Received::kRequest) break;
    any = true;
    free_large_.pop_back();
    Dispatch(SlotFor(slot, length), length);
    if (stop.load(std::memory_order_relaxed)) break;
    if (wait && !MoreToReceive()) break;
    SetBlocking(false);
  }
  queue_->CommitBatch();
  in_place_ = in_flight_ == 0 && (any || in_place_);
  return received;
}

bool FuseQueueServer::MoreToReceive() const {
  pollfd watched{.fd = fd_, .events = POLLIN, .revents = 0};
  return poll(&watched, 1, 0) > 0;
}

void FuseQueueServer::ArmPoll() {
  if (poll_armed_) return;
  poll_armed_ = true;
  poll_.server = this;
  poll_.done = [](IoOperation* operation, int) {
    static_cast<PollOperation*>(operation)->server->poll_armed_ = false;
  };
  io_uring_sqe* sqe = io_.Prepare(&poll_);
  // Exclusive: a request wakes one of the disk's queues, not all of them.
  io_uring_prep_poll_add(sqe, fd_, POLLIN | EPOLLEXCLUSIVE);
  io_.SetOperation(sqe, &poll_);
}

// A watch that is left wakes this thread for every request, and arms itself again.
void FuseQueueServer::DisarmPoll() {
  while (poll_armed_) {
    if (poll_removal_.done == nullptr) {
      poll_removal_.done = [](IoOperation* operation, int) { operation->done = nullptr; };
      io_uring_sqe* sqe = io_.Prepare(&poll_removal_);
      io_uring_prep_poll_remove(sqe, reinterpret_cast<uintptr_t>(&poll_));
      io_.SetOperation(sqe, &poll_removal_);
    }
    io_.SubmitAndReap(true);
  }
  io_.Submit();
}

FuseQueueServer::Received FuseQueueServer::Receive(Slot& slot, size_t& length) {
  const ssize_t received = read(fd_, slot.start(), slot.room());
  if (received >= static_cast<ssize_t>(sizeof(fuse_in_header))) {
    length = received;
    AfterRequest();
    return Received::kRequest;
  }
  // ENOENT: the request was interrupted while it was being read.
  if (received < 0 && (errno == EINTR || errno == EAGAIN || errno == ENOENT)) {
    // Somebody else has set the flags.
    if (errno == EAGAIN && blocking_ == true) blocking_.reset();
    return Received::kNothing;
  }
  if (received < 0 && errno != ENODEV) {
    SPDLOG_ERROR("read from the FUSE descriptor: {}", strerror(errno));
  }
  return Received::kEnded;
}

FuseQueueServer::Slot& FuseQueueServer::SlotFor(Slot& received, size_t length) {
  fuse_in_header header;
  memcpy(&header, received.start(), sizeof(header));
  size_t needed = length;
  if (header.opcode == FUSE_READ && length >= sizeof(header) + sizeof(fuse_read_in)) {
    fuse_read_in in;
    memcpy(&in, received.start() + sizeof(header), sizeof(in));
    needed = std::max<size_t>(needed, in.size);
  }
  if (needed > kSmallPayload || free_small_.empty()) return received;
  Slot& small = *free_small_.back();
  free_small_.pop_back();
  memcpy(small.start(), received.start(), length);
  free_large_.push_back(&received);
  return small;
}

void FuseQueueServer::Dispatch(Slot& slot, size_t length) {
  fuse_in_header header;
  memcpy(&header, slot.start(), sizeof(header));
  const absl::Span<const std::byte> arguments(slot.start() + sizeof(header),
                                              length - sizeof(header));
  slot.unique = header.unique;
  slot.in_flight = true;
  ++in_flight_;
  switch (header.opcode) {
    case FUSE_READ:
    case FUSE_WRITE:
    case FUSE_FSYNC:
    case FUSE_FALLOCATE: {
      const int error = PrepareRequest(slot, header, arguments);
      // An empty read (at or behind the end) has nothing to ask the driver for.
      if (error != 0 || (slot.op == Op::kRead && slot.length == 0)) {
        Answer(slot, error);
      } else {
        queue_->Submit(slot);
      }
      return;
    }
    default:
      AnswerFuseTree(geometry_, header, arguments, answer_);
      if (answer_.wanted) Reply(slot.unique, answer_.error, answer_.body, answer_.length);
      slot.in_flight = false;
      --in_flight_;
      slot.home->push_back(&slot);
  }
}

int FuseQueueServer::PrepareRequest(Slot& slot, const fuse_in_header& header,
                                    absl::Span<const std::byte> arguments) {
  slot.fua = false;
  slot.no_unmap = false;
  slot.length = 0;
  slot.offset = 0;
  slot.data = nullptr;
  slot.driver_data = nullptr;
  if (header.opcode == FUSE_FSYNC) {
    slot.op = Op::kFlush;
    return 0;
  }
  if (header.opcode == FUSE_READ) {
    fuse_read_in in;
    slot.op = Op::kRead;
    if (arguments.size() < sizeof(in)) return EINVAL;
    memcpy(&in, arguments.data(), sizeof(in));
    if (in.size > slot.capacity) return EINVAL;
    if (in.offset >= geometry_.size_bytes) return 0;
    slot.offset = in.offset;
    slot.length = std::min<uint64_t>(in.size, geometry_.size_bytes - in.offset);
    slot.data = slot.payload;
  } else if (header.opcode == FUSE_WRITE) {
    fuse_write_in in;
    slot.op = Op::kWrite;
    if (arguments.size() < sizeof(in)) return EINVAL;
    memcpy(&in, arguments.data(), sizeof(in));
    if (in.size > arguments.size() - sizeof(in)) return EINVAL;
    slot.offset = in.offset;
    slot.length = in.size;
    slot.data = slot.payload;
  } else {
    fuse_fallocate_in in;
    slot.op = Op::kWriteZeroes;
    if (arguments.size() < sizeof(in)) return EINVAL;
    memcpy(&in, arguments.data(), sizeof(in));
    if (in.length > std::numeric_limits<uint32_t>::max()) return EINVAL;
    // The loop device sends a discard and a write of zeroes that may unmap as the same hole, and
    // the latter must read back as zeroes. Op::kDiscard promises nothing of the kind.
    if (in.mode == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)) {
      slot.no_unmap = false;
    } else if (in.mode == (FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE)) {
      slot.no_unmap = true;
    } else {
      return EOPNOTSUPP;
    }
    slot.offset = in.offset;
    slot.length = static_cast<uint32_t>(in.length);
  }
  return CheckRequest(geometry_, slot);
}

void FuseQueueServer::Answer(Slot& slot, int error) {
  Check(slot.in_flight, "a request was completed twice");
  slot.in_flight = false;
  --in_flight_;
  counters_.Count(slot.op, slot.length, error);
  if (error == 0 && slot.op == Op::kRead) {
    Reply(slot.unique, 0, slot.payload, slot.length);
  } else if (error == 0 && slot.op == Op::kWrite) {
    const fuse_write_out out{.size = slot.length, .padding = 0};
    Reply(slot.unique, 0, &out, sizeof(out));
  } else {
    Reply(slot.unique, error, nullptr, 0);
  }
  slot.home->push_back(&slot);
}

void FuseQueueServer::Reply(uint64_t unique, int error, const void* body, size_t length) {
  if (error != 0) length = 0;
  fuse_out_header header{
      .len = static_cast<uint32_t>(sizeof(header) + length), .error = -error, .unique = unique};
  iovec parts[] = {{&header, sizeof(header)}, {const_cast<void*>(body), length}};
  BeforeAnswer();
  ssize_t written;
  do {
    written = writev(fd_, parts, length == 0 ? 1 : 2);
  } while (written < 0 && errno == EINTR);
  // ENOENT: the kernel no longer waits (interrupted). ENODEV: the next read reports it.
  if (written < 0 && errno != ENOENT && errno != ENODEV) {
    SPDLOG_ERROR("answer FUSE request {:#x}: {}", unique, strerror(errno));
  }
}

}  // namespace diskd::sdk
