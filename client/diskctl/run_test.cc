// SPDX-License-Identifier: Apache-2.0
#include "client/diskctl/run.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>

#include "client/diskctl/run_fixture.h"
#include "client/lib/client.h"
#include "client/lib/status.h"

namespace diskd::diskctl {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

TEST(ExitCode_EveryStatus, HasItsNumber) {
  EXPECT_EQ(ExitCodeOf(absl::OkStatus()), 0);
  EXPECT_EQ(ExitCodeOf(absl::InternalError("")), 1);
  EXPECT_EQ(ExitCodeOf(absl::UnimplementedError("")), 5);
  EXPECT_EQ(ExitCodeOf(absl::UnknownError("")), 1);
  EXPECT_EQ(ExitCodeOf(absl::InvalidArgumentError("")), 2);
  EXPECT_EQ(ExitCodeOf(absl::OutOfRangeError("")), 2);
  EXPECT_EQ(ExitCodeOf(absl::NotFoundError("")), 3);
  EXPECT_EQ(ExitCodeOf(absl::AlreadyExistsError("")), 4);
  EXPECT_EQ(ExitCodeOf(absl::FailedPreconditionError("")), 5);
  EXPECT_EQ(ExitCodeOf(absl::AbortedError("")), 5);
  EXPECT_EQ(ExitCodeOf(client::AgentUnreachableError("/nosuch", absl::UnavailableError(""))), 6);
  EXPECT_EQ(ExitCodeOf(absl::DeadlineExceededError("")), 7);
  EXPECT_EQ(ExitCodeOf(absl::ResourceExhaustedError("")), 8);
  EXPECT_EQ(ExitCodeOf(absl::PermissionDeniedError("")), 9);
  EXPECT_EQ(ExitCodeOf(absl::UnavailableError("")), 10);
}

TEST_F(RunTest, Usage_IsExplainedInOneLine) {
  const std::pair<std::vector<std::string>, const char*> cases[] = {
      {{}, "try diskctl --help\n"},
      {{"nosuch"}, "no command \"nosuch\"; try diskctl --help\n"},
      {{"volume", "nosuch"}, "no command \"nosuch\"; try diskctl volume --help\n"},
      {{"volume", "get"}, "try diskctl volume get --help\n"},
      {{"volume", "get", "a", "b"}, "try diskctl volume get --help\n"},
      {{"ls", "--nosuch"}, "try diskctl ls --help\n"},
      {{"ls", "-o", "yaml"}, "try diskctl ls --help\n"},
      {{"--timeout", "5", "ls"}, "5 what? Write 5s or 5m\n"},
      {{"--timeout", "soon", "ls"}, "such as 30s or 2m\n"},
      {{"--timeout", "0s", "ls"}, "such as 30s\n"},
      {{"--timeout", "inf", "ls"}, "\n"},
  };
  for (const auto& [args, end] : cases) {
    EXPECT_EQ(Run(args), kExitUsage) << end;
    EXPECT_THAT(err_, EndsWith(end));
    EXPECT_EQ(std::count(err_.begin(), err_.end(), '\n'), 1) << err_;
    EXPECT_EQ(out_, "");
  }
}

TEST_F(RunTest, Help_ListsCommandsAndExitCodes) {
  EXPECT_EQ(Run({"--help"}), kExitOk);
  EXPECT_EQ(err_, "");
  for (const char* text : {"volume", "attach", "detach", "ls", "driver", "doctor", "DISKD_SOCKET",
                           "6 agent not reachable"}) {
    EXPECT_THAT(out_, HasSubstr(text));
  }
  EXPECT_EQ(Run({"volume", "create", "--help"}), kExitOk);
  EXPECT_THAT(out_, HasSubstr("--size"));
}

TEST_F(RunTest, GlobalOptions_ReachTheClient) {
  EXPECT_EQ(Run({"ls"}), kExitOk);
  EXPECT_EQ(endpoint_, client::kDefaultEndpoint);
  EXPECT_EQ(timeout_, absl::Seconds(60));
  EXPECT_EQ(Run({"ls", "--socket", "/tmp/x.sock", "--timeout", "1m30s"}), kExitOk);
  EXPECT_EQ(endpoint_, "/tmp/x.sock");
  EXPECT_EQ(timeout_, absl::Seconds(90));
  setenv("DISKD_SOCKET", "/tmp/env.sock", 1);
  EXPECT_EQ(Run({"ls"}), kExitOk);
  EXPECT_EQ(endpoint_, "/tmp/env.sock");
  EXPECT_EQ(Run({"--socket", "/tmp/x.sock", "ls"}), kExitOk);
  EXPECT_EQ(endpoint_, "/tmp/x.sock");
  unsetenv("DISKD_SOCKET");
}

TEST_F(RunTest, Errors_AreOneLineOnStandardErrorAlone) {
  agent_.FailNext("ListAttachments", absl::InternalError("first\nsecond\n"));
  EXPECT_EQ(Run({"ls"}), kExitFailure);
  EXPECT_EQ(err_, "diskctl: first second\n");
  EXPECT_EQ(out_, "");
  agent_.FailNext("ListAttachments", absl::PermissionDeniedError(""));
  EXPECT_EQ(Run({"ls"}), kExitPermission);
  EXPECT_EQ(err_, "diskctl: PERMISSION_DENIED\n");
  agent_.FailNext("ListAttachments", absl::DeadlineExceededError("late"));
  EXPECT_EQ(Run({"ls"}), kExitTimeout);
}

TEST_F(RunTest, FullOutput_IsAFailure) {
  std::ostringstream out, err;
  out.setstate(std::ios::badbit);
  const World world{
      .connect = [this](const std::string&,
                        absl::Duration) -> absl::StatusOr<std::shared_ptr<client::Agent>> {
        return std::shared_ptr<client::Agent>(std::shared_ptr<void>(), &agent_);
      },
      .host_facts = ReadHostFacts};
  EXPECT_EQ(diskctl::Run({"version"}, world, out, err), kExitFailure);
  EXPECT_THAT(err.str(), HasSubstr("can't be written"));
}

// The real client: an agent that isn't there.
TEST(RealWorld_NoAgent, EndsSoonWithAdviceAndItsOwnCode) {
  std::ostringstream out, err;
  EXPECT_EQ(diskctl::Run({"--socket", "/nonexistent/diskd.sock", "ls"}, RealWorld(), out, err),
            kExitUnreachable);
  EXPECT_THAT(err.str(), HasSubstr("there is no socket /nonexistent/diskd.sock"));
  EXPECT_EQ(diskctl::Run({"--socket", "relative.sock", "ls"}, RealWorld(), out, err), kExitUsage);
}

TEST_F(RunTest, Version_NeedsNoAgent) {
  EXPECT_EQ(Run({"version"}), kExitOk);
  EXPECT_EQ(out_, "diskctl " DISKD_VERSION "\nagent   0.1.0\n");
  agent_.SetDown(absl::UnavailableError("down"));
  EXPECT_EQ(Run({"version"}), kExitOk);
  EXPECT_EQ(out_, "diskctl " DISKD_VERSION "\nagent   unknown\n");
  EXPECT_EQ(err_, "diskctl: warning: down\n");
  EXPECT_EQ(Run({"version", "-o", "json"}), kExitOk);
  EXPECT_EQ(out_, "{\n \"diskctl\": \"" DISKD_VERSION "\",\n \"agent\": \"\"\n}\n");
  EXPECT_EQ(Run({"--version"}), kExitOk);
  EXPECT_EQ(out_, DISKD_VERSION "\n");
}

// What bash offers after `line`; COMPREPLY one a line.
std::string Complete(const std::string& script, const std::string& line) {
  const std::string path = ::testing::TempDir() + "/diskctl-completion." + std::to_string(getpid());
  std::ofstream(path) << script << "COMP_WORDS=(" << line
                      << "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n"
                      << "_diskctl; echo \"${COMPREPLY[*]}\"\n";
  std::string offered;
  FILE* bash = popen(("bash " + path + " 2>&1").c_str(), "r");
  if (bash == nullptr) return "no bash";
  for (int c = fgetc(bash); c != EOF; c = fgetc(bash)) offered.push_back(static_cast<char>(c));
  pclose(bash);
  unlink(path.c_str());
  return offered;
}

TEST_F(RunTest, Completion_OffersCommandsOptionsAndValuesInBash) {
  ASSERT_EQ(Run({"completion", "bash"}), kExitOk);
  EXPECT_EQ(Complete(out_, "diskctl v"), "version volume\n");
  EXPECT_EQ(Complete(out_, "diskctl volume c"), "check clone copy create\n");
  EXPECT_EQ(Complete(out_, "diskctl volume create --si"), "--size\n");
  EXPECT_EQ(Complete(out_, "diskctl -o j"), "json\n");
  EXPECT_EQ(Complete(out_, "diskctl attach x --transport b"), "buse\n");
  EXPECT_EQ(Complete(out_, "diskctl ls --q"), "--quiet\n");
}

}  // namespace
}  // namespace diskd::diskctl
