// SPDX-License-Identifier: Apache-2.0
//
// Serves a driver over one queue of the kernel module `buse`.
//
// One turn: submit everything the kernel has published, publish what has been answered, enter the
// kernel once. With operations of the driver in flight the thread waits in the io_uring, which
// watches the queue's descriptor too; otherwise it waits in the kernel module, which is cheaper.
#ifndef DISKD_DRIVERS_SDK_TRANSPORT_BUSE_SERVER_H_
#define DISKD_DRIVERS_SDK_TRANSPORT_BUSE_SERVER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "drivers/sdk/driver.h"
#include "drivers/sdk/ring_queue_io.h"
#include "drivers/sdk/transport/buse_queue.h"
#include "drivers/sdk/transport/transport.h"

namespace diskd::sdk {

class BuseQueueServer final : public QueueTransport {
 public:
  // `driver` must outlive the server.
  BuseQueueServer(std::unique_ptr<BuseQueue> kernel, int index, Driver& driver);
  ~BuseQueueServer() override;

  absl::Status Open() override;
  absl::Status Serve(const std::atomic<bool>& stop) override;
  void Close() override;

 private:
  struct Slot;
  struct PollOperation : IoOperation {
    BuseQueueServer* server = nullptr;
  };

  absl::Status CheckLayout() const;
  // False: stopped before.
  bool AwaitTurn(const std::atomic<bool>& stop);
  // Submits what is published; false if nothing was.
  void TellAnswers();
  bool Drain();
  void Dispatch(const buse_request& published);
  // A read or write by a driver that answers at once: its result.
  int Transfer(const buse_request& published);
  void Complete(const buse_request& published, int error);
  void Answer(Slot& slot, int error);
  void Publish();
  // One BUSE_SRV_ENTER; sets `error_` when the kernel ends the service.
  void Enter(uint64_t flags);
  // `accepting`: new requests end the wait too.
  void WaitInRing(bool accepting);

  std::unique_ptr<BuseQueue> kernel_;
  const int index_;
  Driver& driver_;
  const Geometry geometry_;
  uint64_t spin_flags_ = 0;

  buse_attach layout_{};
  std::byte* memory_ = nullptr;
  buse_ring_header* header_ = nullptr;
  const buse_request* requests_ = nullptr;
  buse_completion* completions_ = nullptr;
  uint32_t mask_ = 0;
  uint32_t head_ = 0;        // first request not yet taken
  uint32_t cq_tail_ = 0;     // first completion slot not yet filled
  uint32_t entered_cq_ = 0;  // completions the kernel has been told of

  std::unique_ptr<RingQueueIo> io_;
  std::unique_ptr<Queue> queue_;
  SyncDriver* sync_driver_ = nullptr;         // the queue's, if it has one
  std::vector<std::unique_ptr<Slot>> slots_;  // by tag
  int in_flight_ = 0;
  int error_ = 0;
  PollOperation poll_;
  bool poll_armed_ = false;
};

}  // namespace diskd::sdk

#endif  // DISKD_DRIVERS_SDK_TRANSPORT_BUSE_SERVER_H_
