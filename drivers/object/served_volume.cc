// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/served_volume.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "base/errno_status.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "drivers/object/fencing_parameters.h"
#include "drivers/object/object_volume.h"
#include "drivers/object/runtime/log_file.h"

namespace diskd::object {
namespace {

// An orderly end uploads what is left, within the time that the agent gives it.
constexpr absl::Duration kCloseLimit = absl::Seconds(40);
constexpr absl::Duration kHealthLimit = absl::Seconds(1);
// I/O stands still meanwhile, and the agent gives a hand-over, which is both, 5 s.
constexpr absl::Duration kTakeOverLimit = absl::Seconds(4);
constexpr absl::Duration kSettleLimit = absl::Milliseconds(500);
// Of what an open is at, to the agent.
constexpr absl::Duration kTellInterval = absl::Seconds(5);
constexpr absl::Duration kIdlePoll = absl::Milliseconds(1);
constexpr uint32_t kOptimalIoBytes = 1 << 20;
constexpr uint64_t kMiB = 1 << 20;

sdk::Geometry GeometryOf(const sdk::VolumeConfig& config) {
  sdk::Geometry geometry;
  geometry.size_bytes = config.size_bytes;
  geometry.logical_block_bytes = kBlockBytes;
  geometry.physical_block_bytes = kBlockBytes;
  geometry.read_only = config.read_only;
  geometry.io_opt_bytes = kOptimalIoBytes;
  geometry.volatile_cache = true;
  geometry.fua = true;
  geometry.discard = true;
  geometry.write_zeroes = true;
  geometry.discard_granularity_bytes = kBlockBytes;
  return geometry;
}

// A volume works without it.
std::unique_ptr<UringLog> OpenCache(const ObjectVolume& volume, EngineThread* thread) {
  if (volume.cache_bytes == 0) return nullptr;
  auto file = OpenCacheFile(volume.cache_path, volume.cache_bytes);
  if (!file.ok()) {
    SPDLOG_WARN("no read cache: {}", file.status().ToString());
    return nullptr;
  }
  return std::make_unique<UringLog>(thread, std::move(file->fd), file->size_bytes,
                                    "the read cache");
}

double SecondsOf(const std::optional<PostingStore::Outage>& outage) {
  return outage.has_value() ? absl::ToDoubleSeconds(absl::Now() - outage->since) : 0;
}

std::string Describe(const PostingStore::Outage& outage) {
  const char* what =
      absl::IsPermissionDenied(outage.reason) ? "the store refuses: " : "store unreachable: ";
  return absl::StrCat(what, outage.reason.message());
}

absl::Status NoAnswer() {
  return absl::UnavailableError(
      absl::StrCat("the store does not answer within ", absl::FormatDuration(sdk::kFeatureLimit),
                   "; the work goes on once it does: repeat the request for its result"));
}

}  // namespace

sdk::Snapshot ToSdk(const SnapshotEntry& entry) {
  return {entry.id, entry.name, entry.size_blocks * kBlockBytes};
}

std::vector<sdk::Snapshot> SnapshotsOf(const Head& head) {
  std::vector<sdk::Snapshot> snapshots;
  for (const SnapshotEntry& entry : head.snapshots) {
    if (!entry.deleted) snapshots.push_back(ToSdk(entry));
  }
  return snapshots;
}

absl::StatusOr<sdk::Snapshot> FindSnapshot(const Head& head, const std::string& name) {
  for (const SnapshotEntry& entry : head.snapshots) {
    if (entry.name == name && !entry.deleted) return ToSdk(entry);
  }
  return absl::NotFoundError(absl::StrCat("there is no snapshot \"", name, "\""));
}

absl::StatusOr<std::unique_ptr<ServedVolume>> ServedVolume::Open(const sdk::VolumeConfig& config,
                                                                 bool at_rest) {
  return OpenOn(nullptr, config, at_rest, kTellInterval);
}

absl::StatusOr<std::unique_ptr<ServedVolume>> ServedVolume::OpenOn(std::unique_ptr<Store> store,
                                                                   const sdk::VolumeConfig& config,
                                                                   bool at_rest,
                                                                   absl::Duration tell_interval) {
  umask(0);  // every mode is given where a file is made
  ASSIGN_OR_RETURN(ObjectVolume volume, ParseVolume(config));
  auto driver = std::make_unique<ServedVolume>(config.volume_id, std::move(volume), at_rest);
  driver->geometry_ = GeometryOf(config);
  ASSIGN_OR_RETURN(driver->thread_, EngineThread::Start());
  driver->store_ = std::move(store);
  if (driver->store_ == nullptr) {
    ASSIGN_OR_RETURN(driver->store_, OpenStore(driver->volume_.store));
  }
  driver->posting_ = std::make_unique<PostingStore>(driver->store_.get(), driver->thread_.get());
  if (config.standby) return driver;
  ASSIGN_OR_RETURN(driver->log_, ServedLog::Open(config.volume_id, driver->volume_,
                                                 config.successor, driver->thread_.get()));
  LeaseWait wait{absl::Now() + LongestLeaseWait(driver->volume_.options)};
  RETURN_IF_ERROR(driver->OpenEngine(
      config.successor, absl::InfiniteDuration(), tell_interval,
      [&config, &driver, &wait] { driver->TellOpening(config.tell_opening, wait); }));
  // What HEAD says, not what the volume was created with: the two must be seen to differ.
  driver->geometry_.size_bytes = *driver->Ask<uint64_t>(
      absl::InfiniteDuration(),
      [](Engine& engine, auto done) { done(engine.head().size_blocks * kBlockBytes); });
  return driver;
}

absl::Status ServedVolume::OpenEngine(bool successor, absl::Duration limit,
                                      absl::Duration tell_interval,
                                      const std::function<void()>& tell) {
  Options options = volume_.options;
  options.successor = successor;
  if (!at_rest_) cache_ = OpenCache(volume_, thread_.get());
  engine_ = std::make_unique<Engine>(
      Environment{posting_.get(), log_->device(), thread_.get(), cache_.get(), log_->memory()},
      volume_.id, options);
  const auto answer =
      Start<absl::Status>([](Engine& engine, auto done) { engine.Open(std::move(done)); });
  const absl::Time deadline = absl::Now() + limit;
  bool answered = false;
  do {
    answered = answer->done.WaitForNotificationWithTimeout(
        std::min(tell_interval, deadline - absl::Now()));
    if (!answered) tell();
  } while (!answered && absl::Now() < deadline);
  if (answered && answer->result.ok()) return absl::OkStatus();
  StopEngine();
  if (!answered) {
    return absl::UnavailableError(absl::StrCat(
        "volume ", volume_id_, ": the store does not answer within ", absl::FormatDuration(limit)));
  }
  return absl::Status(answer->result.code(),
                      absl::StrCat("volume ", volume_id_, ": ", answer->result.message()));
}

void ServedVolume::TellOpening(const sdk::VolumeConfig::TellOpening& tell, LeaseWait& wait) const {
  if (tell == nullptr) return;
  sdk::OpeningProgress opening;
  opening.expected = ExpectedOpening(volume_.options);
  const uint64_t answers = posting_->answers();
  const auto outage = posting_->outage();
  const bool lease = absl::Now() < wait.until;
  if (lease && !outage.has_value()) ++wait.turns;
  opening.steps = answers + log_->reads() + wait.turns;
  if (outage.has_value()) {
    opening.doing = Describe(*outage);
  } else {
    opening.doing = absl::StrCat("the volume is recovered from the store, which has given ",
                                 answers, " answers so far");
    if (lease) absl::StrAppend(&opening.doing, "; a lease of another owner may have to end first");
  }
  tell(opening);
}

std::optional<sdk::Trouble> ServedVolume::trouble() {
  const auto outage = posting_->outage();
  if (!outage.has_value()) return std::nullopt;
  sdk::Trouble trouble{outage->since, Describe(*outage)};
  if (engine_ == nullptr) return trouble;  // another process serves
  const auto stats =
      Ask<EngineStats>(kHealthLimit, [](Engine& engine, auto done) { done(engine.stats()); });
  if (stats.has_value()) {
    absl::StrAppendFormat(&trouble.reason, "; of the %d MiB of the local log %.1f wait for it",
                          volume_.log_bytes / kMiB,
                          static_cast<double>(stats->dirty_log_bytes) / kMiB);
  }
  return trouble;
}

absl::Status ServedVolume::LetGo() {
  if (volume_.options.fencing == Fencing::kLease) {
    return absl::FailedPreconditionError(absl::StrCat(
        "volume ", volume_id_,
        " has fencing=lease: the next process would have to wait longer than a hand-over may "
        "take. Detach the volume and attach it again"));
  }
  if (const auto outage = posting_->outage(); outage.has_value()) {
    return absl::UnavailableError(
        absl::StrCat("the store must answer for a hand-over: ", outage->reason.message()));
  }
  // A next process that knows the log's memory would find it there; not every one does.
  const std::optional<absl::Status> settled = Ask<absl::Status>(
      kSettleLimit, [](Engine& engine, auto done) { engine.SettleLog(std::move(done)); });
  if (!settled.has_value()) {
    return absl::UnavailableError(
        absl::StrCat("the disk of the write log does not take what was written within ",
                     absl::FormatDuration(kSettleLimit)));
  }
  RETURN_IF_ERROR(*settled);
  StopEngine();
  cache_.reset();  // the former user can't open it again, and does without if it has to go on
  return log_->LetGo();
}

absl::Status ServedVolume::TakeOver() {
  if (engine_ != nullptr) return absl::OkStatus();  // it was not let go
  if (log_ == nullptr) {
    ASSIGN_OR_RETURN(log_, ServedLog::Open(volume_id_, volume_, /*successor=*/true, thread_.get()));
  } else {
    RETURN_IF_ERROR(log_->TakeBack(kTakeOverLimit));
  }
  RETURN_IF_ERROR(OpenEngine(/*successor=*/true, kTakeOverLimit, kTakeOverLimit, [] {}));
  const uint64_t size_bytes = *Ask<uint64_t>(
      absl::InfiniteDuration(),
      [](Engine& engine, auto done) { done(engine.head().size_blocks * kBlockBytes); });
  if (size_bytes >= geometry_.size_bytes) return absl::OkStatus();  // more: it is being grown
  StopEngine();
  return absl::FailedPreconditionError(absl::StrCat("volume ", volume_id_, " has ", size_bytes,
                                                    " bytes in the store, not ",
                                                    geometry_.size_bytes));
}

ServedVolume::~ServedVolume() {
  std::optional<absl::Status> closed;
  if (engine_ != nullptr) {
    closed = Ask<absl::Status>(kCloseLimit, [](Engine& engine, auto done) {
      if (engine.state() == EngineState::kServing) return engine.Close(std::move(done));
      // The end of a lease may not be there yet.
      done(engine.status().ok() ? absl::FailedPreconditionError("not the owner any more")
                                : engine.status());
    });
    if (!closed.has_value() || !closed->ok()) {
      SPDLOG_WARN(
          "the end of the write log is not in the store: this node has to open the volume again "
          "before another one does ({})",
          closed.has_value() ? closed->ToString() : "the store does not answer");
    }
  }
  StopEngine();
  if (closed.has_value() && closed->ok()) log_->DropMemory();
  store_.reset();
  thread_.reset();
}

void ServedVolume::StopEngine() {
  creating_.clear();
  if (engine_ == nullptr) return;
  absl::Notification gone;
  thread_->Post([this, &gone] { EndEngine(gone); });
  gone.WaitForNotification();
}

// The kernel may still use the engine's memory.
void ServedVolume::EndEngine(absl::Notification& gone) {
  if (thread_->in_flight() > 0) {
    thread_->After(kIdlePoll, [this, &gone] { EndEngine(gone); });
    return;
  }
  engine_.reset();
  gone.Notify();
}

absl::StatusOr<std::unique_ptr<sdk::Queue>> ServedVolume::OpenQueue(int, sdk::QueueIo& io) {
  RETURN_IF_ERROR(io.Start());
  return ObjectQueue::Open(thread_.get(), &engine_, &load_, &io);
}

absl::Status ServedVolume::health() {
  if (engine_ == nullptr) return absl::OkStatus();  // another process serves
  const auto status =
      Ask<absl::Status>(kHealthLimit, [](Engine& engine, auto done) { done(engine.status()); });
  return status.value_or(absl::OkStatus());
}

template <class Call>
absl::Status ServedVolume::AskFeature(Call call) {
  const std::optional<absl::Status> status = Ask<absl::Status>(sdk::kFeatureLimit, std::move(call));
  return status.has_value() ? *status : NoAnswer();
}

absl::StatusOr<std::vector<sdk::Snapshot>> ServedVolume::ListSnapshots() {
  return *Ask<std::vector<sdk::Snapshot>>(absl::InfiniteDuration(), [](Engine& engine, auto done) {
    done(SnapshotsOf(engine.head()));
  });
}

absl::StatusOr<sdk::Snapshot> ServedVolume::Find(const std::string& name) {
  return *Ask<absl::StatusOr<sdk::Snapshot>>(
      absl::InfiniteDuration(),
      [&name](Engine& engine, auto done) { done(FindSnapshot(engine.head(), name)); });
}

absl::Status ServedVolume::OnlyAtRest(const char* what) const {
  if (at_rest_) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("a volume that is served can't be ", what,
                                                    ": what its users hold in memory would not fit "
                                                    "the disk any more; detach it first"));
}

absl::StatusOr<sdk::CreatedSnapshot> ServedVolume::CreateSnapshot(const std::string& name) {
  std::shared_ptr<SnapshotAnswer>& answer = creating_[name];
  if (answer == nullptr) {
    if (const auto there = Find(name); there.ok()) {
      creating_.erase(name);
      return sdk::CreatedSnapshot{*there, /*existed=*/true};
    }
    answer = Start<absl::StatusOr<uint64_t>>(
        [name](Engine& engine, auto done) { engine.CreateSnapshot(name, std::move(done)); });
  }
  if (!answer->done.WaitForNotificationWithTimeout(sdk::kFeatureLimit)) return NoAnswer();
  const absl::Status status = answer->result.status();
  creating_.erase(name);
  RETURN_IF_ERROR(status);
  ASSIGN_OR_RETURN(const sdk::Snapshot created, Find(name));
  return sdk::CreatedSnapshot{created, /*existed=*/false};
}

absl::Status ServedVolume::DeleteSnapshot(const std::string& name) {
  if (creating_.count(name) > 0) {
    // Or else it would be there after all.
    RETURN_IF_ERROR(CreateSnapshot(name).status());
  }
  const auto found = Find(name);
  if (absl::IsNotFound(found.status())) return absl::OkStatus();
  return AskFeature(
      [id = found->id](Engine& engine, auto done) { engine.DeleteSnapshot(id, std::move(done)); });
}

absl::StatusOr<uint64_t> ServedVolume::RollBack(const std::string& snapshot) {
  RETURN_IF_ERROR(OnlyAtRest("rolled back"));
  ASSIGN_OR_RETURN(const sdk::Snapshot found, Find(snapshot));
  RETURN_IF_ERROR(AskFeature(
      [id = found.id](Engine& engine, auto done) { engine.RollBack(id, std::move(done)); }));
  return found.size_bytes;
}

absl::Status ServedVolume::Resize(uint64_t size_bytes) {
  if (size_bytes < geometry_.size_bytes) RETURN_IF_ERROR(OnlyAtRest("made smaller"));
  if (size_bytes == 0 || size_bytes % kBlockBytes != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("the size of ", size_bytes, " bytes is not a multiple of 4096"));
  }
  return AskFeature([size_bytes](Engine& engine, auto done) {
    if (engine.head().size_blocks == size_bytes / kBlockBytes) return done(absl::OkStatus());
    engine.Resize(size_bytes / kBlockBytes, std::move(done));
  });
}

absl::StatusOr<std::vector<sdk::Statistic>> ServedVolume::Statistics() {
  const EngineStats stats = *Ask<EngineStats>(
      absl::InfiniteDuration(), [](Engine& engine, auto done) { done(engine.stats()); });
  const auto written = static_cast<double>(load_.written_bytes);
  const auto read = static_cast<double>(load_.read_bytes);
  const auto hits = static_cast<double>(stats.cache.hits);
  const auto looked_up = hits + static_cast<double>(stats.cache.misses);
  const auto stored = static_cast<double>(stats.store.put_bytes);
  const auto fetched = static_cast<double>(stats.store.get_bytes);
  const auto count = [](uint64_t value) { return static_cast<double>(value); };
  return std::vector<sdk::Statistic>{
      {"dirty", count(stats.dirty_log_bytes), "bytes"},
      {"upload_lag", absl::ToDoubleSeconds(stats.upload_lag), "seconds"},
      {"writes_not_uploaded", count(stats.last_sequence - stats.uploaded_sequence), ""},
      {"guest_written", written, "bytes"},
      {"guest_read", read, "bytes"},
      {"store_written", stored, "bytes"},
      {"store_read", fetched, "bytes"},
      {"write_amplification", written > 0 ? stored / written : 0, "ratio"},
      {"store_outage", SecondsOf(posting_->outage()), "seconds"},
      {"compression",
       stats.stored_data_bytes > 0 ? count(stats.packed_data_bytes) / count(stats.stored_data_bytes)
                                   : 1,
       "ratio"},
      {"cache_hits", looked_up > 0 ? hits / looked_up : 0, "ratio"},
      {"read_ahead", count(stats.blocks_read_ahead * kBlockBytes), "bytes"},
      {"cache_stored", count(stats.cache.stored * kBlockBytes), "bytes"},
      {"cache_restored", count(stats.cache.restored * kBlockBytes), "bytes"},
      {"cache_damaged", count(stats.cache.damaged), "blocks"},
      {"store_puts", count(stats.store.puts), ""},
      {"store_gets", count(stats.store.gets), ""},
      {"store_lists", count(stats.store.lists), ""},
      {"store_deletes", count(stats.store.deletes), ""},
      {"store_retries", count(stats.store.retries), ""},
      {"store_corrupt", count(stats.store.corrupt), ""},
      {"store_lost", count(stats.store.lost), ""},
      {"checkpoints", count(stats.checkpoints), ""},
      {"blocks_moved", count(stats.blocks_moved), ""},
      {"map_entries_in_memory", count(stats.map_entries), ""},
  };
}

}  // namespace diskd::object
