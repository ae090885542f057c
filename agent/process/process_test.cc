// SPDX-License-Identifier: Apache-2.0
#include "agent/process/process.h"

#include <fcntl.h>
#include <unistd.h>

#include "agent/process/command.h"
#include "gtest/gtest.h"

namespace diskd::agent {
namespace {

constexpr absl::Duration kSoon = absl::Seconds(20);

std::vector<std::string> Shell(const std::string& script) { return {"/bin/sh", "-c", script}; }

TEST(Process_Exit, IsReportedWithItsStatus) {
  auto process = Process::Spawn({.argv = Shell("exit 3")});
  ASSERT_TRUE(process.ok()) << process.status();
  EXPECT_TRUE(process->WaitExit(kSoon));
  EXPECT_EQ(process->exit_text(), "exit status 3");
}

TEST(Process_Kill, EndsTheProcessAndSaysSo) {
  auto process = Process::Spawn({.argv = Shell("exec sleep 1000")});
  ASSERT_TRUE(process.ok()) << process.status();
  EXPECT_FALSE(process->WaitExit(absl::ZeroDuration()));
  EXPECT_TRUE(process->Kill(kSoon));
  EXPECT_EQ(process->exit_text(), "killed by signal 9 (KILL)");
}

TEST(Process_MissingExecutable, IsNotFoundAndNamed) {
  const absl::Status status = Process::Spawn({.argv = {"/nonexistent/driver"}}).status();
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  EXPECT_NE(status.message().find("/nonexistent/driver"), absl::string_view::npos);
}

TEST(Process_Session, IsTheChildsOwn) {
  auto process = Process::Spawn({.argv = Shell("exec sleep 1000")});
  ASSERT_TRUE(process.ok());
  EXPECT_EQ(getsid(process->pid()), process->pid());
  EXPECT_TRUE(process->Kill(kSoon));
}

TEST(Process_Descriptors, OnlyTheNamedOnesAreInherited) {
  Fd open_without_cloexec(open("/dev/null", O_RDONLY));
  auto output = RunCommand(Shell("ls /proc/self/fd | tr '\\n' ' '"), kSoon);
  ASSERT_TRUE(output.ok()) << output.status();
  EXPECT_EQ(*output, "0 1 2 3 ");  // 3: ls reads the directory
}

TEST(Process_Environment, IsTheParentsWithOursInPlace) {
  ASSERT_EQ(setenv("PROCESS_TEST", "old", 1), 0);
  auto process = Process::Spawn(
      {.argv = Shell("test \"$(tr '\\0' '\\n' </proc/$$/environ | grep -c ^PROCESS_TEST=)\" = 1 && "
                     "test $PROCESS_TEST = new && test -n \"$PATH\""),
       .environment = {"PROCESS_TEST=new"}});
  ASSERT_TRUE(process.ok());
  EXPECT_TRUE(process->WaitExit(kSoon));
  EXPECT_TRUE(process->exited_zero()) << process->exit_text();
}

TEST(Command_Hang, IsKilledAtTheLimit) {
  const absl::Status status = RunCommand(Shell("exec sleep 1000"), absl::Milliseconds(20)).status();
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
}

TEST(Command_Failure, NamesTheExitStatus) {
  const absl::Status status = RunCommand(Shell("exit 7"), kSoon).status();
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_NE(status.message().find("exit status 7"), absl::string_view::npos) << status;
}

TEST(Command_Flood, IsCutOff) {
  EXPECT_TRUE(absl::IsResourceExhausted(RunCommand({"/usr/bin/yes"}, kSoon).status()));
}

}  // namespace
}  // namespace diskd::agent
