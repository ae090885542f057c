// SPDX-License-Identifier: Apache-2.0
//
// How the map is read: pages that lie together come together, and once for all who wait for them.
#include "drivers/object/engine/map_tree.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "drivers/object/sim/one_volume.h"
#include "gtest/gtest.h"

namespace diskd::object {
namespace {

constexpr uint8_t kFanoutBits = 4;
constexpr uint64_t kFanout = 1 << kFanoutBits;
constexpr uint64_t kBlocks = kFanout * kFanout * kFanout;  // a root, 16 pages, 256 leaves
constexpr uint64_t kGroups = kBlocks / kFanout / kFanout;  // leaves of one page, for one GET

// Its disk can't read what a longer GET wants.
class ShortStore final : public Store {
 public:
  explicit ShortStore(Store* store) : store_(store) {}
  void Put(Lane lane, const std::string& name, std::shared_ptr<const std::string> body,
           PutCondition condition, PutDone done) override {
    store_->Put(lane, name, std::move(body), std::move(condition), std::move(done));
  }
  void Get(Lane lane, const std::string& name, std::optional<ByteRange> range,
           GetDone done) override {
    if (range->length > longest) {
      done = [done = std::move(done)](const absl::StatusOr<GetResult>&) {
        done(absl::UnknownError("EIO"));
      };
    }
    store_->Get(lane, name, range, std::move(done));
  }
  void Head(Lane lane, const std::string& name, HeadDone done) override {
    store_->Head(lane, name, std::move(done));
  }
  void List(Lane lane, const std::string& prefix, const std::string& after,
            ListDone done) override {
    store_->List(lane, prefix, after, std::move(done));
  }
  void Delete(Lane lane, const std::string& name, DeleteDone done) override {
    store_->Delete(lane, name, std::move(done));
  }

  uint64_t longest = ~uint64_t{0};

 private:
  Store* const store_;
};

class MapTreeTest : public OneVolume {
 protected:
  void SetUp() override {
    options_.fanout_bits = kFanoutBits;
    options_.object_bytes = 2 * kBlocks * kBlockBytes;  // one object
    options_.checkpoint_objects = 1;
    Open(kBlocks, 4 * kBlocks, options_);
    Lba next = 0;
    WriteMany(kBlocks, 64, [&next] { return next++; });
    RunUntil([this] { return engine().stats().checkpoints > 0; });
    head_ = engine().head();
    MakeTree(1 << 20);
  }
  void MakeTree(uint64_t cache_bytes, StoreClient::Patience patience = {}) {
    options_.page_cache_bytes = cache_bytes;
    tree_.emplace(
        &client_, [this](uint16_t id) { return head_.FindStream(id); }, options_, patience);
  }
  PagePointer root() const { return head_.checkpoint.root; }
  // The status comes when virtual time goes on.
  std::shared_ptr<std::optional<absl::Status>> Start(Lba lba) {
    auto result = std::make_shared<std::optional<absl::Status>>();
    const auto find = [](MapTree* tree, PagePointer root, Lba lba,
                         std::shared_ptr<std::optional<absl::Status>> result) -> Task<void> {
      const absl::StatusOr<MapTree::Found> found = co_await tree->Find(root, lba, 1);
      *result =
          found.ok() && found->location.hole() ? absl::NotFoundError("a hole") : found.status();
    };
    tasks_.Spawn(find(&*tree_, root(), lba, result));
    return result;
  }
  absl::Status Find(Lba lba) {
    const auto result = Start(lba);
    RunUntil([&] { return result->has_value(); });
    return result->value_or(absl::UnknownError("never"));
  }
  uint64_t gets() const { return client_.counters().gets; }
  uint64_t bytes_per_get(uint64_t gets_before, uint64_t bytes_before) const {
    return (client_.counters().get_bytes - bytes_before) / (gets() - gets_before);
  }

  Options options_;
  Head head_;
  ShortStore short_store_{&store_};
  StoreClient client_{&short_store_, &scheduler_};
  std::optional<MapTree> tree_;
  TaskSet tasks_;  // last
};

TEST_F(MapTreeTest, PagesOfOneParent_ComeWithOneGet) {
  for (Lba lba = 0; lba < kBlocks; ++lba) ASSERT_TRUE(Find(lba).ok()) << lba;
  EXPECT_EQ(gets(), 2 + kGroups);
}

TEST_F(MapTreeTest, ThoseWhoWaitForAPage_WaitForOneGet) {
  std::vector<std::shared_ptr<std::optional<absl::Status>>> results;
  for (Lba lba = 0; lba < kBlocks; lba += 3) results.push_back(Start(lba));
  for (const auto& result : results) {
    RunUntil([&] { return result->has_value(); });
    EXPECT_TRUE((*result)->ok()) << **result;
  }
  EXPECT_EQ(gets(), 2 + kGroups);
}

TEST_F(MapTreeTest, CacheThatIsFull_TakesWhatIsReadInOrderTogether) {
  MakeTree(20 << 10);  // a quarter of the map
  for (Lba lba = 0; lba < kBlocks; ++lba) ASSERT_TRUE(Find(lba).ok()) << lba;
  EXPECT_LE(gets(), 2 + 3 * kGroups);
  const uint64_t together = bytes_per_get(0, 0);
  const uint64_t before = gets();
  const uint64_t bytes = client_.counters().get_bytes;
  constexpr int kReads = 100;
  for (int i = 0; i < kReads; ++i) ASSERT_TRUE(Find(scheduler_.Random() % kBlocks).ok());
  // For random ones others are rarely thrown away.
  EXPECT_LT(bytes_per_get(before, bytes), together * 2 / 3);
}

TEST_F(MapTreeTest, ManyAtOnce_DoNotFetchMoreThanTheCacheTakes) {
  constexpr uint64_t kCache = 20 << 10;
  MakeTree(kCache);
  ASSERT_TRUE(Find(kBlocks - 1).ok());
  const uint64_t before = client_.counters().get_bytes;
  std::vector<std::shared_ptr<std::optional<absl::Status>>> results;
  for (Lba lba = 0; lba < kBlocks; lba += kBlocks / kGroups) results.push_back(Start(lba));
  for (const auto& result : results) {
    RunUntil([&] { return result->has_value(); });
    EXPECT_TRUE((*result)->ok()) << **result;
  }
  EXPECT_LT(client_.counters().get_bytes - before, kCache);
}

TEST_F(MapTreeTest, DamagedPage_IsAnErrorOfItsBlocksOnly) {
  const auto load = [](MapTree* tree, PagePointer at,
                       std::shared_ptr<const MapPage>* into) -> Task<void> {
    absl::StatusOr<std::shared_ptr<const MapPage>> page = co_await tree->Load(Lane::kRead, at);
    if (page.ok()) *into = *page;
  };
  PagePointer at = root();
  for (int level = 0; level < 2; ++level) {
    std::shared_ptr<const MapPage> page;
    tasks_.Spawn(load(&*tree_, at, &page));
    RunUntil([&] { return page != nullptr; });
    at = page->pages[0];
  }
  const Stream* stream = head_.FindStream(at.stream);
  store_.DamageAt(ObjectName(stream->volume, stream->epoch, stream->nonce, at.sequence),
                  at.offset + at.length / 2);
  for (const bool damaged_first : {true, false}) {
    MakeTree(1 << 20);
    if (!damaged_first) {
      EXPECT_TRUE(Find(kFanout).ok());
    }
    const StoreCounters before = client_.counters();
    EXPECT_TRUE(absl::IsDataLoss(Find(0)));
    EXPECT_EQ(client_.counters().lost, before.lost + 1);
    EXPECT_GT(client_.counters().corrupt, before.corrupt);
    for (Lba lba = kFanout; lba < kBlocks; lba += kFanout) ASSERT_TRUE(Find(lba).ok()) << lba;
  }
}

TEST_F(MapTreeTest, PageBesideOneThatTheDiskCantRead_IsRead) {
  short_store_.longest = 1024;
  for (Lba lba = 0; lba < kBlocks; lba += kFanout) ASSERT_TRUE(Find(lba).ok()) << lba;
  EXPECT_EQ(client_.counters().lost, 0u);
  MakeTree(1 << 20);
  short_store_.longest = 0;
  EXPECT_TRUE(absl::IsDataLoss(Find(0)));
  EXPECT_EQ(client_.counters().lost, 1u);
}

TEST_F(MapTreeTest, WhoWaitsForAGetThatHangs_SendsAnother) {
  ASSERT_TRUE(Find(0).ok());
  const Stream* stream = head_.FindStream(root().stream);
  const std::string name =
      ObjectName(stream->volume, stream->epoch, stream->nonce, root().sequence);
  store_.object_faults[name] = {absl::DeadlineExceededError(""), absl::InfiniteDuration(),
                                absl::Hours(1)};
  const Lba lba = kBlocks - 1;
  const auto hangs = Start(lba);
  const absl::Duration sent = scheduler_.Now() + absl::Seconds(1);
  scheduler_.After(absl::Seconds(1), [] {});
  RunUntil([&] { return scheduler_.Now() >= sent; });
  store_.object_faults.clear();
  const absl::Duration begin = scheduler_.Now();
  EXPECT_TRUE(Find(lba).ok());
  EXPECT_LT(scheduler_.Now() - begin, absl::Seconds(5));
  EXPECT_FALSE(hangs->has_value());
}

TEST_F(MapTreeTest, StoreThatIsAway_EndsAllWhoWait) {
  MakeTree(1 << 20, {absl::Milliseconds(500), 4, absl::Seconds(5)});
  ASSERT_TRUE(Find(0).ok());
  store_.Outage(absl::Minutes(10), /*refused=*/false);
  const absl::Duration begin = scheduler_.Now();
  const Lba lba = kBlocks - 1;
  const auto first = Start(lba);
  const auto second = Start(lba);
  RunUntil([&] { return first->has_value() && second->has_value(); });
  EXPECT_TRUE(absl::IsUnavailable(**first)) << **first;
  EXPECT_TRUE(absl::IsUnavailable(**second)) << **second;
  EXPECT_LT(scheduler_.Now() - begin, absl::Minutes(1));
}

}  // namespace
}  // namespace diskd::object
