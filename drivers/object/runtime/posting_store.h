// SPDX-License-Identifier: Apache-2.0
//
// A store whose answers come on an engine's thread, and that tells what keeps failing, in the log
// and to whoever asks: the engine just tries again.
#ifndef DISKD_DRIVERS_OBJECT_RUNTIME_POSTING_STORE_H_
#define DISKD_DRIVERS_OBJECT_RUNTIME_POSTING_STORE_H_

#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <type_traits>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "base/log.h"
#include "drivers/object/env/store.h"
#include "drivers/object/runtime/engine_thread.h"

namespace diskd::object {

inline constexpr absl::Duration kLogInterval = absl::Seconds(10);
// A store is in trouble when one kind of call has only failed for so long; a refusal shows at once,
// since time alone does not mend it.
inline constexpr absl::Duration kTroubleAfter = absl::Seconds(3);
// Or when a call has no answer for so long, and no other one has either.
inline constexpr absl::Duration kSilenceLimit = absl::Seconds(10);
// A failure that nobody has followed up says nothing any more.
inline constexpr absl::Duration kForgetAfter = absl::Minutes(1);

class PostingStore final : public Store {
 public:
  // Both outlive the store's last answer.
  PostingStore(Store* store, EngineThread* thread) : store_(store), thread_(thread) {}

  void Put(Lane lane, const std::string& name, std::shared_ptr<const std::string> body,
           PutCondition condition, PutDone done) override {
    store_->Put(lane, name, std::move(body), std::move(condition),
                Posted("put", kWrites, std::move(done)));
  }
  void Get(Lane lane, const std::string& name, std::optional<ByteRange> range,
           GetDone done) override {
    store_->Get(lane, name, range, Posted("get", kReads, std::move(done)));
  }
  void Head(Lane lane, const std::string& name, HeadDone done) override {
    store_->Head(lane, name, Posted("head", kReads, std::move(done)));
  }
  void List(Lane lane, const std::string& prefix, const std::string& after,
            ListDone done) override {
    store_->List(lane, prefix, after, Posted("list", kReads, std::move(done)));
  }
  void Delete(Lane lane, const std::string& name, DeleteDone done) override {
    store_->Delete(lane, name, Posted("delete", kWrites, std::move(done)));
  }

  // Calls that the store has answered, so or so. Any thread.
  uint64_t answers() const ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::MutexLock lock(&mutex_);
    return answers_;
  }

  // Since when and why nothing comes of some calls. Any thread.
  struct Outage {
    absl::Time since;
    absl::Status reason;
  };
  std::optional<Outage> outage() const ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::Time now = absl::Now();
    const absl::MutexLock lock(&mutex_);
    std::optional<Outage> found;
    for (const Calls& calls : calls_) {
      const std::optional<Outage> outage = OutageOf(calls, now);
      if (outage.has_value() && (!found.has_value() || outage->since < found->since)) {
        found = outage;
      }
    }
    return found;
  }

 private:
  enum Kind { kReads, kWrites, kKinds };  // either may be refused alone
  struct Calls {
    std::multiset<absl::Time> in_flight;  // when they began
    std::optional<Outage> failing;        // since the last that succeeded
    absl::Time last_failure;
    absl::Time last_answer;
  };

  static std::optional<Outage> OutageOf(const Calls& calls, absl::Time now) {
    const bool idle = calls.in_flight.empty();
    if (calls.failing.has_value() && !(idle && now - calls.last_failure > kForgetAfter)) {
      const bool refused = absl::IsPermissionDenied(calls.failing->reason);
      if (refused || now - calls.failing->since >= kTroubleAfter) return calls.failing;
    }
    if (idle) return std::nullopt;
    const absl::Time silent = std::max(*calls.in_flight.begin(), calls.last_answer);
    if (now - silent < kSilenceLimit) return std::nullopt;
    return Outage{silent, absl::DeadlineExceededError("no answer")};
  }

  template <class Result>
  std::function<void(Result)> Posted(const char* call, Kind kind,
                                     std::function<void(Result)> done) {
    const absl::Time begin = absl::Now();
    {
      const absl::MutexLock lock(&mutex_);
      calls_[kind].in_flight.insert(begin);
    }
    return [this, call, kind, begin, done = std::move(done)](Result result) {
      thread_->Post([this, call, kind, begin, done, result = std::move(result)]() mutable {
        if constexpr (std::is_same_v<Result, absl::Status>) {
          Note(call, kind, begin, result);
        } else {
          Note(call, kind, begin, result.status());
        }
        done(std::move(result));
      });
    };
  }
  // On the thread.
  void Note(const char* call, Kind kind, absl::Time begin, const absl::Status& status)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    const bool unreadable = absl::IsUnknown(status);
    // All of these are answers.
    const bool answered =
        status.ok() || absl::IsNotFound(status) || absl::IsFailedPrecondition(status) || unreadable;
    {
      const absl::MutexLock lock(&mutex_);
      Calls& calls = calls_[kind];
      calls.in_flight.erase(calls.in_flight.find(begin));
      calls.last_answer = absl::Now();
      if (answered) {
        calls.failing.reset();
        ++answers_;
        if (!unreadable) return;
      } else {
        if (!calls.failing.has_value()) calls.failing = Outage{begin, status};
        calls.failing->reason = status;
        calls.last_failure = calls.last_answer;
      }
    }
    ++failures_;
    if (thread_->Now() < quiet_until_) return;
    SPDLOG_WARN("the store fails ({} times so far), trying again: {}: {}", failures_, call,
                status.ToString());
    quiet_until_ = thread_->Now() + kLogInterval;
  }

  Store* const store_;
  EngineThread* const thread_;
  mutable absl::Mutex mutex_;
  std::array<Calls, kKinds> calls_ ABSL_GUARDED_BY(mutex_);
  uint64_t answers_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t failures_ = 0;
  absl::Duration quiet_until_;
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_RUNTIME_POSTING_STORE_H_
