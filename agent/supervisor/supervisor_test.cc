// SPDX-License-Identifier: Apache-2.0
#include "agent/supervisor/supervisor.h"

#include <atomic>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "agent/supervisor/driver_calls.h"
#include "agent/supervisor/fake_drivers.h"
#include "gtest/gtest.h"

namespace diskd::agent {
namespace {

constexpr char kVolume[] = "vol-0000000000000001";

SupervisorLimits FastLimits() {
  SupervisorLimits limits;
  limits.restart.first_delay = absl::Milliseconds(1);
  limits.restart.longest_delay = absl::Milliseconds(2);
  limits.ping_interval = absl::Milliseconds(2);
  limits.ping_limit = absl::Milliseconds(20);
  return limits;
}

class SupervisorTest : public testing::Test {
 protected:
  std::unique_ptr<DriverProcess> Start() { return *drivers_.Launch(kVolume, "memory", 0); }
  SupervisedService Service() {
    return {.launch = [this] { return drivers_.Launch(kVolume, "memory", 0); },
            .serve =
                [](DriverProcess& p) {
                  return Serve(p, diskd::v1::TRANSPORT_FUSE, {}, /*resend=*/true, 0);
                },
            .restart = true,
            .give_up =
                [this](const std::string& reason) {
                  gave_up_reason_ = reason;
                  gave_up_.Notify();
                }};
  }
  // Until the health is as wanted; the test's own limit ends a wait that has no end.
  static SupervisorHealth Await(const Supervisor& supervisor,
                                const std::function<bool(const SupervisorHealth&)>& wanted) {
    for (;;) {
      const SupervisorHealth health = supervisor.health();
      if (wanted(health)) return health;
      absl::SleepFor(absl::Milliseconds(1));
    }
  }
  FakeDrivers drivers_;
  absl::Notification gave_up_;
  std::string gave_up_reason_;
};

TEST_F(SupervisorTest, Death_IsFollowedByANewProcessThatServesWithResend) {
  Supervisor supervisor("v", Start(), Service(), FastLimits());
  drivers_.KillProcess(kVolume);
  const auto health = Await(supervisor, [](const auto& h) { return h.restarts == 1; });
  EXPECT_EQ(health.pid, drivers_.PidOf(kVolume));
  EXPECT_EQ(drivers_.resends(), 1);
  EXPECT_TRUE(drivers_.Serving(kVolume));
}

TEST_F(SupervisorTest, HungDriver_IsKilledAndReplaced) {
  Supervisor supervisor("v", Start(), Service(), FastLimits());
  const pid_t first = drivers_.PidOf(kVolume);
  drivers_.Hang(kVolume);
  const auto health = Await(supervisor, [](const auto& h) { return h.restarts == 1; });
  EXPECT_NE(health.pid, first);
}

TEST_F(SupervisorTest, DriverWhoseRequestsFail_IsReportedAndLeftAlone) {
  Supervisor supervisor("v", Start(), Service(), FastLimits());
  const pid_t first = drivers_.PidOf(kVolume);
  drivers_.FailRequests(kVolume, "taken over");
  const auto health = Await(supervisor, [](const auto& h) { return !h.failure.empty(); });
  EXPECT_EQ(health.failure, "taken over");
  EXPECT_EQ(health.pid, first);
  drivers_.KillProcess(kVolume);
  EXPECT_EQ(Await(supervisor, [](const auto& h) { return h.restarts == 1; }).failure, "");
}

TEST_F(SupervisorTest, Resume_SupervisesTheSuccessor) {
  Supervisor supervisor("v", Start(), Service(), FastLimits());
  std::unique_ptr<DriverProcess> former = supervisor.Stop();
  ASSERT_NE(former, nullptr);
  supervisor.Resume(Start(), /*replaced=*/true);
  EXPECT_TRUE(former->Kill());
  EXPECT_EQ(supervisor.health().restarts, 1u);
  EXPECT_EQ(supervisor.health().pid, drivers_.PidOf(kVolume));
  drivers_.KillProcess(kVolume);
  Await(supervisor, [](const auto& h) { return h.restarts == 2; });
}

TEST_F(SupervisorTest, ResumeWithoutAProcess_StartsOneOrGivesUp) {
  Supervisor supervisor("v", Start(), Service(), FastLimits());
  EXPECT_TRUE(supervisor.Stop()->Kill());
  supervisor.Resume(nullptr, /*replaced=*/false);
  Await(supervisor, [](const auto& h) { return h.restarts == 1 && h.pid != 0; });

  SupervisedService service = Service();
  service.restart = false;
  Supervisor fragile("v", Start(), std::move(service), FastLimits());
  EXPECT_TRUE(fragile.Stop()->Kill());
  fragile.Resume(nullptr, /*replaced=*/false);
  EXPECT_TRUE(fragile.health().gave_up);
  EXPECT_NE(gave_up_reason_, "");
}

TEST_F(SupervisorTest, CrashLoop_IsReportedAndRetriedUntilItWorks) {
  drivers_.FailCalls("serve", absl::InternalError("bad store"));
  Supervisor supervisor("v", Start(), Service(), FastLimits());
  drivers_.KillProcess(kVolume);
  const auto looping = Await(
      supervisor, [](const auto& h) { return h.message.find("crash loop") != std::string::npos; });
  EXPECT_EQ(looping.pid, 0);
  EXPECT_NE(looping.message.find("bad store"), std::string::npos) << looping.message;
  drivers_.FailCalls("serve", absl::OkStatus());
  const auto well = Await(supervisor, [](const auto& h) { return h.pid != 0; });
  EXPECT_NE(well.message.find("times in a row"), std::string::npos) << well.message;
}

TEST_F(SupervisorTest, NoRestart_GivesUpOnceWithTheReason) {
  SupervisedService service = Service();
  service.restart = false;
  Supervisor supervisor("v", Start(), service, FastLimits());
  drivers_.KillProcess(kVolume);
  gave_up_.WaitForNotification();
  EXPECT_NE(gave_up_reason_.find("signal 9"), std::string::npos) << gave_up_reason_;
  EXPECT_TRUE(supervisor.health().gave_up);
  EXPECT_EQ(supervisor.Stop(), nullptr);
  EXPECT_EQ(drivers_.launches(), 1);
}

TEST_F(SupervisorTest, LostConnection_GivesUpAtADeathOrBeforeAStart) {
  SupervisedService service = Service();
  std::atomic<bool> lost = false;
  service.lost = [&] { return lost.load(); };
  Supervisor supervisor("v", Start(), service, FastLimits());
  drivers_.KillProcess(kVolume);
  Await(supervisor, [](const auto& h) { return h.restarts == 1; });
  lost = true;
  drivers_.KillProcess(kVolume);
  gave_up_.WaitForNotification();
  EXPECT_TRUE(supervisor.health().gave_up);
  EXPECT_EQ(supervisor.health().pid, 0);
  EXPECT_EQ(drivers_.launches(), 2);

  absl::Notification again;
  service.give_up = [&](const std::string&) { again.Notify(); };
  Supervisor fresh("v", nullptr, service, FastLimits());
  again.WaitForNotification();
  EXPECT_EQ(drivers_.launches(), 2);
}

TEST_F(SupervisorTest, Stop_HandsTheProcessOverRunning) {
  Supervisor supervisor("v", Start(), Service(), FastLimits());
  const auto process = supervisor.Stop();
  ASSERT_NE(process, nullptr);
  EXPECT_TRUE(drivers_.Running(kVolume));
  EXPECT_TRUE(Ping(*process, absl::Seconds(1)).ok());
}

TEST_F(SupervisorTest, Stop_DoesNotWaitForAHungStart) {
  SupervisedService service = Service();
  absl::Notification serving;
  service.serve = [&](DriverProcess& p) {
    drivers_.Hang(kVolume);
    serving.Notify();
    return Ping(p, absl::InfiniteDuration());
  };
  Supervisor supervisor("v", nullptr, service, FastLimits());
  serving.WaitForNotification();
  EXPECT_EQ(supervisor.Stop(), nullptr);
  EXPECT_FALSE(drivers_.Running(kVolume));
}

}  // namespace
}  // namespace diskd::agent
