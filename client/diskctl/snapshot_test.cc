// SPDX-License-Identifier: Apache-2.0
#include "client/diskctl/run_fixture.h"

namespace diskd::diskctl {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST_F(RunTest, Snapshot_IsCreatedListedAndDeleted) {
  MakeVolumes();
  ASSERT_EQ(Run({"snapshot", "create", "data", "monday"}), kExitOk) << err_;
  EXPECT_EQ(out_, "volume data has the snapshot monday\n");
  EXPECT_EQ(err_, "");
  ASSERT_EQ(Run({"snap", "create", "data", "tuesday", "-q"}), kExitOk);
  EXPECT_EQ(out_, "tuesday\n");
  EXPECT_EQ(Run({"snapshot", "create", "data", "monday"}), kExitOk);
  EXPECT_THAT(err_, HasSubstr("existed before"));
  ASSERT_EQ(Run({"snapshot", "ls", "data"}), kExitOk);
  EXPECT_EQ(out_, "NAME     SIZE   ID\nmonday   10GiB  3\ntuesday  10GiB  4\n");
  EXPECT_EQ(Run({"snapshot", "delete", "data", "monday"}), kExitOk);
  EXPECT_EQ(Run({"snapshot", "rm", "data", "monday"}), kExitOk);
  ASSERT_EQ(Run({"snapshot", "ls", "data", "-q"}), kExitOk);
  EXPECT_EQ(out_, "tuesday\n");
  ASSERT_EQ(Run({"snapshot", "ls", "data", "-o", "json"}), kExitOk);
  EXPECT_THAT(out_, HasSubstr("\"volumeName\": \"data\""));
}

TEST_F(RunTest, Snapshot_OfADriverWithoutThemNamesTheDriver) {
  MakeVolumes();
  EXPECT_EQ(Run({"snapshot", "create", "scratch", "s"}), kExitInUse);
  EXPECT_THAT(err_, HasSubstr("driver memory does not have snapshots"));
  EXPECT_EQ(Run({"snapshot", "ls", "nosuch"}), kExitNotFound);
  EXPECT_EQ(Run({"snapshot", "create", "data", "a/b"}), kExitUsage);
  EXPECT_EQ(Run({"snapshot", "create", "data"}), kExitUsage);
}

TEST_F(RunTest, Rollback_IsForDetachedVolumes) {
  MakeVolumes();
  ASSERT_EQ(Run({"snapshot", "create", "data", "monday"}), kExitOk);
  EXPECT_EQ(Run({"volume", "rollback", "data", "monday"}), kExitInUse);
  ASSERT_EQ(Run({"detach", "data"}), kExitOk);
  EXPECT_EQ(Run({"volume", "rollback", "data", "sunday"}), kExitNotFound);
  EXPECT_EQ(Run({"volume", "rollback", "data", "monday"}), kExitOk);
  EXPECT_EQ(out_, "volume data is what snapshot monday is\n");
}

TEST_F(RunTest, Stats_ShowCountersAndTheDriversOwn) {
  MakeVolumes();
  v1::GetVolumeStatsResponse stats;
  stats.set_reads(7);
  stats.set_written_bytes(3 << 20);
  const auto add = [&stats](const char* name, double value, const char* unit) {
    v1::Statistic* statistic = stats.add_statistics();
    statistic->set_name(name);
    statistic->set_value(value);
    statistic->set_unit(unit);
  };
  add("upload_lag", 2.25, "seconds");
  add("dirty", 1 << 20, "bytes");
  add("cache_hits", 0.5, "ratio");
  add("store_puts", 12, "");
  agent_.SetStats(stats);
  ASSERT_EQ(Run({"volume", "stats", "data"}), kExitOk) << err_;
  EXPECT_THAT(out_, StartsWith("STATISTIC   VALUE\nreads       7\n"));
  for (const char* line : {"written     3MiB\n", "upload lag  2.2 s\n", "dirty       1MiB\n",
                           "cache hits  0.500\n", "store puts  12\n"}) {
    EXPECT_THAT(out_, HasSubstr(line));
  }
  ASSERT_EQ(Run({"volume", "stats", "data", "-o", "json"}), kExitOk);
  EXPECT_THAT(out_, HasSubstr("\"unit\": \"seconds\""));
  EXPECT_EQ(Run({"volume", "stats", "scratch"}), kExitInUse);
}

TEST_F(RunTest, Clone_AsksForASourceAndNothingElse) {
  MakeVolumes();
  ASSERT_EQ(Run({"snapshot", "create", "data", "monday"}), kExitOk);
  ASSERT_EQ(Run({"volume", "clone", "data", "monday", "copy", "--param", "directory=/x"}), kExitOk)
      << err_;
  EXPECT_THAT(out_, StartsWith("volume copy is ready: 10GiB, a clone of data's snapshot monday"));
  EXPECT_EQ(agent_.last_create().source().snapshot(), "monday");
  EXPECT_EQ(agent_.last_create().driver(), "");
  EXPECT_EQ(agent_.last_create().parameters().at("directory"), "/x");
  EXPECT_EQ(Run({"volume", "clone", "scratch", "monday", "other"}), kExitInUse);
  EXPECT_EQ(Run({"volume", "clone", "data", "monday"}), kExitUsage);
}

TEST_F(RunTest, Copy_HasItsOwnParametersAndWaitsBeyondTheTimeout) {
  MakeVolumes();
  agent_.FailNext("CreateVolume", absl::DeadlineExceededError("it goes on"));
  EXPECT_EQ(Run({"volume", "copy", "data", "away", "--param", "directory=/x"}), kExitInUse);
  EXPECT_THAT(err_, HasSubstr("was deleted, or undone"));
  ASSERT_EQ(Run({"volume", "copy", "data", "away", "--param", "directory=/x"}), kExitOk) << err_;
  EXPECT_THAT(out_, StartsWith("volume away is ready: 10GiB, a full copy of data, "));
  EXPECT_TRUE(agent_.last_create().source().full_copy());
  EXPECT_EQ(agent_.last_create().source().snapshot(), "");
  EXPECT_EQ(agent_.last_create().parameters().size(), 1u);
  agent_.FailNext("CreateVolume", absl::DeadlineExceededError("it has gone on"));
  EXPECT_EQ(Run({"volume", "copy", "data", "away", "--param", "directory=/x"}), kExitOk) << err_;
  EXPECT_EQ(Run({"volume", "copy", "data"}), kExitUsage);
  EXPECT_EQ(Run({"volume", "copy", "nosuch", "away2"}), kExitNotFound);
}

TEST_F(RunTest, Resize_TakesASize) {
  MakeVolumes();
  EXPECT_EQ(Run({"volume", "resize", "data", "5GiB"}), kExitInUse);
  EXPECT_EQ(Run({"volume", "resize", "data", "20"}), kExitUsage);
  EXPECT_EQ(Run({"volume", "resize", "data", "20GiB"}), kExitOk);
  EXPECT_EQ(out_, "volume data has 20GiB\n");
  ASSERT_EQ(Run({"detach", "data"}), kExitOk);
  EXPECT_EQ(Run({"volume", "resize", "data", "5GiB"}), kExitOk);
}

TEST_F(RunTest, Check_FailsWithWhatItHasFound) {
  MakeVolumes();
  v1::CheckVolumeResponse check;
  v1::Statistic* count = check.add_counts();
  count->set_name("map_pages");
  count->set_value(12);
  agent_.SetCheck(check);
  ASSERT_EQ(Run({"volume", "check", "data"}), kExitOk) << err_;
  EXPECT_EQ(out_, "CHECKED    VALUE\nmap pages  12\n");
  check.add_problems("block 7 is gone");
  agent_.SetCheck(check);
  EXPECT_EQ(Run({"volume", "check", "data"}), kExitFailure);
  EXPECT_THAT(out_, StartsWith("block 7 is gone\n"));
  EXPECT_THAT(err_, HasSubstr("volume data has 1 problems"));
}

TEST_F(RunTest, Diff_FollowsTheParts) {
  MakeVolumes();
  std::vector<v1::Extent> extents(2);
  extents[0].set_length(4096);
  extents[1].set_offset(1 << 20);
  extents[1].set_length(8192);
  extents[1].set_zero(true);
  agent_.SetExtents(extents);
  ASSERT_EQ(Run({"snapshot", "diff", "data", "tuesday", "--from", "monday"}), kExitOk) << err_;
  EXPECT_EQ(out_, "OFFSET   LENGTH  NOW\n0        4096    data\n1048576  8192    zeros\n");
  EXPECT_EQ(agent_.Calls("DiffSnapshots"), 3);
  ASSERT_EQ(Run({"snapshot", "diff", "data", "tuesday", "-q"}), kExitOk);
  EXPECT_EQ(out_, "0 4096\n1048576 8192\n");
}

}  // namespace
}  // namespace diskd::diskctl
