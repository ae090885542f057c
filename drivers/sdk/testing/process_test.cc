// SPDX-License-Identifier: Apache-2.0
//
// Driver executables as processes: command line, control socket, sandbox, misbehaviour.
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "drivers/sdk/testing/driver_process.h"
#include "drivers/sdk/testing/temp_dir.h"
#include "gtest/gtest.h"

namespace diskd::sdk {
namespace {

std::string Executable(const std::string& driver) {
  return absl::StrCat(DISKD_DRIVER_DIR, "/diskd-driver-", driver);
}

struct Outcome {
  int exit_code = -1;
  std::string output;
};

Outcome Shell(const std::string& command) {
  Outcome outcome;
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  char buffer[4096];
  for (size_t n; (n = fread(buffer, 1, sizeof(buffer), pipe)) > 0;)
    outcome.output.append(buffer, n);
  outcome.exit_code = WEXITSTATUS(pclose(pipe));
  return outcome;
}

std::string StatusField(pid_t pid, const std::string& field) {
  std::ifstream in(absl::StrCat("/proc/", pid, "/status"));
  for (std::string line; std::getline(in, line);) {
    if (absl::StartsWith(line, field + ":\t")) return line.substr(field.size() + 2);
  }
  return "";
}

class ProcessTest : public testing::Test {
 protected:
  void SetUp() override {
    config_.volume_id = "process-test";
    config_.size_bytes = 1 << 20;
    config_.state_dir = dir_.path();
  }
  DriverProcess Spawn(const std::string& driver) {
    auto process = DriverProcess::Spawn(Executable(driver), dir_.path());
    EXPECT_TRUE(process.ok()) << process.status();
    return *std::move(process);
  }

  TempDir dir_;
  VolumeConfig config_;
};

TEST_F(ProcessTest, Describe_PrintsJsonWithNameAndParameters) {
  const Outcome outcome = Shell(Executable("file") + " describe");
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_NE(outcome.output.find("\"name\": \"file\""), std::string::npos) << outcome.output;
  EXPECT_NE(outcome.output.find("\"allocate\""), std::string::npos);
  EXPECT_NE(outcome.output.find("\"protocol_version\": 1"), std::string::npos);
}

TEST_F(ProcessTest, WrongUsage_ExitsWithTwoAndHelp) {
  for (const char* arguments : {"", " serve", " serve --control-fd=x", " serve --control-fd=3 more",
                                " bogus", " describe more"}) {
    const Outcome outcome = Shell(Executable("null") + arguments);
    EXPECT_EQ(outcome.exit_code, 2) << arguments;
    EXPECT_NE(outcome.output.find("usage:"), std::string::npos) << arguments;
  }
}

TEST_F(ProcessTest, Serve_WithABrokenDescriptor_Fails) {
  EXPECT_EQ(Shell(Executable("null") + " serve --control-fd=99").exit_code, 1);
}

TEST_F(ProcessTest, Sandbox_LeavesNoCapabilityButLockingAndThoseToChangeTheUser) {
  DriverProcess process = Spawn("null");
  ASSERT_TRUE(process.Open(config_).ok());  // answered, so the sandbox is entered
  constexpr uint64_t kLock = uint64_t{1} << 14;
  constexpr uint64_t kUser = uint64_t{1} << 6 | uint64_t{1} << 7;
  for (const char* field : {"CapPrm", "CapEff", "CapBnd", "CapInh", "CapAmb"}) {
    // Without CAP_SETPCAP nobody can change the bounding set.
    if (std::string(field) == "CapBnd" && geteuid() != 0) continue;
    const uint64_t mask = std::stoull(StatusField(process.pid(), field), nullptr, 16);
    const bool bounding = std::string(field) == "CapBnd";
    EXPECT_EQ(mask & ~(bounding ? kLock : kLock | kUser), 0u) << field;
  }
  EXPECT_EQ(StatusField(process.pid(), "NoNewPrivs"), "1");
}

TEST_F(ProcessTest, AgentThatComesBack_FindsTheVolumeOpen) {
  DriverProcess process = Spawn("null");
  ASSERT_TRUE(process.Open(config_).ok());
  ASSERT_TRUE(process.Reconnect().ok());
  driver::v1::Request request;
  request.mutable_status();
  auto response = process.Call(request);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_TRUE(response->status().opened());
  request.mutable_shutdown();
  ASSERT_TRUE(process.Call(request).ok());
  EXPECT_EQ(process.Wait(), 0);
}

TEST_F(ProcessTest, FaultyExit_ExitsOnOpen) {
  DriverProcess process = Spawn("faulty");
  config_.parameters["mode"] = "exit";
  ASSERT_TRUE(process.Provision(config_).ok());
  EXPECT_TRUE(absl::IsUnavailable(process.Open(config_)));
  EXPECT_EQ(process.Wait(), 3);
}

TEST_F(ProcessTest, FaultyUnknownMode_IsRefused) {
  DriverProcess process = Spawn("faulty");
  config_.parameters["mode"] = "sometimes";
  EXPECT_TRUE(absl::IsInvalidArgument(process.Provision(config_)));
}

TEST_F(ProcessTest, Example_OpensAndRefusesWhatItCantHold) {
  DriverProcess process = Spawn("example");
  VolumeConfig huge = config_;
  huge.size_bytes = uint64_t{1} << 40;
  EXPECT_TRUE(absl::IsInvalidArgument(process.Open(huge)));
  EXPECT_TRUE(process.Open(config_).ok());
}

}  // namespace
}  // namespace diskd::sdk
