// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/object_driver.h"

#include <sys/stat.h>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "drivers/object/engine/engine.h"
#include "drivers/object/object_queue.h"
#include "drivers/object/object_volume.h"
#include "drivers/object/runtime/engine_thread.h"
#include "drivers/object/runtime/log_file.h"
#include "drivers/object/runtime/posting_store.h"
#include "drivers/object/runtime/uring_log.h"

namespace diskd::object {
namespace {

// An orderly end uploads what is left, within the time that the agent gives it.
constexpr absl::Duration kCloseLimit = absl::Seconds(40);
constexpr absl::Duration kIdlePoll = absl::Milliseconds(1);
constexpr uint32_t kOptimalIoBytes = 1 << 20;

class ObjectDriver final : public sdk::Driver {
 public:
  static absl::StatusOr<std::unique_ptr<sdk::Driver>> Open(const sdk::VolumeConfig& config);
  ~ObjectDriver() override;

  sdk::Geometry geometry() const override { return geometry_; }
  absl::StatusOr<std::unique_ptr<sdk::Queue>> OpenQueue(int, sdk::QueueIo& io) override {
    RETURN_IF_ERROR(io.Start());
    return ObjectQueue::Open(thread_.get(), engine_.get(), &io);
  }

 private:
  // Shared with what runs on the engine's thread, which may come after a wait has given up.
  struct Answer {
    absl::Notification done;
    absl::Status status;
  };
  // Runs `call` there and waits for what it answers. nullptr: not within `limit`.
  template <class Call>
  std::shared_ptr<Answer> Ask(absl::Duration limit, Call call) {
    auto answer = std::make_shared<Answer>();
    thread_->Post([this, answer, call] {
      call(*engine_, [answer](absl::Status status) {
        answer->status = std::move(status);
        answer->done.Notify();
      });
    });
    return answer->done.WaitForNotificationWithTimeout(limit) ? answer : nullptr;
  }

  void EndEngine(absl::Notification& gone);

  sdk::Geometry geometry_;
  // In the order of dependence. The store ends before the thread that its answers are posted to.
  std::unique_ptr<EngineThread> thread_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<PostingStore> posting_;
  std::unique_ptr<UringLog> log_;
  std::unique_ptr<Engine> engine_;
};

absl::StatusOr<std::unique_ptr<sdk::Driver>> ObjectDriver::Open(const sdk::VolumeConfig& config) {
  if (config.standby) {
    return absl::UnimplementedError(
        "an object volume can't go from one process to the next while it is served; kill -9 of its "
        "driver starts the new one, without an I/O error");
  }
  umask(0);  // every mode is given where a file is made
  ASSIGN_OR_RETURN(const ObjectVolume volume, ParseVolume(config));
  auto file = OpenLogFile(volume.log_path);
  if (absl::IsNotFound(file.status())) {
    SPDLOG_WARN("the write log {} is lost: volume {} goes back to what is in the store",
                volume.log_path, config.volume_id);
    RETURN_IF_ERROR(MakeLogFile(volume.log_path, volume.log_bytes));
    file = OpenLogFile(volume.log_path);
  }
  RETURN_IF_ERROR(file.status());
  auto driver = std::make_unique<ObjectDriver>();
  ASSIGN_OR_RETURN(driver->thread_, EngineThread::Start());
  ASSIGN_OR_RETURN(driver->store_, OpenStore(volume.store));
  EngineThread* thread = driver->thread_.get();
  driver->posting_ = std::make_unique<PostingStore>(driver->store_.get(), thread);
  driver->log_ = std::make_unique<UringLog>(thread, std::move(file->fd), file->size_bytes);
  driver->engine_ = std::make_unique<Engine>(
      Environment{driver->posting_.get(), driver->log_.get(), thread}, volume.id, volume.options);
  const auto opened = driver->Ask(absl::InfiniteDuration(),
                                  [](Engine& engine, auto done) { engine.Open(std::move(done)); });
  if (!opened->status.ok()) {
    return absl::Status(opened->status.code(),
                        absl::StrCat("volume ", config.volume_id, ": ", opened->status.message()));
  }
  sdk::Geometry& geometry = driver->geometry_;
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
  return driver;
}

ObjectDriver::~ObjectDriver() {
  if (engine_ != nullptr) {
    const auto closed = Ask(kCloseLimit, [](Engine& engine, auto done) {
      engine.state() == EngineState::kServing ? engine.Close(std::move(done))
                                              : done(engine.status());
    });
    if (closed == nullptr || !closed->status.ok()) {
      SPDLOG_WARN(
          "the end of the write log is not in the store: this node has to open the volume again "
          "before another one does ({})",
          closed == nullptr ? "the store does not answer" : closed->status.ToString());
    }
    absl::Notification gone;
    thread_->Post([this, &gone] { EndEngine(gone); });
    gone.WaitForNotification();
  }
  store_.reset();
  thread_.reset();
}

// The kernel may still use the engine's memory.
void ObjectDriver::EndEngine(absl::Notification& gone) {
  if (thread_->in_flight() > 0) {
    thread_->After(kIdlePoll, [this, &gone] { EndEngine(gone); });
    return;
  }
  engine_.reset();
  gone.Notify();
}

absl::StatusOr<std::unique_ptr<sdk::Driver>> Open(const sdk::VolumeConfig& config) {
  return ObjectDriver::Open(config);
}

}  // namespace

const sdk::DriverDefinition& Definition() {
  static const auto* const definition = new sdk::DriverDefinition{
      "object",
      "log-structured disk in a directory or an S3-compatible store",
      {{"store", "dir:PATH (absolute) or s3://BUCKET[/PREFIX]"},
       {"durability",
        "what a flush waits for: local (default; the write log) or remote (the store)"},
       {"log_dir", "directory of the write log, on a local disk (default: the volume's state)"},
       {"log_mib", "size of the write log in MiB, 16 to 1024 (default 256)"},
       {"volume", "the volume's folder in the store, 32 hexadecimal digits (default: from its id)"},
       {"existing", "refuse (default) or use a volume that is in the store already"},
       {"endpoint", "s3: URL of the service (default: AWS)"},
       {"region", "s3: default AWS_REGION, else us-east-1"},
       {"addressing", "s3: auto (default), path or virtual"},
       {"ca_file", "s3: certificates to trust"},
       {"credentials_file",
        "s3: keys, in the format of ~/.aws/credentials (default: environment)"}},
      ProvisionVolume,
      DeprovisionVolume,
      Open};
  return *definition;
}

}  // namespace diskd::object
