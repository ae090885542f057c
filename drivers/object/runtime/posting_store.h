// SPDX-License-Identifier: Apache-2.0
//
// A store whose answers come on an engine's thread, and that tells the log what keeps failing: the
// engine just tries again.
#ifndef DISKD_DRIVERS_OBJECT_RUNTIME_POSTING_STORE_H_
#define DISKD_DRIVERS_OBJECT_RUNTIME_POSTING_STORE_H_

#include <memory>
#include <type_traits>
#include <utility>

#include "base/log.h"
#include "drivers/object/env/store.h"
#include "drivers/object/runtime/engine_thread.h"

namespace diskd::object {

inline constexpr absl::Duration kLogInterval = absl::Seconds(10);

class PostingStore final : public Store {
 public:
  // Both outlive the store's last answer.
  PostingStore(Store* store, EngineThread* thread) : store_(store), thread_(thread) {}

  void Put(Lane lane, const std::string& name, std::shared_ptr<const std::string> body,
           PutCondition condition, PutDone done) override {
    store_->Put(lane, name, std::move(body), std::move(condition), Posted("put", std::move(done)));
  }
  void Get(Lane lane, const std::string& name, std::optional<ByteRange> range,
           GetDone done) override {
    store_->Get(lane, name, range, Posted("get", std::move(done)));
  }
  void Head(Lane lane, const std::string& name, HeadDone done) override {
    store_->Head(lane, name, Posted("head", std::move(done)));
  }
  void List(Lane lane, const std::string& prefix, const std::string& after,
            ListDone done) override {
    store_->List(lane, prefix, after, Posted("list", std::move(done)));
  }
  void Delete(Lane lane, const std::string& name, DeleteDone done) override {
    store_->Delete(lane, name, Posted("delete", std::move(done)));
  }

 private:
  template <class Result>
  std::function<void(Result)> Posted(const char* call, std::function<void(Result)> done) {
    return [this, call, done = std::move(done)](Result result) {
      thread_->Post([this, call, done, result = std::move(result)]() mutable {
        if constexpr (std::is_same_v<Result, absl::Status>) {
          Note(call, result);
        } else {
          Note(call, result.status());
        }
        done(std::move(result));
      });
    };
  }
  // On the thread.
  void Note(const char* call, const absl::Status& status) {
    // The last two are answers.
    if (status.ok() || absl::IsNotFound(status) || absl::IsFailedPrecondition(status)) return;
    ++failures_;
    if (thread_->Now() < quiet_until_) return;
    SPDLOG_WARN("the store fails ({} times so far), trying again: {}: {}", failures_, call,
                status.ToString());
    quiet_until_ = thread_->Now() + kLogInterval;
  }

  Store* const store_;
  EngineThread* const thread_;
  uint64_t failures_ = 0;
  absl::Duration quiet_until_;
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_RUNTIME_POSTING_STORE_H_
