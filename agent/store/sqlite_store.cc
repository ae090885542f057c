// SPDX-License-Identifier: Apache-2.0
#include "agent/store/sqlite_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/status_macros.h"

namespace diskd::agent {
namespace {

constexpr int64_t kSchemaVersion = 5;
// On a full file system detach and delete, which make room, have to be written down first. So the
// log has room in advance; what it needs at the next start, when SQLite makes it anew, is kept in a
// file beside it.
constexpr int64_t kLogBytes = 1 << 20;
constexpr int64_t kReserveBytes = 2 * kLogBytes;
constexpr char kReserveSuffix[] = "-reserve";

constexpr char kSchema[] = R"sql(
CREATE TABLE volumes (
  id TEXT PRIMARY KEY NOT NULL,
  name TEXT UNIQUE NOT NULL,
  driver TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  logical_block_bytes INTEGER NOT NULL,
  state INTEGER NOT NULL,
  create_time_ns INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE volume_parameters (
  volume_id TEXT NOT NULL REFERENCES volumes(id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (volume_id, name)
) WITHOUT ROWID;
CREATE TABLE attachments (
  volume_id TEXT PRIMARY KEY NOT NULL REFERENCES volumes(id),
  transport INTEGER NOT NULL,
  read_only INTEGER NOT NULL,
  queues INTEGER NOT NULL,
  queue_depth INTEGER NOT NULL,
  state INTEGER NOT NULL,
  force INTEGER NOT NULL,
  device_number INTEGER NOT NULL,
  survives_driver_death INTEGER NOT NULL,
  boot_id TEXT NOT NULL,
  message TEXT NOT NULL,
  attach_time_ns INTEGER NOT NULL
) WITHOUT ROWID;
PRAGMA user_version = 1;
)sql";

// Version 2 knows what a volume is a clone of.
constexpr char kToVersion2[] = R"sql(
ALTER TABLE volumes ADD COLUMN source_volume TEXT NOT NULL DEFAULT '';
ALTER TABLE volumes ADD COLUMN source_snapshot TEXT NOT NULL DEFAULT '';
PRAGMA user_version = 2;
)sql";

// Version 3 knows full copies.
constexpr char kToVersion3[] = R"sql(
ALTER TABLE volumes ADD COLUMN source_full_copy INTEGER NOT NULL DEFAULT 0;
PRAGMA user_version = 3;
)sql";

// Version 4 knows changes of size that were begun.
constexpr char kToVersion4[] = R"sql(
ALTER TABLE volumes ADD COLUMN resize_bytes INTEGER NOT NULL DEFAULT 0;
PRAGMA user_version = 4;
)sql";

// Version 5 knows the names of the secrets a volume was made with, one a line (NULL: it does not),
// and whether it was ever ready.
constexpr char kToVersion5[] = R"sql(
ALTER TABLE volumes ADD COLUMN secret_names TEXT;
ALTER TABLE volumes ADD COLUMN never_ready INTEGER NOT NULL DEFAULT 0;
PRAGMA user_version = 5;
)sql";

constexpr char kSelectVolume[] =
    "SELECT id, name, driver, size_bytes, logical_block_bytes, state, create_time_ns,"
    " source_volume, source_snapshot, source_full_copy, resize_bytes, secret_names, never_ready"
    " FROM volumes ";
constexpr char kSelectAttachment[] =
    "SELECT volume_id, transport, read_only, queues, queue_depth, state, force, device_number,"
    " survives_driver_death, boot_id, message, attach_time_ns FROM attachments ";

VolumeRecord ReadVolume(const SqliteStatement& row) {
  VolumeRecord volume;
  volume.set_id(row.Text(0));
  volume.set_name(row.Text(1));
  volume.set_driver(row.Text(2));
  volume.set_size_bytes(row.Integer(3));
  volume.set_logical_block_bytes(static_cast<uint32_t>(row.Integer(4)));
  volume.set_state(static_cast<diskd::v1::VolumeState>(row.Integer(5)));
  volume.mutable_create_time()->set_seconds(row.Integer(6) / 1'000'000'000);
  volume.mutable_create_time()->set_nanos(static_cast<int32_t>(row.Integer(6) % 1'000'000'000));
  if (!row.Text(7).empty()) {
    volume.mutable_source()->set_volume(row.Text(7));
    volume.mutable_source()->set_snapshot(row.Text(8));
    volume.mutable_source()->set_full_copy(row.Integer(9) != 0);
  }
  volume.set_resize_bytes(row.Integer(10));
  if (!row.Null(11)) {
    for (const auto name : absl::StrSplit(row.Text(11), '\n', absl::SkipEmpty())) {
      volume.mutable_secrets()->add_names(std::string(name));
    }
    volume.mutable_secrets();
  }
  volume.set_never_ready(row.Integer(12) != 0);
  return volume;
}

AttachmentRecord ReadAttachment(const SqliteStatement& row) {
  AttachmentRecord a;
  a.volume_id = row.Text(0);
  a.transport = static_cast<diskd::v1::Transport>(row.Integer(1));
  a.read_only = row.Integer(2) != 0;
  a.queues = static_cast<uint32_t>(row.Integer(3));
  a.queue_depth = static_cast<uint32_t>(row.Integer(4));
  a.state = static_cast<diskd::v1::AttachmentState>(row.Integer(5));
  a.force = row.Integer(6) != 0;
  a.device_number = static_cast<int>(row.Integer(7));
  a.survives_driver_death = row.Integer(8) != 0;
  a.boot_id = row.Text(9);
  a.message = row.Text(10);
  a.attach_time = absl::FromUnixNanos(row.Integer(11));
  return a;
}

absl::Status Unusable(const std::string& path, absl::string_view problem) {
  return absl::FailedPreconditionError(absl::StrCat(
      "state database ", path, " can't be used: ", problem,
      ". Nothing was changed. Restore the file from a backup, or move it (with its -wal and -shm) "
      "away to start with no volumes; the volumes' data stays where it is"));
}

// Best effort.
void KeepReserve(const std::string& path) {
  const Fd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (fd.valid() && fallocate(fd.get(), 0, 0, kReserveBytes) == 0) return;
  const bool possible = errno != EOPNOTSUPP;
  unlink(path.c_str());
  if (!possible) return;
  SPDLOG_WARN("{}: no room for {} bytes: make some, or the agent may not start again", path,
              kReserveBytes);
}

}  // namespace

absl::StatusOr<std::unique_ptr<SqliteStore>> SqliteStore::Open(const std::string& path) {
  const std::string reserve = path + kReserveSuffix;
  auto opened = TryOpen(path);
  if (!opened.ok() && unlink(reserve.c_str()) == 0) opened = TryOpen(path);
  if (!opened.ok()) return Unusable(path, opened.status().message());
  std::unique_ptr<SqliteStore> store = *std::move(opened);
  absl::Status room = store->ReserveLog();
  if (!room.ok() && unlink(reserve.c_str()) == 0) room = store->ReserveLog();
  if (!room.ok()) SPDLOG_WARN("{}", std::string(room.message()));
  KeepReserve(reserve);
  store->reserve_ = reserve;
  chmod(path.c_str(), 0600);
  return store;
}

absl::StatusOr<std::unique_ptr<SqliteStore>> SqliteStore::TryOpen(const std::string& path) {
  ASSIGN_OR_RETURN(auto database, SqliteDatabase::Open(path));
  std::unique_ptr<SqliteStore> store(new SqliteStore(std::move(database)));
  RETURN_IF_ERROR(store->Prepare());
  return store;
}

SqliteStore::~SqliteStore() {
  absl::MutexLock lock(&mutex_);
  database_.reset();  // and with it the log
  if (!reserve_.empty()) KeepReserve(reserve_);
}

absl::Status SqliteStore::ReserveLog() {
  absl::MutexLock lock(&mutex_);
  return database_->ReserveLog(kLogBytes);
}

absl::Status SqliteStore::Prepare() {
  absl::MutexLock lock(&mutex_);
  int64_t version = -1, tables = 0;
  // Reading first: nothing is written to a file that turns out not to be ours.
  auto user_version = database_->Prepare("PRAGMA user_version");
  RETURN_IF_ERROR(user_version.Run([&] { version = user_version.Integer(0); }));
  auto count = database_->Prepare("SELECT count(*) FROM sqlite_master");
  RETURN_IF_ERROR(count.Run([&] { tables = count.Integer(0); }));
  if (version > kSchemaVersion) {
    return absl::FailedPreconditionError(absl::StrCat("it has schema version ", version,
                                                      " of a newer diskd, this one knows ",
                                                      kSchemaVersion, ": run that diskd again"));
  }
  if (version == 0 && tables > 0) {
    return absl::FailedPreconditionError("it is a database, but not one of diskd");
  }
  std::string verdict;
  auto check = database_->Prepare("PRAGMA quick_check(1)");
  RETURN_IF_ERROR(check.Run([&] { verdict = check.Text(0); }));
  if (verdict != "ok") return absl::DataLossError(absl::StrCat("it is damaged: ", verdict));
  RETURN_IF_ERROR(
      database_->Execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
                         "PRAGMA busy_timeout=5000"));
  if (version == kSchemaVersion) return absl::OkStatus();
  return database_->Transaction([&]() ABSL_NO_THREAD_SAFETY_ANALYSIS -> absl::Status {
    if (version == 0) RETURN_IF_ERROR(database_->Execute(kSchema));
    if (version < 2) RETURN_IF_ERROR(database_->Execute(kToVersion2));
    if (version < 3) RETURN_IF_ERROR(database_->Execute(kToVersion3));
    if (version < 4) RETURN_IF_ERROR(database_->Execute(kToVersion4));
    return database_->Execute(kToVersion5);
  });
}

absl::Status SqliteStore::PutVolume(const VolumeRecord& volume) {
  absl::MutexLock lock(&mutex_);
  return database_->Transaction([&]() ABSL_NO_THREAD_SAFETY_ANALYSIS -> absl::Status {
    RETURN_IF_ERROR(
        database_
            ->Prepare(
                "INSERT INTO volumes VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT(id) DO UPDATE"
                " SET state = excluded.state, size_bytes = excluded.size_bytes,"
                " resize_bytes = excluded.resize_bytes, never_ready = excluded.never_ready")
            .Bind(volume.id())
            .Bind(volume.name())
            .Bind(volume.driver())
            .Bind(static_cast<int64_t>(volume.size_bytes()))
            .Bind(int64_t{volume.logical_block_bytes()})
            .Bind(int64_t{volume.state()})
            .Bind(volume.create_time().seconds() * 1'000'000'000 + volume.create_time().nanos())
            .Bind(volume.source().volume())
            .Bind(volume.source().snapshot())
            .Bind(int64_t{volume.source().full_copy()})
            .Bind(static_cast<int64_t>(volume.resize_bytes()))
            .Bind(volume.has_secrets()
                      ? std::make_optional(absl::StrJoin(volume.secrets().names(), "\n"))
                      : std::nullopt)
            .Bind(int64_t{volume.never_ready()})
            .Run());
    for (const auto& [name, value] : volume.parameters()) {
      RETURN_IF_ERROR(database_->Prepare("INSERT OR REPLACE INTO volume_parameters VALUES (?,?,?)")
                          .Bind(volume.id())
                          .Bind(name)
                          .Bind(value)
                          .Run());
    }
    return absl::OkStatus();
  });
}

absl::Status SqliteStore::RemoveVolume(const std::string& id) {
  absl::MutexLock lock(&mutex_);
  return database_->Prepare("DELETE FROM volumes WHERE id = ?").Bind(id).Run();
}

absl::Status SqliteStore::ReadParameters(VolumeRecord& volume) {
  auto query = database_->Prepare("SELECT name, value FROM volume_parameters WHERE volume_id = ?");
  return query.Bind(volume.id()).Run([&] {
    (*volume.mutable_parameters())[query.Text(0)] = query.Text(1);
  });
}

absl::StatusOr<std::optional<VolumeRecord>> SqliteStore::FindVolume(const std::string& key) {
  absl::MutexLock lock(&mutex_);
  std::optional<VolumeRecord> found;
  auto query =
      database_->Prepare(absl::StrCat(kSelectVolume, "WHERE id = ?1 OR name = ?1").c_str());
  RETURN_IF_ERROR(query.Bind(key).Run([&] { found = ReadVolume(query); }));
  if (found) RETURN_IF_ERROR(ReadParameters(*found));
  return found;
}

absl::StatusOr<std::vector<VolumeRecord>> SqliteStore::ListVolumes(const std::string& after,
                                                                   int limit) {
  absl::MutexLock lock(&mutex_);
  std::vector<VolumeRecord> volumes;
  auto query =
      database_->Prepare(absl::StrCat(kSelectVolume, "WHERE id > ? ORDER BY id LIMIT ?").c_str());
  RETURN_IF_ERROR(
      query.Bind(after).Bind(int64_t{limit}).Run([&] { volumes.push_back(ReadVolume(query)); }));
  for (VolumeRecord& volume : volumes) RETURN_IF_ERROR(ReadParameters(volume));
  return volumes;
}

absl::StatusOr<int> SqliteStore::CountVolumes() {
  absl::MutexLock lock(&mutex_);
  int count = 0;
  auto query = database_->Prepare("SELECT count(*) FROM volumes");
  RETURN_IF_ERROR(query.Run([&] { count = static_cast<int>(query.Integer(0)); }));
  return count;
}

absl::Status SqliteStore::PutAttachment(const AttachmentRecord& a) {
  absl::MutexLock lock(&mutex_);
  return database_->Prepare("INSERT OR REPLACE INTO attachments VALUES (?,?,?,?,?,?,?,?,?,?,?,?)")
      .Bind(a.volume_id)
      .Bind(int64_t{a.transport})
      .Bind(int64_t{a.read_only})
      .Bind(int64_t{a.queues})
      .Bind(int64_t{a.queue_depth})
      .Bind(int64_t{a.state})
      .Bind(int64_t{a.force})
      .Bind(int64_t{a.device_number})
      .Bind(int64_t{a.survives_driver_death})
      .Bind(a.boot_id)
      .Bind(a.message)
      .Bind(absl::ToUnixNanos(a.attach_time))
      .Run();
}

absl::Status SqliteStore::RemoveAttachment(const std::string& volume_id) {
  absl::MutexLock lock(&mutex_);
  return database_->Prepare("DELETE FROM attachments WHERE volume_id = ?").Bind(volume_id).Run();
}

absl::StatusOr<std::optional<AttachmentRecord>> SqliteStore::FindAttachment(
    const std::string& volume_id) {
  absl::MutexLock lock(&mutex_);
  std::optional<AttachmentRecord> found;
  auto query = database_->Prepare(absl::StrCat(kSelectAttachment, "WHERE volume_id = ?").c_str());
  RETURN_IF_ERROR(query.Bind(volume_id).Run([&] { found = ReadAttachment(query); }));
  return found;
}

absl::StatusOr<std::vector<AttachmentRecord>> SqliteStore::ListAttachments() {
  absl::MutexLock lock(&mutex_);
  std::vector<AttachmentRecord> attachments;
  auto query = database_->Prepare(absl::StrCat(kSelectAttachment, "ORDER BY volume_id").c_str());
  RETURN_IF_ERROR(query.Run([&] { attachments.push_back(ReadAttachment(query)); }));
  return attachments;
}

}  // namespace diskd::agent
