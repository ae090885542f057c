// SPDX-License-Identifier: Apache-2.0
//
// One queue of an object volume: hands requests to the engine's thread in batches and brings the
// answers back to its own. Those that come alone (LoneRequests) are served on the queue's thread.
#ifndef DISKD_DRIVERS_OBJECT_OBJECT_QUEUE_H_
#define DISKD_DRIVERS_OBJECT_OBJECT_QUEUE_H_

#include <atomic>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/fd.h"
#include "drivers/object/engine/engine.h"
#include "drivers/object/runtime/engine_thread.h"
#include "drivers/sdk/driver.h"
#include "drivers/sdk/lone_requests.h"
#include "drivers/sdk/queue_io.h"

namespace diskd::object {

// Of all queues of a volume.
struct VolumeLoad {
  std::atomic<uint64_t> read_bytes = 0;  // since its open
  std::atomic<uint64_t> written_bytes = 0;
  std::atomic<uint64_t> unanswered = 0;  // requests
};

class ObjectQueue final : public sdk::Queue {
 public:
  // All outlive the queue; `io` has been started. The engine is there before the first request.
  static absl::StatusOr<std::unique_ptr<ObjectQueue>> Open(EngineThread* thread,
                                                           const std::unique_ptr<Engine>* engine,
                                                           VolumeLoad* load, sdk::QueueIo* io);

  void Submit(sdk::Request& request) override;
  void CommitBatch() override;

 private:
  using Answered = std::pair<sdk::Request*, int>;  // and its error
  // Where the engine's thread leaves answers; lives until the last one has it.
  struct Outbox : std::enable_shared_from_this<Outbox> {
    explicit Outbox(EngineThread* engine_thread) : thread(engine_thread) {}
    EngineThread* const thread;
    Fd wake;  // eventfd
    absl::Mutex mutex;
    std::vector<Answered> answers ABSL_GUARDED_BY(mutex);
    bool awake ABSL_GUARDED_BY(mutex) = false;  // the queue will look at them anyway
    // In a turn of the engine.
    void Add(sdk::Request* request, int error);
    void WakeUp();
    bool HasAnswers();
    std::vector<Answered> Take();  // the queue's thread
    // Says what fails, now and then. In a turn of the engine.
    void Note(const sdk::Request& request, const absl::Status& status);
    uint64_t failures = 0;
    absl::Time quiet_until = absl::InfinitePast();
  };
  struct Wake : sdk::IoOperation {
    ObjectQueue* queue = nullptr;
  };

  ObjectQueue(EngineThread* thread, const std::unique_ptr<Engine>* engine, VolumeLoad* load,
              sdk::QueueIo* io)
      : thread_(thread),
        engine_(engine),
        load_(load),
        io_(io),
        outbox_(std::make_shared<Outbox>(thread)) {}
  void ArmWake();
  void OnWake();
  void Deliver(const std::vector<Answered>& answers);
  // On this thread, with the answers there are. False: the engine is at work elsewhere.
  bool ServeHere(bool wait, absl::FunctionRef<void()> submit);

  EngineThread* const thread_;
  const std::unique_ptr<Engine>* const engine_;
  VolumeLoad* const load_;
  sdk::QueueIo* const io_;
  const std::shared_ptr<Outbox> outbox_;
  std::vector<sdk::Request*> batch_;
  sdk::LoneRequests lone_;
  Wake wake_;
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_OBJECT_QUEUE_H_
