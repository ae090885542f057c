// SPDX-License-Identifier: Apache-2.0
//
// A store with every fault the engine must survive: failures before and after the request is
// applied, requests applied long after their answer, bodies that arrive damaged, outages, refused
// credentials, stale listings, lost objects.
#ifndef DISKD_DRIVERS_OBJECT_SIM_SIM_STORE_H_
#define DISKD_DRIVERS_OBJECT_SIM_SIM_STORE_H_

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "drivers/object/env/store.h"
#include "drivers/object/sim/sim_scheduler.h"

namespace diskd::object {

// Probabilities per request.
struct StoreFaults {
  double fail_before = 0;  // UNAVAILABLE, not applied
  double reply_lost = 0;   // applied, DEADLINE_EXCEEDED
  double late = 0;         // DEADLINE_EXCEEDED, applied up to `latest` later
  double conflict = 0;     // ABORTED
  double damaged = 0;      // Get: a flipped bit that the transport doesn't notice
  double cut_short = 0;    // Get: DATA_LOSS
  double stale_list = 0;
};

class SimStore final : public Store {
 public:
  explicit SimStore(SimScheduler* scheduler) : scheduler_(scheduler) {}

  void Put(Lane lane, const std::string& name, std::shared_ptr<const std::string> body,
           PutCondition condition, PutDone done) override;
  void Get(Lane lane, const std::string& name, std::optional<ByteRange> range,
           GetDone done) override;
  void Head(Lane lane, const std::string& name, HeadDone done) override;
  void List(Lane lane, const std::string& prefix, const std::string& after, ListDone done) override;
  void Delete(Lane lane, const std::string& name, DeleteDone done) override;

  StoreFaults faults;
  absl::Duration latest = absl::Minutes(1);
  // Conditions make no difference; how many there were.
  bool ignores_conditions = false;
  uint64_t ignored_conditions = 0;
  // Of each way; zero: random ones.
  absl::Duration latency;
  // That were made, successful or not.
  struct Requests {
    uint64_t puts = 0;
    uint64_t put_bytes = 0;
    uint64_t gets = 0;
    uint64_t others = 0;
    uint64_t all() const { return puts + gets + others; }
  };
  Requests requests;
  // Of all objects.
  uint64_t StoredBytes() const {
    uint64_t bytes = 0;
    for (const auto& [name, object] : objects_) bytes += object.body->size();
    return bytes;
  }
  // What a Get of one object answers, whatever there is, until then.
  struct ObjectFault {
    absl::Status status;
    absl::Duration until = absl::InfiniteDuration();
    absl::Duration delay;
  };
  std::map<std::string, ObjectFault> object_faults;
  // A PUT that waits in its process before it is sent, and that the store applies so much later
  // than it was sent, without an answer.
  struct PutFault {
    absl::Duration queued;
    absl::Duration late;
  };
  std::function<std::optional<PutFault>(const std::string& name)> put_fault;
  // How much later than it was sent a DELETE is applied, without an answer.
  std::function<std::optional<absl::Duration>(const std::string& name)> delete_fault;
  // Until then every request fails: with UNAVAILABLE, or PERMISSION_DENIED.
  void Outage(absl::Duration length, bool refused) {
    out_until_ = scheduler_->Now() + length;
    refused_ = refused;
  }
  // An object that was stored is gone. False: there is none.
  bool LoseObject(const std::string& spare_suffix);
  // Takes an object away, or flips a bit of it, until Repair(). Its name; "": there is none.
  std::string Damage(const std::string& spare_suffix, bool lose);
  void Repair();
  // Flips a bit of this object, for good.
  void DamageAt(const std::string& name, size_t offset);
  // Whether an object whose name begins so has these bytes in it.
  bool Contains(const std::string& prefix, const std::string& bytes) const {
    for (auto it = objects_.lower_bound(prefix); it != objects_.end(); ++it) {
      if (it->first.compare(0, prefix.size(), prefix) != 0) return false;
      if (it->second.body->find(bytes) != std::string::npos) return true;
    }
    return false;
  }
  // The first object whose name begins so; "": none.
  std::string FindPrefix(const std::string& prefix) const {
    const auto it = objects_.lower_bound(prefix);
    if (it == objects_.end() || it->first.compare(0, prefix.size(), prefix) != 0) return "";
    return it->first;
  }

 private:
  struct Object {
    std::shared_ptr<const std::string> body;
    Etag etag;
    absl::Duration changed;
  };
  absl::Duration Latency();
  absl::Duration Late();
  absl::Status Out() const;
  absl::StatusOr<Etag> Apply(const std::string& name, std::shared_ptr<const std::string> body,
                             const PutCondition& condition);
  GetResult Read(const Object& object, std::optional<ByteRange> range);

  SimScheduler* const scheduler_;
  std::map<std::string, Object> objects_;
  std::map<std::string, Object> deleted_;  // lately: a stale listing shows them
  std::string damaged_;
  Object sound_;  // what it was
  absl::Duration out_until_;
  bool refused_ = false;
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_SIM_SIM_STORE_H_
