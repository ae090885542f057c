// SPDX-License-Identifier: Apache-2.0
//
// What users of volumes are told, on a store without faults; what may happen otherwise is the
// simulation's.
#include "drivers/object/engine/volumes.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "drivers/object/sim/node.h"
#include "drivers/object/sim/wait.h"
#include "gtest/gtest.h"

namespace diskd::object {
namespace {

constexpr uint64_t kBlocks = 64;
constexpr uint64_t kLogBlocks = 2048;

Uuid Id(uint8_t number) {
  Uuid id;
  id.bytes[0] = number;
  return id;
}

Options WithKey(uint8_t first) {
  Options options;
  options.key = PackingKey{first};
  return options;
}

class VolumesTest : public testing::Test {
 protected:
  absl::Status Wait(const std::function<void(std::function<void(absl::Status)>)>& start) {
    return WaitOn(scheduler_, start);
  }
  absl::Status Create(const Uuid& id, const Options& options) {
    Operator process(&scheduler_, &store_, options);
    return Wait([&](auto done) { process.volumes().Create(id, kBlocks, done); });
  }
  absl::Status Open(const Uuid& id, const Options& options) {
    node_ = std::make_unique<Node>(&scheduler_, &store_,
                                   std::make_shared<SimDisk>(&scheduler_, kLogBlocks), nullptr, id,
                                   options);
    return Wait([&](auto done) { node_->engine().Open(done); });
  }
  absl::Status Write(Lba lba, uint64_t blocks, char what) {
    AlignedBuffer buffer(blocks);
    memset(buffer.block(0), what, buffer.bytes());
    return Wait([&](auto done) {
      node_->engine().Submit({RequestKind::kWrite, false, lba, blocks, buffer.block(0), done});
    });
  }
  absl::Status Close() {
    return Wait([&](auto done) { node_->engine().Close(done); });
  }

  SimScheduler scheduler_{1};
  SimStore store_{&scheduler_};
  std::unique_ptr<Node> node_;
};

TEST_F(VolumesTest, Open_WithoutOrWithAWrongKey_SaysWhatIsWrong) {
  ASSERT_TRUE(Create(Id(1), WithKey(1)).ok());
  EXPECT_EQ(Open(Id(1), Options{}).message(),
            "volume " + Id(1).Hex() + " is encrypted: give its key");
  const absl::Status wrong = Open(Id(1), WithKey(2));
  EXPECT_TRUE(absl::IsPermissionDenied(wrong)) << wrong;
  EXPECT_EQ(wrong.message(), "the key is not the one that volume " + Id(1).Hex() +
                                 " is encrypted with: give that one");
  EXPECT_TRUE(Open(Id(1), WithKey(1)).ok());
}

TEST_F(VolumesTest, Open_WithAKeyOfAPlainVolume_IsRefused) {
  ASSERT_TRUE(Create(Id(1), Options{}).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(Open(Id(1), WithKey(1))));
}

TEST_F(VolumesTest, EncryptedVolume_Written_ShowsNothingToTheStore) {
  for (const bool encrypted : {false, true}) {
    const Options options = encrypted ? WithKey(1) : Options{};
    const Uuid id = Id(encrypted ? 1 : 2);
    ASSERT_TRUE(Create(id, options).ok());
    ASSERT_TRUE(Open(id, options).ok());
    ASSERT_TRUE(Write(7, 20, 'S').ok());
    ASSERT_TRUE(Close().ok());
    EXPECT_EQ(store_.Contains(VolumePrefix(id), std::string(64, 'S')), !encrypted);
  }
}

TEST_F(VolumesTest, CompressedVolume_IsSmallerAndReadsTheSame) {
  Options options;
  options.zstd_level = 1;
  ASSERT_TRUE(Create(Id(1), options).ok());
  ASSERT_TRUE(Open(Id(1), options).ok());
  ASSERT_TRUE(Write(3, 50, 'A').ok());
  ASSERT_TRUE(Close().ok());
  EXPECT_EQ(node_->engine().stats().packed_data_bytes, 50 * kBlockBytes);
  EXPECT_LT(node_->engine().stats().stored_data_bytes, kBlockBytes);
  // Somebody who does not compress reads it all the same.
  ASSERT_TRUE(Open(Id(1), Options{}).ok());
  AlignedBuffer buffer(kBlocks);
  ASSERT_TRUE(
      Wait([&](auto done) {
        node_->engine().Submit({RequestKind::kRead, false, 0, kBlocks, buffer.block(0), done});
      }).ok());
  EXPECT_EQ(BlockView(buffer.block(2)), std::string(kBlockBytes, '\0'));
  EXPECT_EQ(BlockView(buffer.block(3)), std::string(kBlockBytes, 'A'));
  EXPECT_EQ(BlockView(buffer.block(52)), std::string(kBlockBytes, 'A'));
  EXPECT_EQ(BlockView(buffer.block(53)), std::string(kBlockBytes, '\0'));
}

TEST_F(VolumesTest, DeadStore_EndsACallWhenPatienceDoes) {
  store_.Outage(absl::Hours(10), false);
  Volumes volumes(&store_, &scheduler_, Options{}, absl::Seconds(30));
  const absl::Duration begin = scheduler_.Now();
  EXPECT_TRUE(absl::IsUnavailable(Wait([&](auto done) { volumes.Create(Id(1), kBlocks, done); })));
  EXPECT_GE(scheduler_.Now() - begin, absl::Seconds(30));
  EXPECT_LE(scheduler_.Now() - begin, absl::Seconds(60));
}

TEST_F(VolumesTest, Create_Twice_IsTheSameUnlessTheSizeDiffers) {
  EXPECT_TRUE(Create(Id(1), Options{}).ok());
  EXPECT_TRUE(Create(Id(1), Options{}).ok());
  Volumes volumes(&store_, &scheduler_, Options{});
  EXPECT_TRUE(
      absl::IsAlreadyExists(Wait([&](auto done) { volumes.Create(Id(1), kBlocks + 1, done); })));
}

TEST_F(VolumesTest, ManySmallDiscards_AreCutIntoObjectsThatCanBeReadAgain) {
  constexpr uint64_t kDiscards = 60000;
  Options options;
  options.durability = Durability::kRemote;
  {
    Operator process(&scheduler_, &store_, options);
    ASSERT_TRUE(
        Wait([&](auto done) { process.volumes().Create(Id(1), 2 * kDiscards, done); }).ok());
  }
  ASSERT_TRUE(Open(Id(1), options).ok());
  ASSERT_TRUE(Write(0, 2, 'A').ok());
  for (uint64_t i = 0; i < kDiscards; ++i) {
    node_->engine().Submit(
        {RequestKind::kZero, false, 2 * i, 1, nullptr, [](const absl::Status&) {}});
  }
  ASSERT_TRUE(Wait([&](auto done) {
                node_->engine().Submit({RequestKind::kFlush, false, 0, 0, nullptr, done});
              }).ok());
  // Another node, and no checkpoint since: from the objects alone.
  const std::shared_ptr<SimDisk> before = node_->disk();
  const absl::Status opened = Open(Id(1), options);
  ASSERT_TRUE(opened.ok()) << opened;
  AlignedBuffer buffer(2);
  ASSERT_TRUE(Wait([&](auto done) {
                node_->engine().Submit({RequestKind::kRead, false, 0, 2, buffer.block(0), done});
              }).ok());
  EXPECT_EQ(BlockView(buffer.block(0)), std::string(kBlockBytes, '\0'));
  EXPECT_EQ(BlockView(buffer.block(1)), std::string(kBlockBytes, 'A'));
}

// Volumes whose id is used again.
class SameIdTest : public VolumesTest {
 protected:
  void SetUp() override {
    ASSERT_TRUE(Create(Id(1), Options{}).ok());
    // The first DELETE of the HEAD lands late; what follows is answered at once.
    store_.delete_fault = [this](const std::string& name) -> std::optional<absl::Duration> {
      if (name != HeadName(Id(1)) || late_ == absl::ZeroDuration()) return std::nullopt;
      return std::exchange(late_, absl::ZeroDuration());
    };
  }
  absl::Status Delete(const Volumes::Deletion& deletion) {
    Operator process(&scheduler_, &store_, Options{});
    return Wait([&](auto done) { process.volumes().Delete(Id(1), deletion, done); });
  }
  // What is still under way in the store.
  void LetAllLand() {
    while (scheduler_.RunOne()) {
    }
  }
  bool IsThere() const { return !store_.FindPrefix(HeadName(Id(1))).empty(); }

  absl::Duration late_ = store_.latest;
};

TEST_F(SameIdTest, DeleteThatLandsLate_TakesNothingFromTheNextVolume) {
  ASSERT_TRUE(Delete({}).ok());
  ASSERT_TRUE(Create(Id(1), Options{}).ok());
  LetAllLand();
  EXPECT_TRUE(IsThere());
}

TEST_F(SameIdTest, BurialThatLandsLate_BuriesNotTheNextVolume) {
  absl::Duration late = std::exchange(late_, absl::ZeroDuration());
  store_.put_fault = [&late](const std::string&) -> std::optional<SimStore::PutFault> {
    if (late == absl::ZeroDuration()) return std::nullopt;
    return SimStore::PutFault{absl::Seconds(1), std::exchange(late, absl::ZeroDuration())};
  };
  ASSERT_TRUE(Delete({}).ok());
  ASSERT_TRUE(Create(Id(1), Options{}).ok());
  LetAllLand();
  EXPECT_TRUE(Open(Id(1), Options{}).ok());
}

TEST_F(SameIdTest, DeletionThatWasKilled_RepeatedTakesNothingEither) {
  {
    Operator killed(&scheduler_, &store_, Options{});
    killed.volumes().Delete(Id(1), {}, [](const absl::Status&) {});
    while (late_ > absl::ZeroDuration()) ASSERT_TRUE(scheduler_.RunOne());
  }
  ASSERT_TRUE(Delete({.repeated = true}).ok());
  ASSERT_TRUE(Create(Id(1), Options{}).ok());
  LetAllLand();
  EXPECT_TRUE(IsThere());
}

TEST_F(SameIdTest, DeletionThatIsAnsweredOrOfASpentId_WaitsForNothing) {
  const absl::Duration begin = scheduler_.Now();
  ASSERT_TRUE(Delete({.id_is_spent = true}).ok());
  EXPECT_EQ(late_, absl::ZeroDuration());
  EXPECT_FALSE(IsThere());
  ASSERT_TRUE(Create(Id(1), Options{}).ok());
  ASSERT_TRUE(Delete({}).ok());
  EXPECT_LT(scheduler_.Now() - begin, absl::Seconds(30));
}

// A store that collections get no answer from.
class NoCollection final : public Store {
 public:
  explicit NoCollection(Store* store) : store_(store) {}
  void Put(Lane lane, const std::string& name, std::shared_ptr<const std::string> body,
           PutCondition condition, PutDone done) override {
    if (lane != Lane::kCollect) store_->Put(lane, name, std::move(body), condition, done);
  }
  void Get(Lane lane, const std::string& name, std::optional<ByteRange> range,
           GetDone done) override {
    if (lane != Lane::kCollect) store_->Get(lane, name, range, done);
  }
  void Head(Lane lane, const std::string& name, HeadDone done) override {
    if (lane != Lane::kCollect) store_->Head(lane, name, done);
  }
  void List(Lane lane, const std::string& prefix, const std::string& after,
            ListDone done) override {
    if (lane != Lane::kCollect) store_->List(lane, prefix, after, done);
  }
  void Delete(Lane lane, const std::string& name, DeleteDone done) override {
    if (lane != Lane::kCollect) store_->Delete(lane, name, done);
  }

 private:
  Store* const store_;
};

TEST_F(VolumesTest, CollectionThatTakesLong_HoldsBackNoWrites) {
  Options options;
  options.durability = Durability::kRemote;
  options.checkpoint_objects = 2;
  options.collect_every_objects = 4;
  ASSERT_TRUE(Create(Id(1), options).ok());
  NoCollection slow(&store_);
  SimDisk disk(&scheduler_, kLogBlocks);
  Engine engine({&slow, &disk, &scheduler_}, Id(1), options);
  ASSERT_TRUE(Wait([&](auto done) { engine.Open(done); }).ok());
  AlignedBuffer buffer(1);
  for (Lba lba = 0; lba < 40; ++lba) {
    const absl::Status written = Wait([&](auto done) {
      engine.Submit({RequestKind::kWrite, true, lba, 1, buffer.block(0), done});
    });
    ASSERT_TRUE(written.ok()) << lba << ": " << written;
  }
  EXPECT_GT(engine.stats().checkpoints, 10u);
}

TEST_F(VolumesTest, Clone_OfWhatIsNotThere_IsNotFound) {
  ASSERT_TRUE(Create(Id(1), Options{}).ok());
  Volumes volumes(&store_, &scheduler_, Options{});
  EXPECT_TRUE(absl::IsNotFound(Wait([&](auto done) { volumes.Clone(Id(1), 5, Id(2), done); })));
  EXPECT_TRUE(absl::IsNotFound(Wait([&](auto done) { volumes.Clone(Id(9), 5, Id(2), done); })));
  EXPECT_EQ(store_.FindPrefix(VolumePrefix(Id(2))), "");
}

}  // namespace
}  // namespace diskd::object
