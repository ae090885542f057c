// SPDX-License-Identifier: Apache-2.0
#include "client/diskctl/run_fixture.h"
#include "client/lib/status.h"

namespace diskd::diskctl {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(RunTest, Doctor_UsableNodeIsReady) {
  EXPECT_EQ(Run({"doctor", "--socket", "unix:///tmp/x.sock"}), kExitOk) << err_;
  EXPECT_EQ(asked_socket_, "/tmp/x.sock");
  EXPECT_THAT(out_, HasSubstr("agent              ok      diskd 0.1.0 on node-1"));
  EXPECT_THAT(out_, HasSubstr("transport buse     no      the kernel module buse is not loaded"));
  EXPECT_THAT(out_, HasSubstr("transport fuse     ok "));
  EXPECT_THAT(out_, HasSubstr("driver memory      ok "));
  EXPECT_THAT(out_, HasSubstr("not installed for kernel 6.12.0"));
  EXPECT_THAT(out_, HasSubstr("\nready: "));
  EXPECT_EQ(err_, "");
}

TEST_F(RunTest, Doctor_QuietShowsOnlyWhatIsNotOk) {
  EXPECT_EQ(Run({"doctor", "-q"}), kExitOk);
  EXPECT_THAT(out_, HasSubstr("transport buse"));
  EXPECT_THAT(out_, Not(HasSubstr("transport fuse")));
  EXPECT_THAT(out_, Not(HasSubstr("ready")));
}

TEST_F(RunTest, Doctor_WorksWhenTheAgentIsDown) {
  facts_.socket = absl::NotFoundError("there is no socket");
  agent_.SetDown(client::AgentUnreachableError("/nosuch", absl::UnavailableError("")));
  EXPECT_EQ(Run({"doctor"}), kExitUnreachable);
  EXPECT_THAT(out_, HasSubstr("PROBLEM  can't reach the diskd agent: there is no socket /nosuch"));
  EXPECT_THAT(out_, HasSubstr("/dev/fuse          ok"));
  EXPECT_THAT(out_, Not(HasSubstr("ready")));
  EXPECT_EQ(err_, "diskctl: the agent does not answer; the checks say more\n");
  EXPECT_EQ(Run({"doctor", "-o", "json"}), kExitUnreachable);
  EXPECT_THAT(out_, HasSubstr("\"usable\": false"));
  EXPECT_THAT(out_, HasSubstr("\"node\": null"));
}

TEST_F(RunTest, Doctor_MissingDevicesComeWithAdvice) {
  facts_.root = false;
  facts_.fuse = absl::NotFoundError("open /dev/fuse: No such file or directory (ENOENT)");
  facts_.loop = absl::PermissionDeniedError("open /dev/loop-control: Permission denied (EACCES)");
  facts_.module_file = "/lib/modules/6.12.0/extra/buse.ko";
  EXPECT_EQ(Run({"doctor"}), kExitOk);
  EXPECT_THAT(out_, HasSubstr("ENOENT); modprobe fuse"));
  EXPECT_THAT(out_, HasSubstr("EACCES); run diskctl doctor as root"));
  EXPECT_THAT(out_, HasSubstr("buse.ko is there: modprobe buse"));
  EXPECT_THAT(out_, HasSubstr("not root"));
}

TEST_F(RunTest, Doctor_NoTransportIsAFailure) {
  v1::TransportInfo fuse;
  fuse.set_transport(v1::TRANSPORT_FUSE);
  fuse.set_reason("no /dev/fuse");
  agent_.SetTransports({fuse});
  EXPECT_EQ(Run({"doctor"}), kExitInUse);
  EXPECT_THAT(out_, HasSubstr("no /dev/fuse"));
  EXPECT_THAT(err_, HasSubstr("no transport is usable"));
}

TEST_F(RunTest, Doctor_BrokenDriversAreShownAndMatterWhenThereIsNoOther) {
  v1::DriverInfo broken;
  broken.set_name("exits");
  broken.set_path("/drivers/diskd-driver-exits");
  broken.set_problem("exits with code 3");
  auto good = agent_.ListDrivers({})->drivers(0);
  agent_.SetDrivers({good, broken});
  EXPECT_EQ(Run({"doctor"}), kExitOk);
  EXPECT_THAT(out_, HasSubstr("PROBLEM  /drivers/diskd-driver-exits: exits with code 3"));
  agent_.SetDrivers({broken});
  EXPECT_EQ(Run({"doctor"}), kExitInUse);
  EXPECT_THAT(err_, HasSubstr("no driver is usable"));
}

TEST_F(RunTest, Doctor_FailedAttachmentsAreProblems) {
  MakeVolumes();
  agent_.SetAttachmentState("data", v1::ATTACHMENT_STATE_FAILED, "driver crashed 5 times");
  EXPECT_EQ(Run({"doctor"}), kExitOk);
  EXPECT_THAT(out_, HasSubstr("attachment data    PROBLEM  failed: driver crashed 5 times"));
}

TEST_F(RunTest, Doctor_JsonQuotesWhatItPrints) {
  facts_.fuse = absl::NotFoundError("a \"quoted\"\nline\\");
  EXPECT_EQ(Run({"doctor", "-o", "json"}), kExitOk);
  EXPECT_THAT(out_, HasSubstr("a \\\"quoted\\\"\\u000aline\\\\; modprobe fuse"));
  EXPECT_THAT(out_, HasSubstr("\"usable\": true"));
  EXPECT_THAT(out_, HasSubstr("\"nodeName\": \"node-1\""));
}

}  // namespace
}  // namespace diskd::diskctl
