// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/store/lane_threads.h"

#include <pthread.h>

#include <utility>

#include "absl/strings/str_cat.h"

namespace diskd::object {

LaneThreads::LaneThreads(const std::string& name, int threads) {
  for (int i = 0; i < threads; ++i) {
    threads_.emplace_back(&LaneThreads::Run, this);
    pthread_setname_np(threads_.back().native_handle(),
                       absl::StrCat("store-", name).substr(0, 15).c_str());
  }
}

LaneThreads::~LaneThreads() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  for (std::thread& thread : threads_) thread.join();
}

void LaneThreads::Add(std::function<void()> work) {
  absl::MutexLock lock(&mutex_);
  queue_.push_back(std::move(work));
}

void LaneThreads::Run() {
  const auto ready = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return !queue_.empty() || (stopping_ && busy_ == 0);
  };
  while (true) {
    std::function<void()> work;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(&ready));
      if (queue_.empty()) return;
      work = std::move(queue_.front());
      queue_.pop_front();
      ++busy_;
    }
    work();
    work = nullptr;  // its captures go before the thread counts as idle
    absl::MutexLock lock(&mutex_);
    --busy_;
  }
}

}  // namespace diskd::object
