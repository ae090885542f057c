// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/object_queue.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/time/clock.h"
#include "base/errno_status.h"
#include "base/log.h"
#include "drivers/object/runtime/posting_store.h"

namespace diskd::object {
namespace {

IoRequest ToIo(const sdk::Request& request) {
  IoRequest io;
  switch (request.op) {
    case sdk::Op::kRead:
      io.kind = RequestKind::kRead;
      break;
    case sdk::Op::kWrite:
      io.kind = RequestKind::kWrite;
      break;
    case sdk::Op::kFlush:
      io.kind = RequestKind::kFlush;
      break;
    case sdk::Op::kDiscard:
    case sdk::Op::kWriteZeroes:
      io.kind = RequestKind::kZero;
      break;
  }
  io.fua = request.fua;
  io.lba = request.offset / kBlockBytes;
  io.blocks = request.length / kBlockBytes;
  io.data = request.data;
  return io;
}

bool IsPlainWrite(const sdk::Request* request) {
  return request->op == sdk::Op::kWrite && !request->fua;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ObjectQueue>> ObjectQueue::Open(
    EngineThread* thread, const std::unique_ptr<Engine>* engine, VolumeLoad* load,
    sdk::QueueIo* io) {
  std::unique_ptr<ObjectQueue> queue(new ObjectQueue(thread, engine, load, io));
  queue->outbox_->wake = Fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!queue->outbox_->wake.valid()) return ErrnoStatus(errno, "create an eventfd");
  queue->wake_.queue = queue.get();
  queue->wake_.done = [](sdk::IoOperation* operation, int) {
    ObjectQueue* queue = static_cast<Wake*>(operation)->queue;
    queue->OnWake();
    queue->ArmWake();
  };
  queue->ArmWake();
  return queue;
}

// A poll, not a read: nothing is written into a queue that is gone.
void ObjectQueue::ArmWake() {
  io_uring_sqe* sqe = io_->Prepare(&wake_);
  io_uring_prep_poll_add(sqe, outbox_->wake.get(), POLLIN);
  io_->SetOperation(sqe, &wake_);
}

void ObjectQueue::Outbox::Add(sdk::Request* request, int error) {
  bool wake_up = false;
  {
    const absl::MutexLock lock(&mutex);
    wake_up = answers.empty() && !awake;
    answers.emplace_back(request, error);
  }
  // With all that the turn brings: one by one they would come back one by one.
  if (wake_up) thread->Afterwards([self = shared_from_this()] { self->WakeUp(); });
}

void ObjectQueue::Outbox::WakeUp() {
  const uint64_t one = 1;
  while (write(wake.get(), &one, sizeof one) < 0 && errno == EINTR) {
  }
}

void ObjectQueue::Outbox::Note(const sdk::Request& request, const absl::Status& status) {
  ++failures;
  const absl::Time now = absl::Now();
  if (now < quiet_until) return;
  SPDLOG_ERROR("request at {} of {} bytes ({} failed so far): {}", request.offset, request.length,
               failures, status.ToString());
  quiet_until = now + kLogInterval;
}

void ObjectQueue::OnWake() {
  uint64_t count = 0;
  while (read(outbox_->wake.get(), &count, sizeof count) < 0 && errno == EINTR) {
  }
  Deliver(outbox_->Take());
}

bool ObjectQueue::Outbox::HasAnswers() {
  const absl::MutexLock lock(&mutex);
  return !answers.empty();
}

std::vector<ObjectQueue::Answered> ObjectQueue::Outbox::Take() {
  const absl::MutexLock lock(&mutex);
  awake = false;
  return std::exchange(answers, {});
}

void ObjectQueue::Deliver(const std::vector<Answered>& answers) {
  load_->unanswered.fetch_sub(answers.size(), std::memory_order_relaxed);
  for (const auto& [request, error] : answers) request->Complete(error);
}

void ObjectQueue::Submit(sdk::Request& request) {
  if (request.op == sdk::Op::kRead) {
    load_->read_bytes.fetch_add(request.length, std::memory_order_relaxed);
  } else if (request.op == sdk::Op::kWrite) {
    load_->written_bytes.fetch_add(request.length, std::memory_order_relaxed);
  }
  batch_.push_back(&request);
}

bool ObjectQueue::ServeHere(bool wait, absl::FunctionRef<void()> submit) {
  const auto start = [this, submit] {
    {
      const absl::MutexLock lock(&outbox_->mutex);
      outbox_->awake = true;
    }
    submit();
  };
  const absl::Time begin = absl::Now();
  bool waited = false;
  std::vector<Answered> answers;
  const bool served = thread_->TryTurn(
      start, [&] { return wait && !outbox_->HasAnswers() && (waited = true); },
      [&] { answers = outbox_->Take(); });
  if (waited) lone_.Took(absl::Now() - begin);
  // When the turn is over: who is answered comes again before this call returns.
  if (served) Deliver(answers);
  return served;
}

void ObjectQueue::CommitBatch() {
  if (batch_.empty()) return;
  const bool alone = batch_.size() == 1 && load_->unanswered.load(std::memory_order_relaxed) == 0;
  const bool wait = lone_.InPlace(alone);
  // A stream of writes is a matter of memory.
  const bool here = wait || std::all_of(batch_.begin(), batch_.end(), IsPlainWrite);
  load_->unanswered.fetch_add(batch_.size(), std::memory_order_relaxed);
  auto submit = [engine = engine_, outbox = outbox_, batch = std::exchange(batch_, {})] {
    for (size_t i = 0; i < batch.size(); ++i) {
      sdk::Request* const request = batch[i];
      IoRequest io = ToIo(*request);
      io.done = [outbox, request](absl::Status status) {
        if (!status.ok()) outbox->Note(*request, status);
        outbox->Add(request, status.ok() ? 0 : EIO);
      };
      (*engine)->Submit(std::move(io), /*more=*/i + 1 < batch.size());
    }
  };
  if (!here || !ServeHere(wait, submit)) thread_->Post(std::move(submit));
}

}  // namespace diskd::object
