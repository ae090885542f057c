// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/engine/engine.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "drivers/object/engine/batch.h"

namespace diskd::object {
namespace {

// What is read for requests and for collection, with places that must stay or memory that others
// need in hand. Whoever wants it longer lets go in between.
// All of it must exist: a store that denies that for some seconds is rather one that is ill.
constexpr StoreClient::Patience kPatience{absl::Milliseconds(500), 4, absl::Seconds(5)};

}  // namespace

Engine::Engine(const Environment& environment, const Uuid& volume, const Options& options)
    : environment_(environment),
      volume_(volume),
      options_(options),
      lease_(MakeLease()),
      store_(lease_ != nullptr ? lease_.get() : environment.store, environment.scheduler,
             absl::InfiniteDuration(), options_.key_or_null()),
      bodies_(environment.scheduler, options_.body_bytes),
      body_memory_(std::make_shared<BodyMemory>(options_.body_bytes)),
      log_readers_(environment.scheduler),
      object_readers_(environment.scheduler),
      head_(&store_, environment.scheduler, volume, options_),
      tree_(
          &store_, [this](uint16_t id) { return head_.head().FindStream(id); }, options_,
          kPatience),
      cache_(environment.cache, environment.scheduler, volume, options_),
      blocks_(
          &store_, &tree_, [this]() -> const Head& { return head_.head(); }, options_,
          environment.scheduler, &cache_, kPatience),
      read_ahead_(options_.read_ahead_blocks),
      log_(environment.log, environment.log_memory, environment.scheduler, options_, &log_readers_,
           {[this](const LogRecord& record) { OnWritten(record); },
            [this](absl::Status status) { Fail(status); }, [this] { upload_work_.Notify(); }}),
      upload_work_(environment.scheduler),
      ahead_done_(environment.scheduler),
      progress_(environment.scheduler),
      checkpoint_mutex_(environment.scheduler),
      collect_mutex_(environment.scheduler) {}

Engine::~Engine() { tasks_.Clear(); }

std::unique_ptr<LeaseStore> Engine::MakeLease() {
  if (options_.fencing != Fencing::kLease) return nullptr;
  return std::make_unique<LeaseStore>(environment_.store, environment_.scheduler, options_,
                                      [this](const absl::Status& status) { OnLeaseEnd(status); });
}

void Engine::OnLeaseEnd(const absl::Status& status) {
  const bool ignored =
      options_.sabotage == Sabotage::kCollectBeyondLease && state_ == EngineState::kServing;
  if (!ignored) Fail(status);
}

void Engine::Open(Done done) {
  auto run = [](Engine* engine, Done done) -> Task<void> {
    const absl::Status status = co_await engine->Recover();
    if (status.ok() && engine->failure_.ok()) {
      engine->state_ = EngineState::kServing;
      engine->cache_.Start(engine->head_.head().streams);
      engine->tasks_.Spawn(engine->UploadLoop());
      engine->tasks_.Spawn(engine->CheckpointLoop());
      done(absl::OkStatus());
    } else {
      engine->Fail(status.ok() ? engine->failure_ : status);
      done(engine->failure_);
    }
  };
  tasks_.Spawn(run(this, std::move(done)));
}

void Engine::Fail(const absl::Status& status) {
  if (!failure_.ok()) return;
  // A collection that the release has stopped.
  if (lease_ != nullptr && state_ == EngineState::kClosed) return;
  failure_ = status;
  state_ = absl::IsFailedPrecondition(status) ? EngineState::kFenced : EngineState::kFailed;
  log_.Fail(status);
  upload_work_.Notify();
  progress_.Notify();
}

uint64_t Engine::FreshId() {
  uint64_t id = 0;
  while (id == 0) id = environment_.scheduler->Random();
  return id;
}

void Engine::Submit(IoRequest request, bool more) {
  const std::weak_ptr<bool> alive = alive_;
  Start(std::move(request));
  if (!more && !alive.expired()) log_.Commit();
}

void Engine::Start(IoRequest request) {
  if (lease_ != nullptr) {
    // Nor is anything answered that the lease ends before.
    request.done = [this, done = std::move(request.done)](absl::Status status) {
      if (status.ok() && options_.sabotage != Sabotage::kLateAnswer) status = lease_->MayAct();
      done(std::move(status));
    };
    if (const absl::Status may = lease_->MayAct(); !may.ok()) return request.done(may);
  }
  if (state_ != EngineState::kServing) {
    request.done(failure_.ok() ? absl::UnavailableError("the volume is not open") : failure_);
    return;
  }
  switch (request.kind) {
    case RequestKind::kRead:
      tasks_.Spawn(Read(std::move(request)));
      return;
    case RequestKind::kWrite:
    case RequestKind::kZero:
      SubmitWrite(std::move(request));
      return;
    case RequestKind::kFlush:
      SubmitFlush(std::move(request.done));
      return;
  }
}

void Engine::SubmitWrite(IoRequest request) {
  const bool zero = request.kind == RequestKind::kZero;
  const bool remote = request.fua && options_.durability == Durability::kRemote;
  const uint64_t piece = zero ? request.blocks : kMaxOpBlocks;
  struct Shared {
    uint64_t left;
    absl::Status status;
    Done done;
  };
  auto shared = std::make_shared<Shared>();
  shared->left = (request.blocks + piece - 1) / piece;
  shared->done = std::move(request.done);
  for (uint64_t at = 0; at < request.blocks; at += piece) {
    const LogOp op{zero ? OpKind::kZero : OpKind::kWrite, request.lba + at,
                   std::min(piece, request.blocks - at)};
    const std::byte* data = zero ? nullptr : request.data + at * kBlockBytes;
    log_.Append(op, data, request.fua, [this, shared, remote](absl::Status status) {
      shared->status.Update(status);
      if (--shared->left > 0) return;
      if (remote && shared->status.ok()) {
        tasks_.Spawn(RemoteFlush(log_.next_sequence() - 1, std::move(shared->done)));
      } else {
        shared->done(shared->status);
      }
    });
  }
}

void Engine::SubmitFlush(Done done) {
  const WriteSequence target = log_.next_sequence() - 1;
  if (options_.durability == Durability::kLocal) return log_.Flush(std::move(done));
  log_.Flush([this, target, done = std::move(done)](absl::Status status) mutable {
    if (!status.ok()) return done(status);
    tasks_.Spawn(RemoteFlush(target, std::move(done)));
  });
}

Task<void> Engine::RemoteFlush(WriteSequence target, Done done) {
  done(co_await WaitUploaded(target));
}

void Engine::OnWritten(const LogRecord& record) {
  AddToOverlay(record);
  uncut_ops_ += record.ops.size();
  ArmUploadTimer();
  NoteBurst();
  if (CutNow()) upload_work_.Notify();
}

void Engine::AddToOverlay(const LogRecord& record) {
  uint64_t block = 0;
  WriteSequence sequence = record.first_sequence;
  for (const LogOp& op : record.ops) {
    if (op.kind == OpKind::kZero) {
      overlay_.SetZero(op.lba, op.blocks, {0, 0, sequence});
    } else {
      for (uint64_t i = 0; i < op.blocks; ++i, ++block) {
        overlay_.SetData(op.lba + i, {record.position + 1 + block, record.crcs[block], sequence});
      }
    }
    ++sequence;
  }
}

void Engine::CreateSnapshot(std::string name, std::function<void(absl::StatusOr<uint64_t>)> done) {
  auto run = [](Engine* engine, std::string name, auto done) -> Task<void> {
    done(co_await engine->Snapshot(std::move(name)));
  };
  tasks_.Spawn(run(this, std::move(name), std::move(done)));
}

void Engine::DeleteSnapshot(uint64_t id, Done done) {
  auto run = [](Engine* engine, uint64_t id, Done done) -> Task<void> {
    const absl::Status status = co_await engine->head_.Update([id](Head& head) {
      head.RemoveSnapshot(id);
      return absl::OkStatus();
    });
    if (!status.ok()) engine->Fail(status);
    if (status.ok()) engine->NoteFreed(kManyFreed);
    done(status);
  };
  tasks_.Spawn(run(this, id, std::move(done)));
}

void Engine::RollBack(uint64_t id, Done done) {
  auto run = [](Engine* engine, uint64_t id, Done done) -> Task<void> {
    done(co_await engine->RollBackTo(id));
  };
  tasks_.Spawn(run(this, id, std::move(done)));
}

void Engine::ReadRoot(PagePointer root, Lba lba, uint64_t blocks, std::byte* into, Done done) {
  auto run = [](Engine* engine, PagePointer root, Lba lba, uint64_t blocks, std::byte* into,
                Done done) -> Task<void> {
    StoreClient::Retry retry(&engine->store_, Lane::kRead, {});
    absl::Status status = engine->failure_;
    for (bool again = status.ok(); again;) {
      {
        const ReadBarrier::Reader reader(&engine->object_readers_);
        status = co_await engine->blocks_.ReadRange(root, lba, blocks, into);
      }
      again = StoreClient::MayPass(status) && engine->failure_.ok();
      if (again) co_await retry.Again(status);
    }
    done(status);
  };
  tasks_.Spawn(run(this, root, lba, blocks, into, std::move(done)));
}

void Engine::Diff(uint64_t from, uint64_t to, Lba begin, size_t max_extents,
                  std::function<void(absl::StatusOr<DiffPage>)> done) {
  auto run = [](Engine* engine, uint64_t from, uint64_t to, Lba begin, size_t max_extents,
                auto done) -> Task<void> {
    StoreClient::Retry retry(&engine->store_, Lane::kRead, {});
    for (;;) {
      absl::StatusOr<DiffPage> page = co_await engine->DiffNow(from, to, begin, max_extents);
      if (!StoreClient::MayPass(page.status()) || !engine->failure_.ok()) {
        done(std::move(page));
        co_return;
      }
      co_await retry.Again(page.status());
    }
  };
  tasks_.Spawn(run(this, from, to, begin, max_extents, std::move(done)));
}

void Engine::Resize(uint64_t size_blocks, Done done) {
  auto run = [](Engine* engine, uint64_t size_blocks, Done done) -> Task<void> {
    done(co_await engine->ResizeTo(size_blocks));
  };
  tasks_.Spawn(run(this, size_blocks, std::move(done)));
}

void Engine::Collect(Done done) {
  auto run = [](Engine* engine, Done done) -> Task<void> { done(co_await engine->CollectOnce()); };
  tasks_.Spawn(run(this, std::move(done)));
}

void Engine::Close(Done done) {
  auto run = [](Engine* engine, Done done) -> Task<void> {
    absl::Status status = co_await engine->WaitUploaded(engine->log_.next_sequence() - 1);
    if (status.ok()) status = co_await engine->Checkpoint(nullptr);
    co_await engine->cache_.Finish();
    if (engine->failure_.ok()) engine->state_ = EngineState::kClosed;
    if (engine->lease_ != nullptr && status.ok()) co_await engine->lease_->Release();
    done(status);
  };
  tasks_.Spawn(run(this, std::move(done)));
}

EngineState Engine::state() const {
  const bool over = state_ == EngineState::kServing && lease_ != nullptr && !lease_->MayAct().ok();
  return over ? EngineState::kFenced : state_;
}

EngineStats Engine::stats() const {
  EngineStats stats = stats_;
  stats.uploaded_sequence = uploaded_sequence_;
  stats.last_sequence = log_.next_sequence() - 1;
  stats.kept_log_records = log_.kept_records();
  stats.dirty_log_bytes = log_.used_blocks() * kBlockBytes;
  const LogRecord* const uncut = log_.Find(cut_lsn_);
  if (!uploading_.empty()) {
    stats.upload_lag = environment_.scheduler->Now() - uploading_.front()->appended;
  } else if (uncut != nullptr) {
    stats.upload_lag = environment_.scheduler->Now() - uncut->appended;
  }
  stats.map_entries = overlay_.size() + delta_.size() + frozen_.size();
  stats.map_cache_bytes = tree_.cached_bytes();
  stats.body_bytes_most = bodies_.most();
  stats.store = store_.counters();
  stats.cache = cache_.counters();
  return stats;
}

}  // namespace diskd::object
