// SPDX-License-Identifier: Apache-2.0
//
// Serves a driver over one /dev/fuse descriptor, by the kernel's own protocol: libfuse insists on
// doing INIT itself and so can't take a connection over from a process that died.
//
// Two loops. A synchronous driver is served by a blocking read per request. A driver that has
// started the queue's io_uring has many requests in flight, and the ring watches the descriptor. As
// long as such a driver answers in place, the next request is waited for in a blocking read too,
// which spares the watching. Either way a request wakes one of the disk's queues.
#ifndef DISKD_DRIVERS_SDK_TRANSPORT_FUSE_SERVER_H_
#define DISKD_DRIVERS_SDK_TRANSPORT_FUSE_SERVER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "drivers/sdk/device/fuse_abi.h"
#include "drivers/sdk/driver.h"
#include "drivers/sdk/ring_queue_io.h"
#include "drivers/sdk/transport/fuse_tree.h"
#include "drivers/sdk/transport/io_buffer.h"
#include "drivers/sdk/transport/transport.h"

namespace diskd::sdk {

// Asks the kernel to send what a dead predecessor has not answered again. Any descriptor of the
// connection, once, before the first queue is served. UNIMPLEMENTED: the kernel can't.
absl::Status RequestFuseResend(int fd);

class FuseQueueServer final : public QueueTransport {
 public:
  // `fd` stays the caller's and must outlive the server, like `driver`.
  FuseQueueServer(int fd, int index, Driver& driver);
  ~FuseQueueServer() override;

  absl::Status Open() override;
  absl::Status Serve(const std::atomic<bool>& stop) override;
  void Close() override;

 private:
  struct Slot;
  enum class Received { kRequest, kNothing, kEnded };
  struct PollOperation : IoOperation {
    FuseQueueServer* server = nullptr;
  };

  absl::Status AddSlots(int count, size_t payload_bytes, std::vector<Slot*>& free);
  absl::Status ServeBlocking(const std::atomic<bool>& stop);
  absl::Status ServeWithRing(const std::atomic<bool>& stop);
  void SetBlocking(bool blocking);
  // Takes requests until the kernel has no more or the slots run out. Waits for the first one if
  // those before were answered in place.
  Received ReceiveBatch(const std::atomic<bool>& stop);
  bool MoreToReceive() const;
  Received Receive(Slot& slot, size_t& length);
  void ArmPoll();
  void DisarmPoll();
  // Small requests move to small slots, so that the few large ones stay free to receive into.
  Slot& SlotFor(Slot& received, size_t length);
  void Dispatch(Slot& slot, size_t length);
  // 0, or the errno to answer with.
  int PrepareRequest(Slot& slot, const fuse_in_header& header,
                     absl::Span<const std::byte> arguments);
  void Answer(Slot& slot, int error);
  void Reply(uint64_t unique, int error, const void* body, size_t length);

  const int fd_;
  const int index_;
  Driver& driver_;
  const Geometry geometry_;
  RingQueueIo io_;
  std::unique_ptr<Queue> queue_;
  std::vector<IoBuffer> buffers_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::vector<Slot*> free_large_;
  std::vector<Slot*> free_small_;
  int in_flight_ = 0;
  FuseAnswer answer_;
  PollOperation poll_;
  bool poll_armed_ = false;
  IoOperation poll_removal_;
  bool in_place_ = false;         // all requests of the last batch were answered in it
  std::optional<bool> blocking_;  // the descriptor, if this has set it
};

}  // namespace diskd::sdk

#endif  // DISKD_DRIVERS_SDK_TRANSPORT_FUSE_SERVER_H_
