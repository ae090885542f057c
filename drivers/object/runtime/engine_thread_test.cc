// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/runtime/engine_thread.h"

#include <sys/mman.h>

#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"

namespace diskd::object {
namespace {

class EngineThreadTest : public testing::Test {
 protected:
  // Behind everything that was posted before.
  void PostAndWait(const std::function<void()>& fn) {
    absl::Notification done;
    engine_->Post([&] {
      fn();
      done.Notify();
    });
    done.WaitForNotification();
  }
  // The engine's thread may have the turn for a moment.
  void Turn(
      absl::FunctionRef<void()> fn, absl::FunctionRef<void()> answer = [] {}, bool wait = true) {
    while (!engine_->TryTurn(
        fn, [wait] { return wait; }, answer))
      std::this_thread::yield();
  }
  FileOperation Write(std::function<void(int)> done) {
    return {FileOperation::Kind::kWrite, file_.get(), data_, sizeof data_, 0, std::move(done)};
  }

  std::byte data_[16] = {};
  const Fd file_{memfd_create("engine-thread-test", MFD_CLOEXEC)};
  std::unique_ptr<EngineThread> engine_ = *EngineThread::Start();
};

TEST_F(EngineThreadTest, Turn_RunsHere_BehindWhatWasPosted_ThenAnswers) {
  std::string order;
  absl::Notification go;
  engine_->Post([&] { go.WaitForNotification(); });
  engine_->Post([&] { order += 'a'; });
  go.Notify();
  std::thread::id thread;
  Turn(
      [&] {
        thread = std::this_thread::get_id();
        order += 'b';
      },
      [&] { order += 'c'; });
  EXPECT_EQ(order, "abc");
  EXPECT_EQ(thread, std::this_thread::get_id());
}

TEST_F(EngineThreadTest, Turn_IsRefused_WhileAnotherHasIt) {
  absl::Notification begun;
  absl::Notification go;
  engine_->Post([&] {
    begun.Notify();
    go.WaitForNotification();
  });
  begun.WaitForNotification();
  EXPECT_FALSE(engine_->TryTurn([] { FAIL(); }, [] { return true; }, [] { FAIL(); }));
  go.Notify();
  PostAndWait([] {});
}

TEST_F(EngineThreadTest, LoneOperation_IsDoneHere_AndWhatFollowsIt) {
  std::string order;
  Turn(
      [&] {
        engine_->StartOperation(Write([&](int result) {
          EXPECT_EQ(result, sizeof data_);
          order += 'w';
          engine_->StartOperation(
              {FileOperation::Kind::kFlush, file_.get(), nullptr, 0, 0, [&](int result) {
                 EXPECT_EQ(result, 0);
                 EXPECT_EQ(engine_->in_flight(), 0u);
                 order += 'f';
               }});
        }));
        EXPECT_EQ(engine_->in_flight(), 1u);
      },
      [&] { order += 'a'; });
  EXPECT_EQ(order, "wfa");
}

TEST_F(EngineThreadTest, SeveralOperations_AreDoneByTheEnginesThread) {
  std::thread::id engine;
  PostAndWait([&] { engine = std::this_thread::get_id(); });
  absl::Notification done[2];
  Turn([&] {
    for (absl::Notification& one : done) {
      engine_->StartOperation(Write([&](int result) {
        EXPECT_EQ(result, sizeof data_);
        EXPECT_EQ(std::this_thread::get_id(), engine);
        one.Notify();
      }));
    }
  });
  for (absl::Notification& one : done) one.WaitForNotification();
}

TEST_F(EngineThreadTest, LoneOperation_IsLeftToTheEnginesThread_IfNobodyIsToWait) {
  std::thread::id engine;
  PostAndWait([&] { engine = std::this_thread::get_id(); });
  absl::Notification done;
  const auto start = [&] {
    engine_->StartOperation(Write([&](int) {
      EXPECT_EQ(std::this_thread::get_id(), engine);
      done.Notify();
    }));
  };
  Turn(
      start, [] {}, /*wait=*/false);
  done.WaitForNotification();
}

// Who is answered by the first one does not wait for the second.
TEST_F(EngineThreadTest, LoneOperations_AreDoneHere_AsLongAsSomebodyWaits) {
  std::thread::id engine;
  PostAndWait([&] { engine = std::this_thread::get_id(); });
  bool answered = false;
  absl::Notification done;
  const auto start = [&] {
    engine_->StartOperation(Write([&](int) {
      EXPECT_NE(std::this_thread::get_id(), engine);
      answered = true;
      engine_->StartOperation(Write([&](int) {
        EXPECT_EQ(std::this_thread::get_id(), engine);
        done.Notify();
      }));
    }));
  };
  while (!engine_->TryTurn(
      start, [&] { return !answered; }, [&] { EXPECT_TRUE(answered); })) {
  }
  done.WaitForNotification();
}

TEST_F(EngineThreadTest, FailedOperation_GivesItsErrno) {
  const Fd none;
  int result = 0;
  Turn([&] {
    engine_->StartOperation({FileOperation::Kind::kRead, none.get(), data_, sizeof data_, 0,
                             [&](int error) { result = error; }});
  });
  EXPECT_EQ(result, -EBADF);
}

// Which sleeps for longer than that, in most rounds at least.
TEST_F(EngineThreadTest, TimerOfATurn_WakesTheEnginesThread) {
  for (int round = 0; round < 20; ++round) {
    PostAndWait([] {});
    absl::Notification done;
    Turn([&] { engine_->After(absl::Milliseconds(5), [&] { done.Notify(); }); });
    done.WaitForNotification();
  }
}

// What yields by a timer of no delay must not keep operations and requests from being looked at.
TEST_F(EngineThreadTest, TimersWithoutEnd_LetOthersHaveTheirTurn) {
  bool stop = false;  // belongs to the engine
  absl::Notification ended;
  std::function<void()> again = [&] {
    if (stop) return ended.Notify();
    engine_->After(absl::ZeroDuration(), again);
  };
  PostAndWait(again);
  absl::Notification written;
  PostAndWait([&] { engine_->StartOperation(Write([&](int) { written.Notify(); })); });
  written.WaitForNotification();
  Turn([&] { stop = true; });
  ended.WaitForNotification();
}

// Each waits for its answer before the next: a wake-up that is lost ends the test by its time.
TEST_F(EngineThreadTest, PostsOfManyThreads_AreAllRun) {
  constexpr int kThreads = 4;
  constexpr int kPosts = 5000;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([this] {
      for (int post = 0; post < kPosts; ++post) PostAndWait([] {});
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(EngineThreadTest, Afterwards_ComesOnce_BehindTheAnswersOfThePosts) {
  std::string order;
  absl::Notification go;
  absl::Notification done;
  engine_->Post([&] { go.WaitForNotification(); });
  engine_->Post([&] {
    order += 'a';
    engine_->Afterwards([&] {
      order += 'z';
      done.Notify();
    });
  });
  engine_->Post([&] { order += 'b'; });
  go.Notify();
  done.WaitForNotification();
  EXPECT_EQ(order, "abz");
}

TEST_F(EngineThreadTest, Afterwards_OfATurn_ComesBehindItsAnswer) {
  std::string order;
  const auto start = [&] { engine_->Afterwards([&] { order += 'z'; }); };
  while (!engine_->TryTurn(
      start, [] { return true; }, [&] { order += 'a'; })) {
  }
  EXPECT_EQ(order, "az");
}

// Who has been answered is not kept waiting by the disk.
TEST_F(EngineThreadTest, Afterwards_OfAPost_ComesBeforeALoneOperation) {
  std::string order;
  Turn([&] {
    engine_->Afterwards([&] { order += 'a'; });
    engine_->StartOperation(Write([&](int) { order += 'b'; }));
  });
  EXPECT_EQ(order, "ab");
}

TEST_F(EngineThreadTest, TurnsAndPosts_NeverOverlap) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 20'000;
  int count = 0;  // belongs to the engine
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < kRounds; ++round) {
        const bool here = engine_->TryTurn([&] { ++count; }, [] { return true; }, [] {});
        if (!here) engine_->Post([&] { ++count; });
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  PostAndWait([&] { EXPECT_EQ(count, kThreads * kRounds); });
}

}  // namespace
}  // namespace diskd::object
