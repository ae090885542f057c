// SPDX-License-Identifier: Apache-2.0
//
// What env/store.h promises, on every kind of store.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "absl/random/random.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/blocking_counter.h"
#include "drivers/object/store/blocking.h"
#include "drivers/object/store/probe.h"
#include "drivers/object/store/testing/store_under_test.h"

namespace diskd::object {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::IsEmpty;

std::string RandomBytes(size_t size) {
  absl::BitGen random;
  std::string out(size, '\0');
  for (char& c : out) c = static_cast<char>(absl::Uniform<int>(random, 0, 256));
  return out;
}

std::vector<std::string> Names(const ListResult& list) {
  std::vector<std::string> names;
  for (const ListEntry& entry : list.entries) names.push_back(entry.name);
  return names;
}

class StoreConformance : public ::testing::TestWithParam<std::string> {
 protected:
  StoreConformance() : under_test_(GetParam()), store_(under_test_.store()) {}
  bool Conditions() const { return under_test_.conditions(); }

  // All pages.
  std::vector<std::string> ListAll(const std::string& prefix) {
    std::vector<std::string> names;
    std::string after;
    for (int pages = 0; pages < 1000; ++pages) {
      const auto page = ListNow(store_, prefix, after);
      EXPECT_TRUE(page.ok()) << page.status();
      if (!page.ok()) return names;
      for (const ListEntry& entry : page->entries) names.push_back(entry.name);
      if (!page->more) return names;
      after = names.back();
    }
    ADD_FAILURE() << "list does not end";
    return names;
  }

  StoreUnderTest under_test_;
  Store& store_;
};

TEST_P(StoreConformance, Put_AnySize_ReadsBackTheSameFromAnotherClient) {
  const auto another = under_test_.Another();
  for (const size_t size : {size_t{0}, size_t{1}, size_t{4095}, size_t{4096}, size_t{4097},
                            size_t{1} << 20, (size_t{8} << 20) + 12345}) {
    const std::string body = RandomBytes(size);
    const auto etag = PutNow(store_, "sizes/object", body);
    ASSERT_TRUE(etag.ok()) << size << ": " << etag.status();
    const auto got = GetNow(*another, "sizes/object");
    ASSERT_TRUE(got.ok()) << size << ": " << got.status();
    EXPECT_EQ(got->body == body, true) << size;
    EXPECT_EQ(got->object_bytes, size);
    EXPECT_EQ(got->etag, *etag);
    const auto head = HeadNow(*another, "sizes/object");
    ASSERT_TRUE(head.ok()) << head.status();
    EXPECT_EQ(head->object_bytes, size);
    EXPECT_EQ(head->etag, *etag);
  }
}

TEST_P(StoreConformance, Get_Ranges_ReturnExactlyWhatThereIs) {
  const std::string body = RandomBytes(100000);
  ASSERT_TRUE(PutNow(store_, "range", body).ok());
  const std::vector<ByteRange> ranges = {{0, 1},          {0, 100000},    {99999, 1},  {4096, 8192},
                                         {90000, 500000}, {100000, 4096}, {1 << 30, 1}};
  for (const ByteRange& range : ranges) {
    const auto got = GetNow(store_, "range", range);
    ASSERT_TRUE(got.ok()) << range.offset << ": " << got.status();
    const size_t begin = std::min<uint64_t>(range.offset, body.size());
    EXPECT_EQ(got->body == body.substr(begin, range.length), true) << range.offset;
    EXPECT_EQ(got->object_bytes, body.size());
  }
  EXPECT_TRUE(absl::IsInvalidArgument(GetNow(store_, "range", ByteRange{0, 0}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(GetNow(store_, "range", ByteRange{~0ull, 2}).status()));
}

TEST_P(StoreConformance, EmptyObject_Range_IsEmptyAndOk) {
  ASSERT_TRUE(PutNow(store_, "empty", "").ok());
  const auto got = GetNow(store_, "empty", ByteRange{0, 4096});
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->body, "");
  EXPECT_EQ(got->object_bytes, 0);
  EXPECT_FALSE(got->etag.empty());
}

TEST_P(StoreConformance, Missing_EveryRead_IsNotFound) {
  EXPECT_TRUE(absl::IsNotFound(GetNow(store_, "no/such").status()));
  EXPECT_TRUE(absl::IsNotFound(GetNow(store_, "no/such", ByteRange{0, 1}).status()));
  EXPECT_TRUE(absl::IsNotFound(HeadNow(store_, "no/such").status()));
  EXPECT_TRUE(DeleteNow(store_, "no/such").ok());
}

TEST_P(StoreConformance, Names_OutsideTheRules_AreRefused) {
  for (const std::string& name :
       {std::string(), std::string("/a"), std::string("a/"), std::string("a//b"),
        std::string("../a"), std::string("a/../b"), std::string("a/./b"), std::string("A"),
        std::string("a b"), std::string("a.tmp"), std::string("a\nb"), std::string("a\0b", 3),
        std::string("\xc3\xbc"), std::string(kMaxNameBytes + 1, 'a')}) {
    EXPECT_TRUE(absl::IsInvalidArgument(PutNow(store_, name, "x").status())) << name;
    EXPECT_TRUE(absl::IsInvalidArgument(GetNow(store_, name).status())) << name;
    EXPECT_TRUE(absl::IsInvalidArgument(HeadNow(store_, name).status())) << name;
    EXPECT_TRUE(absl::IsInvalidArgument(DeleteNow(store_, name))) << name;
  }
  EXPECT_TRUE(absl::IsInvalidArgument(ListNow(store_, "../").status()));
}

TEST_P(StoreConformance, IfAbsent_ExistingObject_KeepsIt) {
  if (!Conditions()) GTEST_SKIP() << "the service refuses conditions";
  ASSERT_TRUE(PutNow(store_, "once", "first", PutCondition::IfAbsent()).ok());
  const auto second = PutNow(store_, "once", "second", PutCondition::IfAbsent());
  EXPECT_TRUE(absl::IsFailedPrecondition(second.status())) << second.status();
  EXPECT_EQ(GetNow(store_, "once")->body, "first");
  ASSERT_TRUE(DeleteNow(store_, "once").ok());
  EXPECT_TRUE(PutNow(store_, "once", "third", PutCondition::IfAbsent()).ok());
}

TEST_P(StoreConformance, IfMatch_OnlyTheCurrentEtag_Replaces) {
  if (!Conditions()) GTEST_SKIP() << "the service refuses conditions";
  const auto first = PutNow(store_, "head", "generation 1");
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second = PutNow(store_, "head", "generation 2", PutCondition::IfMatch(*first));
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_NE(*first, *second);
  const auto stale = PutNow(store_, "head", "generation 2b", PutCondition::IfMatch(*first));
  EXPECT_TRUE(absl::IsFailedPrecondition(stale.status())) << stale.status();
  EXPECT_EQ(GetNow(store_, "head")->body, "generation 2");
  EXPECT_TRUE(PutNow(store_, "head", "generation 3", PutCondition::IfMatch(*second)).ok());
  ASSERT_TRUE(DeleteNow(store_, "head").ok());
  const auto gone = PutNow(store_, "head", "generation 4", PutCondition::IfMatch(*second));
  EXPECT_TRUE(absl::IsFailedPrecondition(gone.status())) << gone.status();
  EXPECT_TRUE(absl::IsNotFound(HeadNow(store_, "head").status()));
}

// Two clients append to one object by compare-and-swap; nothing may be lost or come twice. A
// loser may get an answer that says nothing (Ceph 16: 500), and then has to look.
TEST_P(StoreConformance, IfMatch_TwoClientsAppending_LoseNothing) {
  if (!Conditions()) GTEST_SKIP() << "the service refuses conditions";
  constexpr int kAppends = 20;
  const auto another = under_test_.Another();
  ASSERT_TRUE(PutNow(store_, "log", "").ok());
  const auto append = [](Store* store, const std::string& writer) {
    for (int done = 0; done < kAppends;) {
      const std::string mine = absl::StrCat(writer, done, ";");
      const auto now = GetNow(*store, "log");
      ASSERT_TRUE(now.ok()) << now.status();
      if (absl::StrContains(now->body, mine)) {
        ++done;
        continue;
      }
      const auto put = PutNow(*store, "log", now->body + mine, PutCondition::IfMatch(now->etag));
      ASSERT_TRUE(put.ok() || absl::IsFailedPrecondition(put.status()) ||
                  absl::IsAborted(put.status()) || absl::IsUnavailable(put.status()))
          << put.status();
    }
  };
  std::thread other(append, another.get(), "a");
  append(&store_, "b");
  other.join();
  std::vector<std::string> expected;
  for (int i = 0; i < kAppends; ++i) {
    expected.push_back(absl::StrCat("a", i));
    expected.push_back(absl::StrCat("b", i));
  }
  const std::vector<std::string> found =
      absl::StrSplit(GetNow(store_, "log")->body, ';', absl::SkipEmpty());
  EXPECT_THAT(found, ::testing::UnorderedElementsAreArray(expected));
}

TEST_P(StoreConformance, List_ManyNames_AreOrderedByTheirBytesAndPaged) {
  std::vector<std::string> names = {"v/a",   "v/a-b",   "v/a.b", "v/a0", "v/b/x", "v/b/y",
                                    "v/b-1", "v/b.z/q", "v/b0",  "w/1",  "u/9"};
  for (int i = 0; i < 25; ++i) names.push_back(absl::StrFormat("v/seq/%04d", i * 7));
  for (const std::string& name : names) ASSERT_TRUE(PutNow(store_, name, name).ok()) << name;
  std::sort(names.begin(), names.end());
  EXPECT_THAT(ListAll(""), ElementsAreArray(names));
  std::vector<std::string> below;
  for (const std::string& name : names) {
    if (name.rfind("v/b", 0) == 0) below.push_back(name);
  }
  EXPECT_THAT(ListAll("v/b"), ElementsAreArray(below));
  EXPECT_THAT(Names(*ListNow(store_, "v/", "v/seq/0160")), ElementsAre("v/seq/0161", "v/seq/0168"));
  // `after` need not exist, nor lie below the prefix.
  EXPECT_THAT(Names(*ListNow(store_, "w/", "a")), ElementsAre("w/1"));
  EXPECT_THAT(Names(*ListNow(store_, "u/", "z")), IsEmpty());
  EXPECT_THAT(ListAll("nothing/"), IsEmpty());
  EXPECT_EQ(ListNow(store_, "w/")->entries[0].object_bytes, 3);
  ASSERT_TRUE(DeleteNow(store_, "w/1").ok());
  EXPECT_THAT(ListAll("w/"), IsEmpty());
}

TEST_P(StoreConformance, ManyPutsAndGetsAtOnce_AllArrive) {
  constexpr int kObjects = 60;
  absl::BlockingCounter puts(kObjects);
  std::atomic<int> failed = 0;
  for (int i = 0; i < kObjects; ++i) {
    store_.Put(Lane::kUpload, absl::StrCat("many/", i),
               std::make_shared<const std::string>(absl::StrCat("object ", i)),
               PutCondition::None(), [&](const absl::StatusOr<Etag>& etag) {
                 if (!etag.ok()) ++failed;
                 puts.DecrementCount();
               });
  }
  puts.Wait();
  absl::BlockingCounter gets(kObjects);
  for (int i = 0; i < kObjects; ++i) {
    store_.Get(Lane::kRead, absl::StrCat("many/", i), std::nullopt,
               [&, i](const absl::StatusOr<GetResult>& got) {
                 if (!got.ok() || got->body != absl::StrCat("object ", i)) ++failed;
                 gets.DecrementCount();
               });
  }
  gets.Wait();
  EXPECT_EQ(failed, 0);
}

TEST_P(StoreConformance, Destructor_WithCallsUnderWay_WaitsForEveryDone) {
  std::atomic<int> done = 0;
  constexpr int kCalls = 40;
  {
    const auto store = under_test_.Another();
    for (int i = 0; i < kCalls; ++i) {
      store->Put(Lane::kUpload, absl::StrCat("late/", i), std::make_shared<const std::string>("x"),
                 PutCondition::None(), [&done](const absl::StatusOr<Etag>&) { ++done; });
    }
  }
  EXPECT_EQ(done, kCalls);
}

TEST_P(StoreConformance, Probe_SaysWhetherConditionsHold) {
  const auto report = ProbeConditionalPut(store_, "probe");
  ASSERT_TRUE(report.ok()) << report.status();
  if (Conditions()) {
    EXPECT_TRUE(report->FencingByCas().ok()) << report->FencingByCas();
  } else {
    EXPECT_EQ(report->if_absent, ConditionVerdict::kRefused) << report->if_absent_detail;
    EXPECT_TRUE(absl::IsFailedPrecondition(report->FencingByCas()));
    EXPECT_THAT(std::string(report->FencingByCas().message()),
                ::testing::HasSubstr("fencing=lease"));
  }
  EXPECT_THAT(ListAll("probe"), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Stores, StoreConformance, ::testing::ValuesIn(StoreUnderTest::Names()),
                         [](const auto& name) { return name.param; });

}  // namespace
}  // namespace diskd::object
