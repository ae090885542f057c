// SPDX-License-Identifier: Apache-2.0
//
// A store without conditional PUT as one that has it, for the HEAD of one volume at a time: with
// names that only one owner ever writes, and a lease that says who that is (docs/object-lease.md).
//
// The first replacement of a HEAD by one with another nonce claims the volume and takes minutes;
// FAILED_PRECONDITION then means, as always, that the HEAD is another one by now. Who has claimed a
// volume may use the store until the lease ends; from then on, for good, every call ends with
// FAILED_PRECONDITION and says why. Who has not may read. Edits of a HEAD that leave its owner are
// refused with UNIMPLEMENTED.
//
// Threads: the Scheduler's only; `done` runs there too. Destruction abandons what is under way and
// releases nothing.
#ifndef DISKD_DRIVERS_OBJECT_ENGINE_LEASE_STORE_H_
#define DISKD_DRIVERS_OBJECT_ENGINE_LEASE_STORE_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "drivers/object/engine/lease_clock.h"
#include "drivers/object/engine/options.h"
#include "drivers/object/engine/task.h"
#include "drivers/object/env/scheduler.h"
#include "drivers/object/env/store.h"
#include "drivers/object/format/claim.h"

namespace diskd::object {

class LeaseStore final : public Store {
 public:
  // `on_end`: the volume that was claimed is not ours any more, or could not be claimed.
  LeaseStore(Store* store, Scheduler* scheduler, const Options& options,
             std::function<void(const absl::Status&)> on_end);
  ~LeaseStore() override;

  void Put(Lane lane, const std::string& name, std::shared_ptr<const std::string> body,
           PutCondition condition, PutDone done) override;
  void Get(Lane lane, const std::string& name, std::optional<ByteRange> range,
           GetDone done) override;
  void Head(Lane lane, const std::string& name, HeadDone done) override;
  void List(Lane lane, const std::string& prefix, const std::string& after, ListDone done) override;
  // Of a HEAD: all that the volume's owners and claimants have left, the claim last.
  void Delete(Lane lane, const std::string& name, DeleteDone done) override;

  // FAILED_PRECONDITION: the lease has ended, nothing may be done or answered.
  absl::Status MayAct() const;
  // Stops for good, and says so in the store if nothing is under way: the next owner need not wait
  // for the lease to end.
  Task<void> Release();

 private:
  // What was claimed.
  struct Mine {
    Claim claim;
    bool has_head = false;  // under our own name
    Etag etag;              // of it
  };
  struct Look {
    Claim claim;
    std::optional<Beat> beat;  // none was written yet
  };
  // A HEAD that the store may still get. An attempt can wait for others, and take its time, before
  // it sends what matters: only its end says that nothing is sent any more.
  struct Unanswered {
    std::string body;
    absl::Duration ended;
  };

  // lease_store.cc
  Task<void> PutObject(Lane lane, std::string name, std::shared_ptr<const std::string> body,
                       PutDone done);
  Task<void> GetObject(Lane lane, std::string name, std::optional<ByteRange> range, GetDone done);
  Task<void> ListObjects(Lane lane, std::string prefix, std::string after, ListDone done);
  Task<void> DeleteObject(Lane lane, std::string name, DeleteDone done);
  // One attempt each, of which Release() and DeleteVolume() know.
  Task<absl::StatusOr<Etag>> Write(Lane lane, std::string name,
                                   std::shared_ptr<const std::string> body);
  Task<absl::StatusOr<Etag>> WriteUntil(absl::Duration until, Lane lane, std::string name,
                                        std::shared_ptr<const std::string> body);
  absl::Duration MaySendUntil() const;
  Task<absl::Status> Remove(Lane lane, std::string name);
  void NoteWritten(const absl::Status& status);
  // MayAct(), and the end if it says so.
  absl::Status Check();
  absl::Status CheckCall();
  absl::Status CheckAnswer();

  // lease_head.cc
  Task<void> PutHead(Lane lane, Uuid volume, std::shared_ptr<const std::string> body,
                     PutCondition condition, PutDone done);
  Task<absl::StatusOr<Etag>> Create(Lane lane, Uuid volume,
                                    std::shared_ptr<const std::string> body);
  Task<absl::StatusOr<Etag>> Replace(Lane lane, Uuid volume,
                                     std::shared_ptr<const std::string> body, Etag etag);
  Task<absl::StatusOr<Etag>> ReplaceOwn(Lane lane, std::shared_ptr<const std::string> body,
                                        Etag etag);
  Task<absl::StatusOr<GetResult>> GetHead(Lane lane, Uuid volume);
  Task<absl::Status> DeleteVolume(Lane lane, Uuid volume);

  // lease_claim.cc
  // Becomes the owner of the volume. FAILED_PRECONDITION: somebody else is and goes on.
  Task<absl::Status> Acquire(Uuid volume, Owner wanted, uint64_t log_id);
  // Waits until nobody uses the volume; `gone`: as was proved at once.
  Task<absl::StatusOr<Claim>> AwaitSilence(Uuid volume, Owner wanted, uint64_t log_id, bool* gone);
  Task<absl::StatusOr<bool>> IsGone(Look look, uint64_t log_id);
  // False: somebody else was faster.
  Task<absl::StatusOr<bool>> StoreClaim(Claim before, Claim claim);
  Task<absl::StatusOr<bool>> Settle(Claim claim, bool gone);
  Task<absl::StatusOr<Owner>> BaseOf(Claim before);
  Task<absl::StatusOr<bool>> HasHead(Uuid volume, Owner owner);
  // One attempt. NOT_FOUND only when the store says so again and again. INTERNAL: damaged.
  Task<absl::StatusOr<Claim>> ReadClaim(Uuid volume);
  Task<absl::StatusOr<std::optional<Beat>>> ReadBeat(Uuid volume, Owner owner);
  Task<absl::StatusOr<Look>> TakeLook(Uuid volume);
  Task<absl::StatusOr<GetResult>> Read(Lane lane, std::string name);
  // Of a HEAD, with several.
  Task<absl::StatusOr<GetResult>> ReadHead(Uuid volume, Owner owner);
  Task<void> WatchClaim();
  Task<void> WatchClock();
  Task<void> KeepBeating(Uuid volume, Owner owner, uint64_t turn);
  Task<absl::Status> SendBeat(Uuid volume, Owner owner, bool released);
  void End(const absl::Status& status);

  // Between two looks whether writes have ended.
  static constexpr absl::Duration kSettlePoll = absl::Milliseconds(20);

  Store* const store_;
  Scheduler* const scheduler_;
  const Options options_;
  const std::function<void(const absl::Status&)> on_end_;
  LeaseClock clock_;

  Owner wanted_;  // what we claim, or have claimed
  std::optional<Mine> mine_;
  absl::Status ended_;
  std::optional<Unanswered> unanswered_head_;
  int writes_under_way_ = 0;
  absl::Duration last_unanswered_ = -absl::InfiniteDuration();  // when a write ended so
  uint64_t beating_ = 0;                                        // +1 whenever beats begin or stop
  uint64_t beats_ = 0;
  TaskSet tasks_;  // last: its tasks use everything above
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_ENGINE_LEASE_STORE_H_
