// SPDX-License-Identifier: Apache-2.0
#include "agent/store/sqlite_store.h"

#include <unistd.h>

#include <fstream>
#include <sstream>

#include "gtest/gtest.h"

namespace diskd::agent {
namespace {

class SqliteStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = testing::TempDir() + "/store.XXXXXX";
    ASSERT_NE(mkdtemp(dir_.data()), nullptr);
    path_ = dir_ + "/diskd.db";
  }
  std::unique_ptr<SqliteStore> Open() {
    auto store = SqliteStore::Open(path_);
    EXPECT_TRUE(store.ok()) << store.status();
    return *std::move(store);
  }
  static VolumeRecord Volume(const std::string& id, const std::string& name) {
    VolumeRecord volume;
    volume.set_id(id);
    volume.set_name(name);
    volume.set_driver("memory");
    volume.set_size_bytes(1 << 20);
    volume.set_logical_block_bytes(512);
    volume.set_state(diskd::v1::VOLUME_STATE_CREATING);
    volume.mutable_create_time()->set_seconds(1700000000);
    volume.mutable_create_time()->set_nanos(5);
    volume.mutable_source()->set_volume("vol-0");
    volume.mutable_source()->set_snapshot("monday");
    (*volume.mutable_parameters())["dir"] = "/srv";
    return volume;
  }
  std::string Bytes() {
    std::ifstream in(path_, std::ios::binary);
    std::stringstream bytes;
    bytes << in.rdbuf();
    return bytes.str();
  }
  std::string dir_, path_;
};

TEST_F(SqliteStoreTest, RecordsOutliveTheStore) {
  AttachmentRecord attachment;
  attachment.volume_id = "vol-1";
  attachment.transport = diskd::v1::TRANSPORT_FUSE;
  attachment.read_only = true;
  attachment.queues = 2;
  attachment.queue_depth = 64;
  attachment.state = diskd::v1::ATTACHMENT_STATE_DETACHING;
  attachment.force = true;
  attachment.device_number = 7;
  attachment.survives_driver_death = true;
  attachment.boot_id = "boot";
  attachment.message = "why";
  attachment.attach_time = absl::FromUnixNanos(1700000000000000007);
  {
    auto store = Open();
    ASSERT_TRUE(store->PutVolume(Volume("vol-1", "a")).ok());
    ASSERT_TRUE(store->PutAttachment(attachment).ok());
  }
  auto store = Open();
  const auto volume = store->FindVolume("a");
  ASSERT_TRUE(volume.ok() && *volume);
  EXPECT_EQ((*volume)->SerializeAsString(), Volume("vol-1", "a").SerializeAsString());
  EXPECT_TRUE((*store->FindVolume("vol-1")).has_value());
  const auto found = store->FindAttachment("vol-1");
  ASSERT_TRUE(found.ok() && *found);
  EXPECT_EQ((*found)->transport, attachment.transport);
  EXPECT_TRUE((*found)->read_only);
  EXPECT_EQ((*found)->queues, 2u);
  EXPECT_EQ((*found)->queue_depth, 64u);
  EXPECT_EQ((*found)->state, attachment.state);
  EXPECT_TRUE((*found)->force);
  EXPECT_EQ((*found)->device_number, 7);
  EXPECT_TRUE((*found)->survives_driver_death);
  EXPECT_EQ((*found)->boot_id, "boot");
  EXPECT_EQ((*found)->message, "why");
  EXPECT_EQ((*found)->attach_time, attachment.attach_time);
}

TEST_F(SqliteStoreTest, NameOfAnotherVolume_IsAlreadyExists) {
  auto store = Open();
  ASSERT_TRUE(store->PutVolume(Volume("vol-1", "a")).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(store->PutVolume(Volume("vol-2", "a"))));
}

TEST_F(SqliteStoreTest, RemovedRecords_AreGoneAndRemovingAgainSucceeds) {
  auto store = Open();
  ASSERT_TRUE(store->PutVolume(Volume("vol-1", "a")).ok());
  ASSERT_TRUE(store->RemoveVolume("vol-1").ok());
  EXPECT_TRUE(store->RemoveVolume("vol-1").ok());
  EXPECT_TRUE(store->RemoveAttachment("vol-1").ok());
  EXPECT_FALSE((*store->FindVolume("a")).has_value());
  EXPECT_EQ(*store->CountVolumes(), 0);
}

TEST_F(SqliteStoreTest, Listing_IsByIdAfterTheGivenOne) {
  auto store = Open();
  for (const char* id : {"vol-3", "vol-1", "vol-2"}) {
    ASSERT_TRUE(store->PutVolume(Volume(id, std::string("n") + id)).ok());
  }
  const auto page = store->ListVolumes("vol-1", 1);
  ASSERT_TRUE(page.ok());
  ASSERT_EQ(page->size(), 1u);
  EXPECT_EQ((*page)[0].id(), "vol-2");
  EXPECT_EQ((*page)[0].parameters().at("dir"), "/srv");
}

TEST_F(SqliteStoreTest, DamagedFile_IsNamedAndUntouched) {
  std::string rubbish(8192, '\0');
  for (size_t i = 0; i < rubbish.size(); ++i) rubbish[i] = static_cast<char>(i * 131 + i / 7);
  std::ofstream(path_, std::ios::binary) << rubbish;
  const absl::Status status = SqliteStore::Open(path_).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_NE(status.message().find(path_), absl::string_view::npos) << status;
  EXPECT_EQ(Bytes(), rubbish);
}

TEST_F(SqliteStoreTest, DamagedPage_IsFoundAtTheStart) {
  { ASSERT_TRUE(Open()->PutVolume(Volume("vol-1", "a")).ok()); }
  {
    std::fstream file(path_, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(4096);
    file << std::string(64, '\xee');
  }
  const std::string before = Bytes();
  EXPECT_TRUE(absl::IsFailedPrecondition(SqliteStore::Open(path_).status()));
  EXPECT_EQ(Bytes(), before);
}

TEST_F(SqliteStoreTest, NewerSchema_IsRefusedWithAdvice) {
  Open();
  {
    auto database = SqliteDatabase::Open(path_);
    ASSERT_TRUE((*database)->Execute("PRAGMA user_version = 6").ok());
  }
  const absl::Status status = SqliteStore::Open(path_).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_NE(status.message().find("newer diskd"), absl::string_view::npos) << status;
}

TEST_F(SqliteStoreTest, DatabaseOfVersion1_IsTakenOver) {
  {
    auto store = Open();
    VolumeRecord volume = Volume("vol-1", "a");
    volume.clear_source();
    ASSERT_TRUE(store->PutVolume(volume).ok());
  }
  {
    auto database = SqliteDatabase::Open(path_);
    ASSERT_TRUE((*database)
                    ->Execute("ALTER TABLE volumes DROP COLUMN source_volume;"
                              "ALTER TABLE volumes DROP COLUMN source_snapshot;"
                              "ALTER TABLE volumes DROP COLUMN source_full_copy;"
                              "ALTER TABLE volumes DROP COLUMN resize_bytes;"
                              "ALTER TABLE volumes DROP COLUMN secret_names;"
                              "ALTER TABLE volumes DROP COLUMN never_ready;"
                              "PRAGMA user_version = 1")
                    .ok());
  }
  auto store = Open();
  const auto old = store->FindVolume("a");
  ASSERT_TRUE(old.ok() && *old);
  EXPECT_FALSE((*old)->has_source());
  EXPECT_FALSE((*old)->has_secrets());
  ASSERT_TRUE(store->PutVolume(Volume("vol-2", "b")).ok());
  EXPECT_EQ((*store->FindVolume("b"))->source().snapshot(), "monday");
}

TEST_F(SqliteStoreTest, NamesOfSecrets_AreKept) {
  auto store = Open();
  VolumeRecord volume = Volume("vol-1", "a");
  volume.mutable_secrets()->add_names("key");
  volume.mutable_secrets()->add_names("token");
  volume.set_never_ready(true);
  ASSERT_TRUE(store->PutVolume(volume).ok());
  volume = Volume("vol-2", "none");
  volume.mutable_secrets();
  ASSERT_TRUE(store->PutVolume(volume).ok());
  EXPECT_EQ((*store->FindVolume("a"))->secrets().names_size(), 2);
  EXPECT_EQ((*store->FindVolume("a"))->secrets().names(1), "token");
  EXPECT_TRUE((*store->FindVolume("a"))->never_ready());
  EXPECT_TRUE((*store->FindVolume("none"))->has_secrets());
  EXPECT_EQ((*store->FindVolume("none"))->secrets().names_size(), 0);
}

TEST_F(SqliteStoreTest, SizeOfAVolume_CanChange) {
  auto store = Open();
  VolumeRecord volume = Volume("vol-1", "a");
  ASSERT_TRUE(store->PutVolume(volume).ok());
  volume.set_size_bytes(2 << 20);
  ASSERT_TRUE(store->PutVolume(volume).ok());
  EXPECT_EQ((*store->FindVolume("a"))->size_bytes(), 2u << 20);
  volume.set_resize_bytes(3 << 20);
  ASSERT_TRUE(store->PutVolume(volume).ok());
  EXPECT_EQ((*store->FindVolume("a"))->resize_bytes(), 3u << 20);
}

}  // namespace
}  // namespace diskd::agent
