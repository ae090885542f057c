// SPDX-License-Identifier: Apache-2.0
//
// The interface a storage engineer implements to make a disk.
//
// A driver answers block requests: it is asked for its geometry once and then
// gets a stream of requests per queue. The SDK serves the same driver over any
// transport (kernel module `buse`, FUSE + loop) and runs the process around it
// (control socket, sandbox, threads); see drivers/sdk/main.h and the complete
// driver in drivers/example.
//
// Life cycle of a driver process (a successor under live I/O: see Driver::TakeOver):
//   DriverDefinition::provision     once in the volume's life, creates the backing store
//   DriverDefinition::open          in each process, gives the Driver below
//   Driver::OpenQueue, then Submit  once per queue; all further calls on the queue's thread
//   ~Driver                         after every queue is closed and every request is answered
//   DriverDefinition::deprovision   once, removes the backing store
//
// Synchronous drivers derive from SyncDriver and write plain functions.
// Asynchronous ones implement Driver and complete requests later, usually by
// operations on the queue's io_uring.
#ifndef DISKD_DRIVERS_SDK_DRIVER_H_
#define DISKD_DRIVERS_SDK_DRIVER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

namespace diskd::sdk {

// What the disk looks like to the kernel. Units are bytes.
struct Geometry {
  uint64_t size_bytes = 0;  // multiple of logical_block_bytes
  uint32_t logical_block_bytes = 512;
  uint32_t physical_block_bytes = 4096;
  uint32_t io_opt_bytes = 0;  // 0: no preference
  bool read_only = false;
  // True: completed writes may be lost in a power cut until a kFlush completes.
  bool volatile_cache = false;
  // True: the driver honours Request::fua itself; else the kernel sends a flush after the write.
  bool fua = false;
  bool discard = false;
  bool write_zeroes = false;
  uint32_t discard_granularity_bytes = 4096;
  // True: small neighbouring requests are merged into larger ones, and the disk can have a
  // scheduler. False, for a driver to which a request costs next to nothing, a flush too (these are
  // not combined then): it gets them as they come, with a tenth less work in the kernel for each.
  // Over FUSE it makes no difference.
  bool merging = true;
};

enum class Op : uint8_t { kRead, kWrite, kFlush, kDiscard, kWriteZeroes };

// One block request. Owned by the transport; valid until Complete() is called.
//
// Results are errno values on this path (0 or positive: EIO, ENOSPC, ...) because that is what
// the kernel takes and because a result must not allocate.
class Request {
 public:
  Op op = Op::kRead;
  bool fua = false;       // kWrite, kWriteZeroes: durable before completion
  bool no_unmap = false;  // kWriteZeroes: keep the range allocated
  uint32_t length = 0;    // bytes; 0 for kFlush
  uint64_t offset = 0;    // bytes; offset + length <= size_bytes, multiples of the logical block
  std::byte* data = nullptr;    // kRead: fill length bytes; kWrite: holds them; else nullptr
  void* driver_data = nullptr;  // for the driver, nullptr when submitted

  // Answers the request: exactly once, on the queue's thread, with 0 or a positive errno.
  // The request must not be touched afterwards.
  void Complete(int error) { complete_(this, error); }

 protected:
  using CompleteFunction = void (*)(Request*, int error);
  explicit Request(CompleteFunction complete) : complete_(complete) {}
  ~Request() = default;

 private:
  CompleteFunction complete_;
};

class QueueIo;  // drivers/sdk/queue_io.h: the queue's io_uring
class SyncDriver;
class VolumeFeatures;  // drivers/sdk/features.h: snapshots and more

// A driver's view of one queue: everything happens on the queue's own thread, so its members
// need no locks. State shared between queues does.
class Queue {
 public:
  virtual ~Queue() = default;

  // Starts a request. May complete it at once or later; must not block for long (the other
  // requests of the queue wait meanwhile). Requests in flight may complete in any order.
  virtual void Submit(Request& request) = 0;

  // Called after each batch of Submit calls; a place to start what Submit collected.
  virtual void CommitBatch() {}

  // Not null: for reads and writes Submit() does nothing but call this driver's functions and
  // answer. A transport may then call them itself, which is cheaper. Lives as long as the queue.
  virtual SyncDriver* sync_driver() { return nullptr; }
};

// What keeps a driver from its backing store while it serves: I/O may wait for it.
struct Trouble {
  absl::Time since;
  std::string reason;  // and what to do, if anything
};

class Driver {
 public:
  virtual ~Driver() = default;

  // Constant for the life of the object. Any thread.
  virtual Geometry geometry() const = 0;

  // Called on the queue's thread before its first request. `io` outlives the Queue.
  virtual absl::StatusOr<std::unique_ptr<Queue>> OpenQueue(int index, QueueIo& io) = 0;

  // A disk goes from one process to the next while I/O runs (`diskctl driver upgrade`). The next
  // one is opened with VolumeConfig::standby while this one serves; when this one has answered
  // everything, LetGo() is called here and then TakeOver() there. Neither is called while a queue
  // is served.
  //
  // Gives up what only one process may hold. All that was answered must be there for the other to
  // see. If the other one fails, TakeOver() is called here to go on. Not as root any more.
  virtual absl::Status LetGo() { return absl::OkStatus(); }
  // Takes it, and learns what has changed since the open. An error that says why leads back to the
  // other process.
  virtual absl::Status TakeOver() { return absl::OkStatus(); }

  // An error: every request fails from now on, and what the user can do; shown as the state of the
  // disk. Any thread, asked every few seconds, must not block for long.
  virtual absl::Status health() { return absl::OkStatus(); }
  // Asked every few seconds, on the control thread; must not block. For `diskctl ls`. While there
  // is some the disk goes to no other process.
  virtual std::optional<Trouble> trouble() { return std::nullopt; }

  // What it can do while it serves, beside I/O; nullptr: nothing. Lives as long as the driver.
  virtual VolumeFeatures* features() { return nullptr; }
};

// Base of drivers that answer in the calling thread. The functions run on several queue threads
// at once; each returns 0 or a positive errno.
class SyncDriver : public Driver {
 public:
  virtual int Read(uint64_t offset, absl::Span<std::byte> into) = 0;
  virtual int Write(uint64_t offset, absl::Span<const std::byte> from, bool fua) = 0;
  virtual int Flush() { return 0; }
  virtual int Discard(uint64_t offset, uint64_t length);      // EOPNOTSUPP
  virtual int WriteZeroes(uint64_t offset, uint64_t length);  // EOPNOTSUPP

  absl::StatusOr<std::unique_ptr<Queue>> OpenQueue(int index, QueueIo& io) final;
};

// What an open is at.
struct OpeningProgress {
  uint64_t steps = 0;       // more than before: it comes on
  std::string doing;        // or what it waits for; for the user
  absl::Duration expected;  // the whole open, where it is known to take long; at most 6 h
};

// What the volume was created with; handed to every function of a DriverDefinition.
struct VolumeConfig {
  std::string volume_id;
  uint64_t size_bytes = 0;
  uint32_t logical_block_bytes = 0;  // 0: the driver's choice
  bool read_only = false;
  // `open` only: another process serves the volume. Take nothing that it holds, change nothing;
  // Driver::TakeOver() comes before the first request.
  bool standby = false;
  // `open` only: the volume is in use. What a former process has answered must be there, or open
  // has to fail: no other state may come under its users.
  bool successor = false;
  std::string state_dir;  // the volume's own directory, exists, writable by the driver
  // Another one, usually on a file system in memory: what is there outlives the processes of the
  // driver, and ends with the volume or a reboot. Empty: there is none.
  std::string memory_dir;
  std::map<std::string, std::string> parameters;  // checked against the definition's list
  // Likewise. Must never reach a log, a status or a disk; the agent brings them again.
  std::map<std::string, std::string> secrets;
  // `open` and what `at_rest` gives only, in the thread of the call, until that returns: tells the
  // agent what an open that takes long is at. The agent ends one that tells nothing for 30 s (at
  // rest 3 min), no more `steps` than before for 50 s (3 min), or goes on for longer than 15 min
  // and what it `expected`. May be null.
  using TellOpening = std::function<void(const OpeningProgress&)>;
  TellOpening tell_opening;
};

struct ParameterDefinition {
  std::string name;
  std::string description;  // one line for `diskctl driver ls`
  bool own = false;         // what two volumes can't share: a clone does not inherit it
};

// What a driver executable offers. The functions return statuses whose message tells the user
// what to change: INVALID_ARGUMENT (parameters), NOT_FOUND (missing backing store or directory),
// ALREADY_EXISTS, RESOURCE_EXHAUSTED (no space), FAILED_PRECONDITION, INTERNAL.
struct DriverDefinition {
  std::string name;         // as in `volume create --driver NAME`
  std::string description;  // one line
  std::vector<ParameterDefinition> parameters;
  // Creates the backing store. Called again after a crash: the same config must succeed again.
  absl::Status (*provision)(const VolumeConfig&) = nullptr;  // nullptr: nothing to create
  // Removes it. Missing is success.
  absl::Status (*deprovision)(const VolumeConfig&) = nullptr;
  absl::StatusOr<std::unique_ptr<Driver>> (*open)(const VolumeConfig&) = nullptr;
  // What it can do with a volume that no process serves; nullptr: nothing. Used for one request.
  absl::StatusOr<std::unique_ptr<VolumeFeatures>> (*at_rest)(const VolumeConfig&) = nullptr;
  // In place of `provision`: the volume begins as a snapshot of `source`, which may be served
  // meanwhile. nullptr: can't. NOT_FOUND: no such snapshot.
  absl::Status (*clone)(const VolumeConfig&, const VolumeConfig& source,
                        const std::string& snapshot) = nullptr;
  std::vector<std::string> secrets;  // names of those it takes
  // As `clone`, but the volume owes the source nothing, and may be in another store. Called again
  // after a crash it goes on where it was; `deprovision` undoes what there is. ReportProgress()
  // says how far it is.
  absl::Status (*copy)(const VolumeConfig&, const VolumeConfig& source,
                       const std::string& snapshot) = nullptr;
};

// For the agent, which shows it. Best effort, any thread.
void ReportProgress(const VolumeConfig& config, uint64_t bytes_done, uint64_t bytes);

}  // namespace diskd::sdk

#endif  // DISKD_DRIVERS_SDK_DRIVER_H_
