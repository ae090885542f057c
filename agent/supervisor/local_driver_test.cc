// SPDX-License-Identifier: Apache-2.0
#include "agent/supervisor/local_driver.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "agent/paths/volume_paths.h"
#include "agent/supervisor/driver_calls.h"
#include "agent/supervisor/driver_log.h"
#include "agent/supervisor/fake_drivers.h"
#include "base/packet_socket.h"
#include "gtest/gtest.h"

namespace diskd::agent {
namespace {

constexpr char kVolume[] = "vol-0000000000000001";
constexpr absl::Duration kSoon = absl::Seconds(20);

std::string ContentOf(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

// Scripts stand for driver executables: enough for everything but an answer.
class LocalDriverTest : public testing::Test {
 protected:
  void SetUp() override {
    run_dir_ = testing::TempDir() + "/run.XXXXXX";
    ASSERT_NE(mkdtemp(run_dir_.data()), nullptr);
    catalog_.path = run_dir_ + "/diskd-driver-script";
  }
  void WriteScript(const std::string& script) {
    std::ofstream(catalog_.path) << "#!/bin/sh\n" << script << "\n";
    chmod(catalog_.path.c_str(), 0755);
  }
  std::unique_ptr<DriverProcess> Launch(const std::string& script) {
    WriteScript(script);
    auto process = launcher().Launch(kVolume, "script", 0);
    EXPECT_TRUE(process.ok()) << process.status();
    return *std::move(process);
  }
  LocalDriverLauncher launcher() { return LocalDriverLauncher(run_dir_, &catalog_, {}); }

  struct OneDriver : DriverCatalog {
    std::vector<diskd::v1::DriverInfo> List() override {
      diskd::v1::DriverInfo info;
      info.set_name("script");
      info.set_path(path);
      return {info};
    }
    absl::StatusOr<std::string> FindExecutable(const std::string& name) override {
      if (name != "script") return absl::NotFoundError("no driver " + name);
      return path;
    }
    absl::StatusOr<Program> FindProgram(const std::string& name) override { return Program(); }
    std::string path;
  };
  std::string run_dir_;
  OneDriver catalog_;
};

TEST_F(LocalDriverTest, SilentDriver_CallEndsAtTheLimitAndByInterrupt) {
  auto process = Launch("exec sleep 1000");
  EXPECT_TRUE(absl::IsDeadlineExceeded(Ping(*process, absl::Milliseconds(5))));
  process->Interrupt();
  EXPECT_TRUE(absl::IsCancelled(Ping(*process, kSoon)));
  process->Resume();
  EXPECT_TRUE(absl::IsDeadlineExceeded(Ping(*process, absl::Milliseconds(5))));
  EXPECT_TRUE(process->Kill());
}

TEST_F(LocalDriverTest, DriverThatExits_CallSaysHowItEnded) {
  auto process = Launch("exit 5");
  const absl::Status status = Ping(*process, kSoon);
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_NE(status.message().find("exit status 5"), absl::string_view::npos) << status;
  EXPECT_NE(status.message().find("driver.log"), absl::string_view::npos) << status;
}

TEST_F(LocalDriverTest, RunningDriver_IsFoundByAnotherLauncherAndGoneAfterItsEnd) {
  // A script that stays one program: while a process changes its program, its environment can't be
  // read, and a busy machine makes that last.
  auto process =
      Launch(absl::StrCat("mkfifo ", run_dir_, "/never && read x <>", run_dir_, "/never"));
  auto adopted = launcher().Adopt(kVolume);
  while (adopted.empty()) adopted = launcher().Adopt(kVolume);
  EXPECT_EQ(adopted[0]->pid(), process->pid());
  EXPECT_EQ(adopted[0]->slot(), 0);
  EXPECT_EQ(launcher().List(), std::vector<std::string>{kVolume});
  EXPECT_TRUE(adopted[0]->Kill());
  EXPECT_TRUE(process->WaitExit(kSoon));
  EXPECT_TRUE(launcher().Adopt(kVolume).empty());
}

TEST_F(LocalDriverTest, TwoSlots_AreTwoProcessesWithSocketsOfTheirOwn) {
  auto first = Launch("exec sleep 1000");
  auto second = launcher().Launch(kVolume, "script", 1);
  ASSERT_TRUE(second.ok()) << second.status();
  auto adopted = launcher().Adopt(kVolume);
  while (adopted.size() < 2) adopted = launcher().Adopt(kVolume);
  EXPECT_NE(adopted[0]->slot(), adopted[1]->slot());
  for (const auto& process : adopted) {
    EXPECT_EQ(process->pid(), process->slot() == 0 ? first->pid() : (*second)->pid());
    EXPECT_TRUE(std::filesystem::exists(ControlSocketPath(run_dir_, kVolume, process->slot())));
    EXPECT_TRUE(process->Kill());
  }
}

TEST_F(LocalDriverTest, ManyVolumes_AreAdoptedWithOneLookThatKnowsWhatStartedSince) {
  int looks = 0;
  LocalDriverLauncher launcher(run_dir_, &catalog_, {}, [&] {
    ++looks;
    return FindMarkedProcesses(run_dir_, {});
  });
  // Told by each, because the environment of a process that changes its program can't be read.
  const std::string runs = run_dir_ + "/runs", never = run_dir_ + "/never";
  ASSERT_EQ(mkfifo(runs.c_str(), 0600), 0);
  ASSERT_EQ(mkfifo(never.c_str(), 0600), 0);
  WriteScript(absl::StrCat(": > ", runs, "; read x <> ", never));
  const std::vector<std::string> volumes = {"vol-1", "vol-2", "vol-3", "vol-4"};
  for (const std::string& id : volumes) {
    if (id == volumes.back()) {
      launcher.KeepLook(true);
      EXPECT_EQ(launcher.List().size(), 3u);
    }
    ASSERT_TRUE(launcher.Launch(id, "script", 0).ok());
    std::ifstream(runs).get();
  }
  for (const std::string& id : volumes) {
    const auto adopted = launcher.Adopt(id);
    ASSERT_EQ(adopted.size(), 1u) << id;
    EXPECT_TRUE(adopted[0]->Kill());
    EXPECT_TRUE(launcher.Adopt(id).empty()) << id;
  }
  EXPECT_EQ(looks, 1);
  launcher.KeepLook(false);
  EXPECT_TRUE(launcher.List().empty());
}

TEST_F(LocalDriverTest, ProcessOfAnotherRunDirectory_IsNotFound) {
  auto process = Launch("exec sleep 1000");
  LocalDriverLauncher other(run_dir_ + "2", &catalog_, {});
  EXPECT_TRUE(other.Adopt(kVolume).empty());
  EXPECT_TRUE(process->Kill());
}

TEST_F(LocalDriverTest, Log_IsTrimmedWhileTheDriverWritesAndGetsWhatComesLater) {
  const std::string written = run_dir_ + "/written", go_on = run_dir_ + "/go-on";
  ASSERT_EQ(mkfifo(written.c_str(), 0600), 0);
  ASSERT_EQ(mkfifo(go_on.c_str(), 0600), 0);
  auto process = Launch(absl::StrCat("head -c 3145728 /dev/zero; echo the end; : > ", written,
                                     "; read x < ", go_on, "; echo later"));
  std::ifstream(written).get();  // until the script opens and closes it
  const std::string log = DriverLogPath(run_dir_, kVolume);
  ASSERT_GT(std::filesystem::file_size(log), 3u << 20);
  EXPECT_FALSE(process->WaitExit(absl::ZeroDuration()));
  EXPECT_EQ(std::filesystem::file_size(log), 0u);
  ASSERT_EQ(ContentOf(log + ".1").size(), static_cast<size_t>(kMaxDriverLogBytes));
  EXPECT_EQ(ContentOf(log + ".1").substr(kMaxDriverLogBytes - 9), std::string("\0the end\n", 9));
  std::ofstream(go_on) << "\n";
  EXPECT_TRUE(process->WaitExit(kSoon));
  EXPECT_EQ(ContentOf(log), "later\n");
}

TEST_F(LocalDriverTest, Log_KeepsOutputAndIsRotatedAtTheLimit) {
  std::filesystem::create_directories(VolumeRunDir(run_dir_, kVolume));
  const std::string log = DriverLogPath(run_dir_, kVolume);
  std::ofstream(log) << std::string(kMaxDriverLogBytes + 1, 'x');
  auto process = Launch("echo to-out; echo to-err >&2");
  ASSERT_TRUE(process->WaitExit(kSoon));
  EXPECT_EQ(ContentOf(log), "to-out\nto-err\n");
  EXPECT_TRUE(std::filesystem::exists(log + ".1"));
  std::ofstream(DriverMemoryDir(run_dir_, kVolume) + "/kept") << "x";
  launcher().RemoveFiles(kVolume);
  EXPECT_FALSE(std::filesystem::exists(VolumeRunDir(run_dir_, kVolume)));
}

// A driver that tells of progress, every 20 ms, `times` times, and then answers.
class OpeningDriver {
 public:
  OpeningDriver(const std::string& path, int times, bool advances, int64_t expected_s = 0)
      : listener_(*ListenPacketSocket(path)),
        thread_([this, times, advances, expected_s] { Serve(times, advances, expected_s); }) {}
  ~OpeningDriver() { thread_.join(); }

 private:
  void Serve(int times, bool advances, int64_t expected_s) {
    const Fd client(accept(listener_.get(), nullptr, nullptr));
    if (!ReceivePacket(client.get(), kSoon).ok()) return;
    diskd::driver::v1::Response response;
    for (int i = 0; i < times; ++i) {
      response.mutable_progress()->set_steps(advances ? i : 5);
      response.mutable_progress()->set_doing("store unreachable: no route");
      response.mutable_progress()->set_expected_s(expected_s);
      if (!SendPacket(client.get(), response.SerializeAsString()).ok()) return;
      absl::SleepFor(absl::Milliseconds(20));
    }
    response.mutable_open()->mutable_geometry()->set_size_bytes(4096);
    (void)SendPacket(client.get(), response.SerializeAsString());
  }
  const Fd listener_;
  std::thread thread_;
};

class OpenProgressTest : public LocalDriverTest {
 protected:
  std::unique_ptr<DriverProcess> MakeProcess(const ProgressLimits& limits) {
    auto spawned = Process::Spawn({.argv = {"/bin/sleep", "1000"}});
    EXPECT_TRUE(spawned.ok()) << spawned.status();
    return std::make_unique<LocalDriverProcess>(*std::move(spawned), 0, Origin::kStarted, path(),
                                                "", limits);
  }
  std::string path() const { return run_dir_ + "/control.sock"; }
  static absl::Status Open(DriverProcess& process) {
    diskd::driver::v1::Request request;
    request.mutable_open();
    const auto answer = process.Call(request, {}, kSilence);
    if (answer.ok()) {
      EXPECT_EQ(answer->response.open().geometry().size_bytes(), 4096u);
    }
    return answer.status();
  }
  static constexpr absl::Duration kSilence = absl::Milliseconds(500);
};

TEST_F(OpenProgressTest, ThatGoesOn_ProlongsTheLimit) {
  auto process = MakeProcess({});
  const OpeningDriver driver(path(), /*times=*/50, /*advances=*/true);
  const absl::Status status = Open(*process);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_TRUE(process->Kill());
}

TEST_F(OpenProgressTest, ThatStandsStill_EndsAndSaysWhatItWaitsFor) {
  auto process = MakeProcess({.step = kSilence});
  const OpeningDriver driver(path(), /*times=*/10000, /*advances=*/false);
  const absl::Status status = Open(*process);
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  EXPECT_NE(status.message().find("store unreachable: no route"), absl::string_view::npos)
      << status;
  EXPECT_TRUE(process->Kill());
}

TEST_F(OpenProgressTest, ThatNeverArrives_EndsToo) {
  auto process = MakeProcess({.all = kSilence});
  const OpeningDriver driver(path(), /*times=*/10000, /*advances=*/true);
  const absl::Status status = Open(*process);
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  EXPECT_TRUE(process->Kill());
}

TEST_F(OpenProgressTest, ThatWasExpectedToTakeLong_HasThatTime) {
  auto process = MakeProcess({.all = kSilence});
  const OpeningDriver driver(path(), /*times=*/50, /*advances=*/true, /*expected_s=*/60);
  const absl::Status status = Open(*process);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_TRUE(process->Kill());
}

TEST_F(OpenProgressTest, ThatExpectsTooMuch_EndsToo) {
  auto process = MakeProcess({.all = kSilence, .longest = 2 * kSilence});
  const OpeningDriver driver(path(), /*times=*/10000, /*advances=*/true, /*expected_s=*/1 << 30);
  const absl::Status status = Open(*process);
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  EXPECT_TRUE(process->Kill());
}

// A process that answers at a socket which the test made, as a driver does at its agent's.
Process StartAnswering(const Fd& listener, bool in_a_child) {
  const pid_t pid = fork();
  if (pid != 0) return *Process::Watch(pid);
  setsid();
  if (in_a_child && fork() != 0) {
    for (;;) pause();
  }
  for (;;) {
    const Fd client(accept(listener.get(), nullptr, nullptr));
    diskd::driver::v1::Response response;
    response.mutable_ping();
    while (ReceivePacket(client.get(), absl::InfiniteDuration()).ok()) {
      if (!SendPacket(client.get(), response.SerializeAsString()).ok()) break;
    }
  }
}

class FoundProcessTest : public LocalDriverTest, public testing::WithParamInterface<bool> {};

TEST_P(FoundProcessTest, ForWhichAnotherAnswers_IsAnImpostorAndTheOtherIsNot) {
  const std::string path = run_dir_ + "/control.sock";
  auto listener = ListenPacketSocket(path);
  ASSERT_TRUE(listener.ok()) << listener.status();
  LocalDriverProcess driver(StartAnswering(*listener, GetParam()), 0, Origin::kFound, path, "");
  auto spawned = Process::Spawn({.argv = {"/bin/sleep", "1000"}});
  ASSERT_TRUE(spawned.ok()) << spawned.status();
  LocalDriverProcess other(*std::move(spawned), 0, Origin::kFound, path, "");
  const absl::Status met = Ping(other, kSoon);
  EXPECT_TRUE(absl::IsPermissionDenied(met)) << met;
  EXPECT_TRUE(other.impostor());
  const absl::Status answered = Ping(driver, kSoon);
  EXPECT_TRUE(answered.ok()) << answered;
  EXPECT_FALSE(driver.impostor());
  EXPECT_TRUE(driver.Kill());
  EXPECT_TRUE(other.Kill());
}

INSTANTIATE_TEST_SUITE_P(ByItselfOrInAChild, FoundProcessTest, testing::Bool());

TEST_F(LocalDriverTest, MissingDriver_IsNamed) {
  const absl::Status status = launcher().Launch(kVolume, "nosuch", 0).status();
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_NE(status.message().find("nosuch"), absl::string_view::npos) << status;
}

}  // namespace
}  // namespace diskd::agent
