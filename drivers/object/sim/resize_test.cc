// SPDX-License-Identifier: Apache-2.0
//
// Growing a volume by more than the map has room for under its root.
#include <cstring>
#include <string>

#include "drivers/object/sim/one_volume.h"
#include "gtest/gtest.h"

namespace diskd::object {
namespace {

// With a fan-out of 4, the root of 16 blocks is on level 1 and that of 300 on level 4.
constexpr uint64_t kBlocks = 16;
constexpr uint64_t kGrown = 300;
constexpr uint64_t kLogBlocks = 2048;

class ResizeTest : public OneVolume {
 protected:
  void SetUp() override {
    options_.fanout_bits = 2;
    OneVolume::Open(kBlocks, kLogBlocks, options_);
    Write(0, kBlocks, 'a');
    snapshot_ = Snapshot("before");
  }

  void Write(Lba lba, uint64_t blocks, char what) {
    AlignedBuffer buffer(blocks);
    memset(buffer.block(0), what, buffer.bytes());
    const absl::Status status = Wait([&](auto done) {
      engine().Submit({RequestKind::kWrite, false, lba, blocks, buffer.block(0), done});
    });
    ASSERT_TRUE(status.ok()) << status;
    want_.replace(lba, blocks, blocks, what);
  }
  void Zero(Lba lba, uint64_t blocks) {
    const absl::Status status = Wait([&](auto done) {
      engine().Submit({RequestKind::kZero, false, lba, blocks, nullptr, done});
    });
    ASSERT_TRUE(status.ok()) << status;
    want_.replace(lba, blocks, blocks, '\0');
  }
  // Its root is made by a checkpoint.
  uint64_t Snapshot(const std::string& name) {
    uint64_t made = 0;
    const absl::Status status = Wait([&](auto done) {
      engine().CreateSnapshot(name, [&made, done](absl::StatusOr<uint64_t> id) {
        made = id.value_or(0);
        done(id.status());
      });
    });
    EXPECT_TRUE(status.ok()) << status;
    return made;
  }
  void Grow() {
    const absl::Status status = Wait([&](auto done) { engine().Resize(kGrown, done); });
    ASSERT_TRUE(status.ok()) << status;
    want_.resize(kGrown, '\0');
  }
  void Reopen(const Uuid& volume) {
    const absl::Status status = Serve(volume, kLogBlocks, options_);
    ASSERT_TRUE(status.ok()) << status;
  }
  void Close() {
    const absl::Status status = Wait([&](auto done) { engine().Close(done); });
    ASSERT_TRUE(status.ok()) << status;
  }
  // A character for each block.
  void ExpectContent() {
    AlignedBuffer buffer(want_.size());
    const absl::Status status = Wait([&](auto done) {
      engine().Submit({RequestKind::kRead, false, 0, want_.size(), buffer.block(0), done});
    });
    ASSERT_TRUE(status.ok()) << status;
    for (size_t i = 0; i < want_.size(); ++i) {
      ASSERT_EQ(BlockView(buffer.block(i)), std::string(kBlockBytes, want_[i])) << i;
    }
  }
  // What is served now, and what whoever comes next finds in the store.
  void ExpectContentHereAndAfterwards(const Uuid& volume) {
    ExpectContent();
    Close();
    Reopen(volume);
    ExpectContent();
  }

  Options options_;
  uint64_t snapshot_ = 0;
  std::string want_ = std::string(kBlocks, '\0');
};

TEST_F(ResizeTest, GrownByLevels_WrittenAtTheBeginning_IsWhatWasWritten) {
  Grow();
  Write(0, 1, 'b');
  Snapshot("after");
  ExpectContentHereAndAfterwards(volume_);
}

TEST_F(ResizeTest, GrownByLevels_WrittenEverywhereButAtTheBeginning_KeepsTheBeginning) {
  Grow();
  for (Lba lba = kBlocks; lba < kGrown; lba += 30) Write(lba, 1, 'c');
  Snapshot("after");
  ExpectContentHereAndAfterwards(volume_);
}

TEST_F(ResizeTest, GrownByLevels_ZeroedAtTheBeginning_IsZeroThere) {
  Grow();
  Zero(0, kBlocks / 2 + 1);
  Write(kGrown - 1, 1, 'd');
  Snapshot("after");
  ExpectContentHereAndAfterwards(volume_);
}

TEST_F(ResizeTest, GrownClone_ReadsTheSameAndLeavesItsOriginAlone) {
  const std::string origin = want_;
  Uuid clone;
  clone.bytes[0] = 2;
  {
    Operator process(&scheduler_, &store_, options_);
    const absl::Status cloned =
        Wait([&](auto done) { process.volumes().Clone(volume_, snapshot_, clone, done); });
    ASSERT_TRUE(cloned.ok()) << cloned;
  }
  Close();
  Reopen(clone);
  Grow();
  Write(1, 1, 'e');
  Snapshot("after");
  ExpectContentHereAndAfterwards(clone);
  Reopen(volume_);
  want_ = origin;
  ExpectContent();
}

}  // namespace
}  // namespace diskd::object
