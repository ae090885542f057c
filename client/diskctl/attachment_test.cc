// SPDX-License-Identifier: Apache-2.0
#include "client/diskctl/run_fixture.h"

namespace diskd::diskctl {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST_F(RunTest, Attach_PrintsTheDevice) {
  MakeVolumes();
  EXPECT_EQ(Run({"attach", "scratch", "--transport", "fuse", "--read-only", "--queues", "2",
                 "--queue-depth", "64"}),
            kExitOk)
      << err_;
  EXPECT_EQ(out_, "/dev/loop1\n");
  EXPECT_EQ(err_, "");
  const v1::AttachVolumeRequest request = agent_.last_attach();
  EXPECT_EQ(request.transport(), v1::TRANSPORT_FUSE);
  EXPECT_TRUE(request.read_only());
  EXPECT_EQ(request.queues(), 2u);
  EXPECT_EQ(request.queue_depth(), 64u);
}

TEST_F(RunTest, Attach_JsonIsTheAnswer) {
  MakeVolumes();
  EXPECT_EQ(Run({"attach", "data", "-o", "json"}), kExitOk);
  EXPECT_EQ(agent_.last_attach().transport(), v1::TRANSPORT_UNSPECIFIED);
  EXPECT_THAT(out_, StartsWith("{\n \"attachment\": {\n"));
  EXPECT_THAT(out_, HasSubstr("\"devicePath\": \"/dev/loop0\""));
  EXPECT_THAT(out_, HasSubstr("\"transport\": \"TRANSPORT_FUSE\""));
}

TEST_F(RunTest, Attach_WarnsWhenTheDeviceDoesNotWork) {
  MakeVolumes();
  agent_.SetAttachmentState("data", v1::ATTACHMENT_STATE_FAILED, "driver crashed 5 times");
  EXPECT_EQ(Run({"attach", "data"}), kExitOk);
  EXPECT_EQ(out_, "/dev/loop0\n");
  EXPECT_EQ(err_, "diskctl: warning: data is failed: driver crashed 5 times\n");
}

TEST_F(RunTest, Attach_RefusalsHaveTheirCodes) {
  MakeVolumes();
  EXPECT_EQ(Run({"attach", "nosuch"}), kExitNotFound);
  EXPECT_EQ(Run({"attach", "scratch", "--transport", "buse"}), kExitInUse);
  EXPECT_THAT(err_, HasSubstr("not loaded"));
  EXPECT_EQ(Run({"attach", "data", "--read-only"}), kExitAlreadyExists);
  EXPECT_EQ(Run({"attach", "scratch", "--transport", "nbd"}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("diskctl attach --help"));
  EXPECT_EQ(Run({"attach", "scratch", "--queues", "-1"}), kExitUsage);
  agent_.FailNext("AttachVolume", absl::UnavailableError("driver memory exits"));
  EXPECT_EQ(Run({"attach", "scratch"}), kExitDriver);
  agent_.SetBusy("scratch", true);
  EXPECT_EQ(Run({"attach", "scratch"}), kExitInUse);
}

TEST_F(RunTest, Detach_RefusesOpenDevicesWithoutForce) {
  MakeVolumes();
  agent_.SetDeviceOpen("data", true);
  EXPECT_EQ(Run({"detach", "data"}), kExitInUse);
  EXPECT_THAT(err_, HasSubstr("is open"));
  EXPECT_EQ(Run({"detach", "data", "--force"}), kExitOk);
  EXPECT_EQ(out_, "volume data is not attached any more\n");
  EXPECT_EQ(Run({"detach", "data", "-q"}), kExitOk);
  EXPECT_EQ(out_, "data\n");
  EXPECT_EQ(Run({"detach", "data", "-o", "json"}), kExitOk);
  EXPECT_EQ(out_, "{}\n");
}

TEST_F(RunTest, Ls_IsATableOfAttachments) {
  MakeVolumes();
  ASSERT_EQ(Run({"attach", "scratch", "--read-only"}), kExitOk);
  agent_.SetAttachmentState("scratch", v1::ATTACHMENT_STATE_RECOVERING, "driver\nexited");
  EXPECT_EQ(Run({"ls"}), kExitOk);
  EXPECT_EQ(out_,
            "VOLUME   DEVICE      TRANSPORT  MODE  QUEUES  PID   RESTARTS  STATE\n"
            "data     /dev/loop0  fuse       rw    1       1000  0         attached\n"
            "scratch  /dev/loop1  fuse       ro    1       1001  0         recovering: driver "
            "exited\n");
  EXPECT_EQ(Run({"ls", "-q"}), kExitOk);
  EXPECT_EQ(out_, "data\nscratch\n");
  EXPECT_EQ(Run({"ls", "-o", "json"}), kExitOk);
  EXPECT_THAT(out_, StartsWith("{\n \"attachments\": [\n"));
}

TEST_F(RunTest, Ls_NothingIsNothingOnStandardOutput) {
  EXPECT_EQ(Run({"ls"}), kExitOk);
  EXPECT_EQ(out_, "");
  EXPECT_THAT(err_, HasSubstr("nothing is attached"));
  EXPECT_EQ(Run({"ls", "-o", "json"}), kExitOk);
  EXPECT_EQ(out_, "{\n \"attachments\": []\n}\n");
}

TEST_F(RunTest, DriverLs_ShowsParametersAndProblems) {
  v1::DriverInfo broken;
  broken.set_name("exits");
  broken.set_path("/drivers/diskd-driver-exits");
  broken.set_problem("exits with code 3");
  auto drivers = agent_.ListDrivers({})->drivers();
  agent_.SetDrivers({drivers[0], drivers[1], broken});
  EXPECT_EQ(Run({"driver", "ls"}), kExitOk);
  EXPECT_EQ(out_,
            "NAME    STATUS  PARAMETERS  DESCRIPTION\n"
            "file    ok      directory   a sparse file in a directory\n"
            "memory  ok      -           a RAM disk\n"
            "exits   broken  -           exits with code 3\n");
  EXPECT_EQ(Run({"driver", "ls", "-q"}), kExitOk);
  EXPECT_EQ(out_, "file\nmemory\nexits\n");
  EXPECT_EQ(Run({"driver", "ls", "-o", "json"}), kExitOk);
  EXPECT_THAT(out_, HasSubstr("\"problem\": \"exits with code 3\""));
}

TEST_F(RunTest, DriverUpgrade_SaysWhatItDid) {
  MakeVolumes();
  EXPECT_EQ(Run({"driver", "upgrade", "data"}), kExitOk) << err_;
  EXPECT_THAT(out_, HasSubstr("has taken over"));
  EXPECT_EQ(Run({"driver", "upgrade", "data"}), kExitOk);
  EXPECT_THAT(out_, HasSubstr("already"));
  EXPECT_EQ(Run({"driver", "upgrade", "data", "--force", "-o", "json"}), kExitOk);
  EXPECT_THAT(out_, HasSubstr("\"replaced\": true"));
}

TEST_F(RunTest, DriverUpgrade_RefusalsHaveTheirCodes) {
  MakeVolumes();
  EXPECT_EQ(Run({"driver", "upgrade"}), kExitUsage);
  EXPECT_EQ(Run({"driver", "upgrade", "data", "--all"}), kExitUsage);
  EXPECT_EQ(Run({"driver", "upgrade", "nosuch"}), kExitNotFound);
  EXPECT_EQ(Run({"driver", "upgrade", "scratch"}), kExitInUse);
  agent_.FailNext("UpgradeDriver", absl::UnavailableError("the new driver process failed"));
  EXPECT_EQ(Run({"driver", "upgrade", "data"}), kExitDriver);
}

TEST_F(RunTest, DriverUpgradeAll_GoesOnAfterAFailure) {
  MakeVolumes();
  ASSERT_EQ(Run({"attach", "scratch"}), kExitOk);
  agent_.FailNext("UpgradeDriver", absl::UnavailableError("the new driver process failed"));
  EXPECT_EQ(Run({"driver", "upgrade", "--all"}), kExitDriver);
  EXPECT_EQ(agent_.Calls("UpgradeDriver"), 2);
  EXPECT_THAT(out_, HasSubstr("has taken over"));
  EXPECT_THAT(err_, HasSubstr("1 of 2 drivers were not upgraded"));
}

}  // namespace
}  // namespace diskd::diskctl
