// SPDX-License-Identifier: Apache-2.0
#include "agent/store/sqlite.h"

#include <fcntl.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/fd.h"
#include "base/status_macros.h"

namespace diskd::agent {
namespace {

absl::Status SqliteStatus(sqlite3* database, int code) {
  const std::string message =
      absl::StrCat("database: ", sqlite3_errmsg(database), " (SQLite ", code, ")");
  switch (code & 0xff) {
    case SQLITE_OK:
      return absl::OkStatus();
    case SQLITE_CONSTRAINT:
      return absl::AlreadyExistsError(message);
    case SQLITE_FULL:
      return absl::ResourceExhaustedError(message);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::UnavailableError(message);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::DataLossError(message);
    default:
      return absl::InternalError(message);
  }
}

}  // namespace

SqliteStatement& SqliteStatement::Bind(int64_t value) {
  if (!error_.ok()) return *this;
  error_ = SqliteStatus(database_, sqlite3_bind_int64(statement_.get(), next_++, value));
  return *this;
}

SqliteStatement& SqliteStatement::Bind(const std::string& value) {
  if (!error_.ok()) return *this;
  error_ =
      SqliteStatus(database_, sqlite3_bind_text(statement_.get(), next_++, value.data(),
                                                static_cast<int>(value.size()), SQLITE_TRANSIENT));
  return *this;
}

SqliteStatement& SqliteStatement::Bind(const std::optional<std::string>& value) {
  if (value.has_value()) return Bind(*value);
  if (!error_.ok()) return *this;
  error_ = SqliteStatus(database_, sqlite3_bind_null(statement_.get(), next_++));
  return *this;
}

absl::Status SqliteStatement::Run(const std::function<void()>& row) {
  RETURN_IF_ERROR(error_);
  for (;;) {
    const int code = sqlite3_step(statement_.get());
    if (code == SQLITE_DONE) return absl::OkStatus();
    if (code != SQLITE_ROW) return SqliteStatus(database_, code);
    if (row) row();
  }
}

std::string SqliteStatement::Text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_.get(), column));
  if (text == nullptr) return "";
  return std::string(text, sqlite3_column_bytes(statement_.get(), column));
}

absl::StatusOr<std::unique_ptr<SqliteDatabase>> SqliteDatabase::Open(const std::string& path) {
  sqlite3* raw = nullptr;
  const int code =
      sqlite3_open_v2(path.c_str(), &raw,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  std::unique_ptr<SqliteDatabase> database(new SqliteDatabase(raw));
  if (code != SQLITE_OK) return SqliteStatus(raw, code);
  sqlite3_extended_result_codes(raw, 1);
  return database;
}

SqliteStatement SqliteDatabase::Prepare(const char* sql) {
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v2(database_.get(), sql, -1, &statement, nullptr);
  return SqliteStatement(database_.get(), statement, SqliteStatus(database_.get(), code));
}

absl::Status SqliteDatabase::Execute(const char* sql) {
  return SqliteStatus(database_.get(),
                      sqlite3_exec(database_.get(), sql, nullptr, nullptr, nullptr));
}

absl::Status SqliteDatabase::ReserveLog(int64_t bytes) {
  const char* path = sqlite3_filename_wal(sqlite3_db_filename(database_.get(), "main"));
  const Fd log(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  const bool reserved = log.valid() && fallocate(log.get(), FALLOC_FL_KEEP_SIZE, 0, bytes) == 0;
  if (!reserved && errno != EOPNOTSUPP) {
    return ErrnoStatus(errno, absl::StrCat("reserve ", bytes, " bytes for ", path));
  }
  return absl::OkStatus();
}

absl::Status SqliteDatabase::Transaction(const std::function<absl::Status()>& body) {
  RETURN_IF_ERROR(Execute("BEGIN IMMEDIATE"));
  absl::Status status = body();
  if (status.ok()) status = Execute("COMMIT");
  if (!status.ok()) (void)Execute("ROLLBACK");
  return status;
}

}  // namespace diskd::agent
