// SPDX-License-Identifier: Apache-2.0
//
// Keeps what readers may still use: whoever wants to reuse log space or delete an object first
// waits until every read that began before has ended.
#ifndef DISKD_DRIVERS_OBJECT_ENGINE_READ_BARRIER_H_
#define DISKD_DRIVERS_OBJECT_ENGINE_READ_BARRIER_H_

#include <cstdint>

#include "absl/container/btree_set.h"
#include "drivers/object/engine/task.h"

namespace diskd::object {

class ReadBarrier {
 public:
  explicit ReadBarrier(Scheduler* scheduler) : changed_(scheduler) {}

  // Covers a reader from its look-up of a place to the end of its reading there.
  class Reader {
   public:
    explicit Reader(ReadBarrier* barrier) : barrier_(barrier), id_(barrier->next_++) {
      barrier_->active_.insert(id_);
    }
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;
    ~Reader() {
      const bool oldest = *barrier_->active_.begin() == id_;
      barrier_->active_.erase(id_);
      if (oldest) barrier_->changed_.Notify();
    }

   private:
    ReadBarrier* const barrier_;
    const uint64_t id_;
  };

  Task<void> WaitForReaders() {
    const uint64_t before = next_;
    while (!active_.empty() && *active_.begin() < before) co_await changed_.Wait();
  }

 private:
  uint64_t next_ = 0;
  absl::btree_set<uint64_t> active_;
  Signal changed_;
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_ENGINE_READ_BARRIER_H_
