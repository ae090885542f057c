// SPDX-License-Identifier: Apache-2.0
#include <fstream>

#include "client/diskctl/run_fixture.h"

namespace diskd::diskctl {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST_F(RunTest, VolumeCreate_SendsWhatWasAskedFor) {
  EXPECT_EQ(Run({"volume", "create", "data", "--driver", "file", "--size", "10GiB", "--block-size",
                 "4096", "--param", "directory=/srv/a=b"}),
            kExitOk)
      << err_;
  const v1::CreateVolumeRequest request = agent_.last_create();
  EXPECT_EQ(request.name(), "data");
  EXPECT_EQ(request.driver(), "file");
  EXPECT_EQ(request.size_bytes(), 10ull << 30);
  EXPECT_EQ(request.logical_block_bytes(), 4096u);
  EXPECT_EQ(request.parameters().at("directory"), "/srv/a=b");
  EXPECT_EQ(out_, "volume data is ready: 10GiB, driver file, vol-0000000000000001\n");
  EXPECT_EQ(err_, "");
}

TEST_F(RunTest, VolumeCreate_StoreIsAParameter) {
  v1::DriverInfo object;
  object.set_name("object");
  for (const char* name : {"store", "log_mib"}) object.add_parameters()->set_name(name);
  agent_.SetDrivers({object});
  const std::vector<std::string> create = {"volume", "create", "data",    "--driver",  "object",
                                           "--size", "1GiB",   "--store", "dir:/srv/a"};
  std::vector<std::string> args = create;
  args.insert(args.end(), {"--param", "log_mib=64"});
  ASSERT_EQ(Run(args), kExitOk) << err_;
  EXPECT_EQ(agent_.last_create().parameters().at("store"), "dir:/srv/a");
  EXPECT_EQ(agent_.last_create().parameters().at("log_mib"), "64");
  args = create;
  args.insert(args.end(), {"--param", "store=dir:/srv/b"});
  EXPECT_EQ(Run(args), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("store is given twice"));
}

TEST_F(RunTest, VolumeCreate_QuietPrintsTheNameAndJsonTheAnswer) {
  const std::vector<std::string> create = {"volume", "create", "a",   "--driver",
                                           "memory", "--size", "1MiB"};
  std::vector<std::string> args = create;
  args.insert(args.begin(), "-q");
  EXPECT_EQ(Run(args), kExitOk);
  EXPECT_EQ(out_, "a\n");
  args = create;
  args.insert(args.end(), {"-o", "json"});
  EXPECT_EQ(Run(args), kExitOk);
  EXPECT_THAT(out_, StartsWith("{\n \"volume\": {\n"));
  EXPECT_THAT(out_, HasSubstr("\"sizeBytes\": \"1048576\""));
  EXPECT_THAT(out_, HasSubstr("\"state\": \"VOLUME_STATE_READY\""));
}

TEST_F(RunTest, VolumeCreate_BadSizesNeverReachTheAgent) {
  const std::pair<const char*, const char*> cases[] = {
      {"10", "10 what? Write 10GiB"},
      {"-1G", "negative"},
      {"0GiB", "zero"},
      {"1000001B", "not a multiple of 512"},
      {"100000PiB", "too large"},
      {"tenGiB", "does not begin with a number"},
      {"10EiB", "unknown unit"},
  };
  for (const auto& [size, why] : cases) {
    EXPECT_EQ(Run({"volume", "create", "a", "--driver", "memory", std::string("--size=") + size}),
              kExitUsage);
    EXPECT_THAT(err_, StartsWith("diskctl: size"));
    EXPECT_THAT(err_, HasSubstr(why));
    EXPECT_EQ(out_, "");
  }
  EXPECT_EQ(agent_.Calls("CreateVolume"), 0);
}

TEST_F(RunTest, VolumeCreate_BadParametersNeverReachTheAgent) {
  const auto create = [this](std::vector<std::string> more) {
    std::vector<std::string> args = {"volume", "create", "a", "--driver", "file", "--size", "1MiB"};
    args.insert(args.end(), more.begin(), more.end());
    return Run(args);
  };
  EXPECT_EQ(create({"--param", "directory"}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("want NAME=VALUE"));
  EXPECT_EQ(create({"--param", "=x"}), kExitUsage);
  EXPECT_EQ(create({"--param", "a=1", "--param", "a=2"}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("a is given twice"));
  EXPECT_EQ(create({"--param", "a=1", "b=2"}), kExitUsage);
  EXPECT_EQ(create({"--block-size", "513"}), kExitUsage);
  EXPECT_EQ(agent_.Calls("CreateVolume"), 0);
}

TEST_F(RunTest, VolumeCreate_AgentsRefusalsHaveTheirCodes) {
  MakeVolumes();
  EXPECT_EQ(Run({"volume", "create", "data", "--driver", "file", "--size", "1GiB"}),
            kExitAlreadyExists);
  EXPECT_THAT(err_, StartsWith("diskctl: volume data exists with another"));
  EXPECT_EQ(Run({"volume", "create", "b", "--driver", "nosuch", "--size", "1GiB"}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("available: file, memory"));
  agent_.SetCapacity(0);
  EXPECT_EQ(Run({"volume", "create", "b", "--driver", "file", "--size", "1GiB"}), kExitNoSpace);
}

TEST_F(RunTest, VolumeLs_IsATableOfAllVolumes) {
  MakeVolumes();
  EXPECT_EQ(Run({"volume", "ls"}), kExitOk);
  EXPECT_EQ(out_,
            "NAME     DRIVER  SIZE   STATE  DEVICE      ID\n"
            "data     file    10GiB  ready  /dev/loop0  vol-0000000000000001\n"
            "scratch  memory  64MiB  ready  -           vol-0000000000000002\n");
  EXPECT_EQ(Run({"--quiet", "volume", "ls"}), kExitOk);
  EXPECT_EQ(out_, "data\nscratch\n");
  EXPECT_EQ(Run({"vol", "ls", "-o", "json"}), kExitOk);
  EXPECT_THAT(out_, StartsWith("{\n \"volumes\": [\n"));
  EXPECT_THAT(out_, HasSubstr("\"nextPageToken\": \"\""));
}

TEST_F(RunTest, VolumeLs_NothingIsNothingOnStandardOutput) {
  EXPECT_EQ(Run({"volume", "ls"}), kExitOk);
  EXPECT_EQ(out_, "");
  EXPECT_THAT(err_, HasSubstr("no volumes"));
  EXPECT_EQ(Run({"volume", "ls", "-q"}), kExitOk);
  EXPECT_EQ(out_ + err_, "");
}

TEST_F(RunTest, VolumeGet_ShowsVolumeAndAttachment) {
  MakeVolumes();
  EXPECT_EQ(Run({"volume", "get", "data"}), kExitOk);
  EXPECT_EQ(out_,
            "name                 data\n"
            "id                   vol-0000000000000001\n"
            "driver               file\n"
            "size                 10GiB (10737418240 bytes)\n"
            "logical block        512B\n"
            "state                ready\n"
            "created              2026-01-01T00:00:00Z\n"
            "parameter directory  /srv\n"
            "device               /dev/loop0\n"
            "stable path          /dev/disk/by-diskd/data\n"
            "attachment           attached\n"
            "transport            fuse\n"
            "mode                 read-write\n"
            "queues               1\n"
            "driver process       1000\n"
            "driver restarts      0\n"
            "attached             2026-01-01T00:00:00Z\n");
  EXPECT_EQ(Run({"volume", "get", "vol-0000000000000002"}), kExitOk);
  EXPECT_THAT(out_, HasSubstr("device         none: not attached\n"));
}

TEST_F(RunTest, VolumeGet_JsonHasEveryFieldEvenIfZero) {
  MakeVolumes();
  EXPECT_EQ(Run({"-o", "json", "volume", "get", "data"}), kExitOk);
  EXPECT_THAT(out_, HasSubstr("\"driverPid\": 1000"));
  EXPECT_THAT(out_, HasSubstr("\"driverRestarts\": 0"));
  EXPECT_THAT(out_, HasSubstr("\"readOnly\": false"));
  EXPECT_THAT(out_, HasSubstr("\"state\": \"ATTACHMENT_STATE_ATTACHED\""));
}

TEST_F(RunTest, VolumeGet_MissingIsNotFound) {
  EXPECT_EQ(Run({"volume", "get", "nosuch"}), kExitNotFound);
  EXPECT_EQ(err_, "diskctl: no volume nosuch\n");
}

TEST_F(RunTest, VolumeDelete_RefusesAttachedAndIsRepeatable) {
  MakeVolumes();
  EXPECT_EQ(Run({"volume", "delete", "data"}), kExitInUse);
  EXPECT_THAT(err_, HasSubstr("detach it first"));
  EXPECT_EQ(Run({"volume", "delete", "scratch"}), kExitOk);
  EXPECT_EQ(out_, "volume scratch does not exist any more\n");
  EXPECT_EQ(Run({"volume", "rm", "scratch", "-q"}), kExitOk);
  EXPECT_EQ(out_, "scratch\n");
  EXPECT_EQ(Run({"volume", "rm", "scratch", "-o", "json"}), kExitOk);
  EXPECT_EQ(out_, "{}\n");
}

TEST_F(RunTest, Secrets_ComeFromFilesAndAreNotPrinted) {
  const std::string path = ::testing::TempDir() + "/diskctl-secret";
  std::ofstream(path) << "value-of-it\n";
  ASSERT_EQ(Run({"volume", "create", "a", "--driver", "memory", "--size", "1MiB", "--secret",
                 "encryption_key=" + path}),
            kExitOk)
      << err_;
  EXPECT_EQ(agent_.last_create().secrets().at("encryption_key"), "value-of-it");
  ASSERT_EQ(Run({"attach", "a", "--secret", "encryption_key=" + path}), kExitOk) << err_;
  EXPECT_EQ(agent_.Calls("SetVolumeSecrets"), 1);
  EXPECT_EQ(agent_.last_secrets().secrets().at("encryption_key"), "value-of-it");
  ASSERT_EQ(Run({"volume", "secrets", "a"}), kExitOk);
  EXPECT_TRUE(agent_.last_secrets().secrets().empty());
  EXPECT_EQ(Run({"volume", "secrets", "a", "--secret", "encryption_key=/nosuch"}), kExitNotFound);
  EXPECT_EQ(Run({"-o", "json", "volume", "get", "a"}), kExitOk);
  EXPECT_EQ(out_.find("value-of-it"), std::string::npos);
}

}  // namespace
}  // namespace diskd::diskctl
