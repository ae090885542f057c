// SPDX-License-Identifier: Apache-2.0
//
// An object volume: a disk whose writes go to a local log and from there, as a gap-free prefix, to
// immutable objects in a store. docs/object-volumes.md tells how the parts work together.
//
// Threads: everything on the Scheduler's thread; callbacks of the store must be brought there.
// Callbacks given to the engine run on it too, possibly inside the call.
//
// Ends: Close() in order; or by destruction at any time, which is a crash: callbacks not yet called
// never are. The environment outlives the engine, and completes nothing of it after that.
#ifndef DISKD_DRIVERS_OBJECT_ENGINE_ENGINE_H_
#define DISKD_DRIVERS_OBJECT_ENGINE_ENGINE_H_

#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "drivers/object/engine/block_map.h"
#include "drivers/object/engine/block_reader.h"
#include "drivers/object/engine/body_memory.h"
#include "drivers/object/engine/diff.h"
#include "drivers/object/engine/head_keeper.h"
#include "drivers/object/engine/lease_store.h"
#include "drivers/object/engine/map_tree.h"
#include "drivers/object/engine/map_writer.h"
#include "drivers/object/engine/memory_budget.h"
#include "drivers/object/engine/object_ages.h"
#include "drivers/object/engine/options.h"
#include "drivers/object/engine/read_ahead.h"
#include "drivers/object/engine/read_barrier.h"
#include "drivers/object/engine/read_cache.h"
#include "drivers/object/engine/store_client.h"
#include "drivers/object/engine/task.h"
#include "drivers/object/engine/write_log.h"

namespace diskd::object {

struct Environment {
  Store* store = nullptr;
  LogDevice* log = nullptr;
  Scheduler* scheduler = nullptr;
  LogDevice* cache = nullptr;  // of the read cache; nullptr: there is none. May lose anything
  // Of the log (see WriteLog), as the last process has left it.
  absl::Span<std::byte> log_memory;
};

enum class RequestKind : uint8_t { kRead, kWrite, kZero, kFlush };

// In blocks. The memory is block-aligned and valid until `done`.
struct IoRequest {
  RequestKind kind = RequestKind::kFlush;
  bool fua = false;  // kWrite, kZero: durable before done
  Lba lba = 0;
  uint64_t blocks = 0;
  std::byte* data = nullptr;
  std::function<void(absl::Status)> done;
};

enum class EngineState : uint8_t {
  kOpening,
  kServing,
  kFenced,  // another node has the volume; nothing is served any more
  kFailed,  // status() says why; nothing is served any more
  kClosed,
};

struct EngineStats {
  uint64_t uploaded_sequence = 0;
  uint64_t last_sequence = 0;     // of the newest accepted write
  uint64_t dirty_log_bytes = 0;   // of the log, not given back yet
  absl::Duration upload_lag;      // age of the oldest write that is not in the store
  uint64_t kept_log_records = 0;  // that only the memory of the log had at the opening
  uint64_t checkpoints = 0;
  uint64_t objects_deleted = 0;
  uint64_t blocks_moved = 0;
  uint64_t objects_left_out = 0;  // of a pass of collection: they can't be read
  uint64_t blocks_read_ahead = 0;
  uint64_t map_entries = 0;        // held in memory
  uint64_t map_cache_bytes = 0;    // pages of the tree
  uint64_t body_bytes_most = 0;    // of objects being made or stored, at the same time, ever
  uint64_t packed_data_bytes = 0;  // of uploaded objects, before packing...
  uint64_t stored_data_bytes = 0;  // ...and after it
  StoreCounters store;
  CacheCounters cache;
};

class Engine {
 public:
  using Done = std::function<void(absl::Status)>;

  Engine(const Environment& environment, const Uuid& volume, const Options& options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Takes the volume over from whoever has it and recovers it; with Fencing::kLease only from who
  // is silent, which takes minutes. NOT_FOUND: no such volume.
  // DATA_LOSS: something that must be there is not; nothing was changed but HEAD's owner.
  void Open(Done done);
  // After Open. Ranges must be within the volume. `more`: another one comes at once, which may
  // share work with this one; the last one begins what is left.
  void Submit(IoRequest request, bool more = false);
  // A state of the disk between the call and `done`; it contains everything answered before.
  void CreateSnapshot(std::string name, std::function<void(absl::StatusOr<uint64_t>)> done);
  void DeleteSnapshot(uint64_t id, Done done);
  // Makes the disk what the snapshot is, in size too. No request may be in flight.
  void RollBack(uint64_t id, Done done);
  // Reads the disk as it was when HEAD or a snapshot named this root.
  void ReadRoot(PagePointer root, Lba lba, uint64_t blocks, std::byte* into, Done done);
  // What `to` has changed since `from`, as Volumes::Diff; to == 0: everything answered before the
  // call, and perhaps more. Later parts of one answer may see a later state.
  void Diff(uint64_t from, uint64_t to, Lba begin, size_t max_extents,
            std::function<void(absl::StatusOr<DiffPage>)> done);
  // One pass of garbage collection.
  void Collect(Done done);
  // Changes the size, at once and for good. Growing: the new blocks are zeros; they may be used
  // after `done`. Shrinking: what lies behind the new end is gone, and no request for it may come
  // or be in flight any more. Snapshots keep their sizes.
  void Resize(uint64_t size_blocks, Done done);
  // Everything answered onto the log's device.
  void SettleLog(Done done) { log_.Flush(std::move(done)); }
  // Everything into the store, then no more requests.
  void Close(Done done);

  EngineState state() const;
  const absl::Status& status() const { return failure_; }
  const Head& head() const { return head_.head(); }
  EngineStats stats() const;

 private:
  static constexpr uint64_t kNoTruncation = ~uint64_t{0};
  static constexpr uint64_t kManyFreed = ~uint64_t{0} / 2;  // nobody knows how many

  struct Batch;  // an object on its way to the store
  struct Victims;
  struct Sparse;

  // engine.cc
  std::unique_ptr<LeaseStore> MakeLease();
  void OnLeaseEnd(const absl::Status& status);
  void Fail(const absl::Status& status);
  void Start(IoRequest request);
  void SubmitWrite(IoRequest request);
  void SubmitFlush(Done done);
  Task<void> RemoteFlush(WriteSequence target, Done done);
  void OnWritten(const LogRecord& record);
  void AddToOverlay(const LogRecord& record);
  uint64_t FreshId();

  // recovery.cc
  Task<absl::Status> Recover();
  Task<absl::StatusOr<std::optional<LogSuperblock>>> TakeOver();
  Task<absl::Status> RollForward();
  Task<absl::Status> RollStream(Stream stream, uint32_t from);
  Task<absl::Status> FetchHeader(Stream stream, uint32_t sequence,
                                 absl::StatusOr<ObjectHeader>* into);
  Task<absl::StatusOr<ObjectHeader>> CreateSeal(Stream stream, uint32_t sequence);
  Task<absl::Status> CheckNothingLost(Stream stream, uint32_t end);
  absl::Status ApplyRolled(const Stream& stream, const ObjectHeader& header);
  void NoteEnds(Head& head) const;
  Task<absl::Status> ReplayLog(LogSuperblock superblock);

  // upload.cc
  Task<void> UploadLoop();
  bool CutNow() const;
  bool ObjectFull() const;
  bool Bursting() const;
  void NoteBurst();
  std::shared_ptr<Batch> Cut();
  Task<void> Upload(std::shared_ptr<Batch> batch);
  Task<std::string> NewBody(uint64_t bytes);
  void ArmBodyTimer();
  Task<absl::Status> FillBody(const Batch& batch, char* blocks);
  Task<absl::StatusOr<size_t>> ReadSources(const Batch& batch, size_t at, AlignedBuffer& into);
  void ApplyUploaded();
  bool WorthCaching() const;
  Task<void> CacheUploaded(const Batch& batch, absl::string_view blocks);
  void Apply(const Batch& batch);
  void AddToDelta(uint16_t stream, const ObjectHeader& header);
  Task<absl::Status> WaitUploaded(WriteSequence target);
  void ArmUploadTimer();
  void ArmBurstTimer();

  // checkpoint.cc
  Task<void> CheckpointLoop();
  bool CollectNow() const;
  Task<void> CollectBeside(bool everything);
  void NoteFreed(uint64_t blocks);
  bool CheckpointDue() const;
  Task<absl::Status> Checkpoint(HeadKeeper::Edit also, const PagePointer* roll_back_to = nullptr,
                                uint64_t truncate_to = kNoTruncation);
  Task<absl::Status> ResizeTo(uint64_t size_blocks);
  Task<absl::StatusOr<DiffPage>> DiffNow(uint64_t from, uint64_t to, Lba begin, size_t max_extents);
  Task<absl::StatusOr<uint64_t>> Snapshot(std::string name);
  Task<absl::Status> RollBackTo(uint64_t id);

  // read.cc
  struct Place {
    enum Kind { kZeros, kLog, kObject, kTree } kind;
    uint64_t run;
    const BlockMap<BlockLocation>* map;  // kObject
  };
  Task<void> Read(IoRequest request);
  Task<absl::Status> PersistentRead(Lba lba, uint64_t blocks, std::byte* into);
  Place LookUp(Lba lba, uint64_t limit) const;
  Task<absl::StatusOr<BlockReader::Run>> StoredRun(Place place, Lba lba);
  void StartReadAhead(Lba lba, uint64_t blocks);
  bool FetchedAhead(Lba lba, uint64_t blocks) const;
  bool NeedsStore(Lba lba, uint64_t blocks) const;
  Task<void> FetchAhead(std::list<ReadAhead::Range>::iterator range);
  Task<absl::Status> ReadRange(Lba lba, uint64_t blocks, std::byte* into);
  Task<absl::Status> ReadLog(std::vector<LogBlock> places, std::byte* into);
  std::vector<LogBlock> LogRun(Lba lba, uint64_t limit) const;
  static std::vector<BlockLocation> ObjectRun(const BlockMap<BlockLocation>& map, Lba lba,
                                              uint64_t limit);

  // collect.cc
  Task<absl::Status> CollectOnce();
  Task<absl::Status> Insist(std::function<Task<absl::Status>()> attempt);
  using PagePtr = std::shared_ptr<const MapPage>;
  struct PagePair {  // of two roots, at the same place
    PagePtr page;
    PagePtr before;  // nullptr: there is none
    PagePointer PageBefore(size_t slot) const {
      return before == nullptr ? PagePointer{} : before->pages[slot];
    }
  };
  Task<absl::Status> Walk(PagePointer root, PagePointer before, bool pinned, Victims& victims);
  Task<absl::Status> WalkPage(PagePointer at, PagePair pages, bool pinned, bool force,
                              Victims& victims);
  Task<absl::Status> LoadPages(PagePointer at, PagePointer before, PagePair* into);
  Task<absl::Status> LoadPage(PagePointer at, PagePtr* into);
  Task<absl::Status> DeleteUnreached(Victims& victims);
  Task<absl::Status> DeleteOne(std::string name);
  Task<absl::Status> ListCandidates(uint32_t side_floor, Victims& victims);
  Task<absl::Status> DeleteDead(Victims& victims);

  // collect_move.cc
  Task<absl::Status> CountBlocks(Stream stream, uint32_t sequence, uint64_t* into);
  Task<absl::StatusOr<std::vector<Sparse>>> FindSparse(const Victims& victims);
  Task<absl::Status> MoveLive(Victims& victims);
  Task<absl::Status> MoveRound(Victims& victims);
  Task<absl::Status> StoreReadable(std::vector<std::pair<Lba, BlockLocation>> live,
                                   Victims& victims);
  bool LeftOut(uint64_t key) const;
  void LeaveOut(const Head& head, uint64_t key, const absl::Status& problem);
  Task<absl::Status> ReadRun(std::vector<BlockLocation> places, char* into, Victims& victims);
  Task<absl::Status> StoreMoved(const std::vector<std::pair<Lba, BlockLocation>>& live,
                                Victims& victims);

  const Environment environment_;
  const Uuid volume_;
  const Options options_;
  const std::unique_ptr<LeaseStore> lease_;  // Fencing::kLease; else nullptr
  StoreClient store_;
  MemoryBudget bodies_;  // of data objects that are being made or stored
  const std::shared_ptr<BodyMemory> body_memory_;
  ReadBarrier log_readers_;
  // Apart: the store may keep one waiting that the log's space must not wait for.
  ReadBarrier object_readers_;
  HeadKeeper head_;
  MapTree tree_;
  ReadCache cache_;
  BlockReader blocks_;
  ReadAhead read_ahead_;
  std::list<ReadAhead::Range> ahead_;  // being fetched
  WriteLog log_;

  EngineState state_ = EngineState::kOpening;
  absl::Status failure_;

  // Written, not in the store: where in the log.
  BlockMap<LogBlock> overlay_;
  // In the store, not in the tree: since the last checkpoint, and being merged by the current one.
  BlockMap<BlockLocation> delta_;
  BlockMap<BlockLocation> frozen_;
  Moves moves_;  // wait for a checkpoint
  PagePointer root_;

  Stream stream_;  // ours
  uint32_t next_object_ = 1;
  uint32_t next_side_ = kFirstSideSequence;
  uint32_t confirmed_ = 0;  // our objects up to here are stored and applied
  WriteSequence uploaded_sequence_ = 0;
  WriteSequence urgent_sequence_ = 0;  // upload up to here without delay
  uint64_t cut_lsn_ = 1;               // next record to put into an object
  uint64_t uncut_ops_ = 0;             // in the records from there on
  std::deque<std::shared_ptr<Batch>> uploading_;
  bool upload_timer_ = false;
  bool burst_timer_ = false;
  absl::Duration burst_begin_ = -absl::InfiniteDuration();
  absl::Duration burst_end_ = -absl::InfiniteDuration();  // the last write so far
  bool body_timer_ = false;
  bool checkpointing_ = false;
  int caching_ = 0;  // uploaded objects on their way into the read cache
  int objects_since_checkpoint_ = 0;
  int objects_since_collect_ = 0;
  size_t stored_objects_ = 0;  // of the last pass: what was in use
  ObjectAges::Passes passes_;
  // Objects that a pass could not read: until when the next ones leave them out.
  absl::flat_hash_map<uint64_t, absl::Duration> left_out_;
  absl::Duration left_out_quiet_until_;
  std::string collect_after_;  // where the next pass goes on; "": at the start
  bool collecting_ = false;    // a pass that nobody has asked for
  uint64_t freed_blocks_ = 0;  // since the last one
  bool freed_timer_ = false;
  bool freed_due_ = false;                        // a pass for them
  absl::flat_hash_map<uint16_t, uint32_t> ends_;  // of streams that have a seal

  EngineStats stats_;
  Signal upload_work_;
  Signal ahead_done_;
  Signal progress_;  // an upload was applied, or the engine has failed
  Mutex checkpoint_mutex_;
  Mutex collect_mutex_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  TaskSet tasks_;  // last: its tasks use everything above
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_ENGINE_ENGINE_H_
