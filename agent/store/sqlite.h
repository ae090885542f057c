// SPDX-License-Identifier: Apache-2.0
//
// The little of SQLite's C interface that the store uses, with statuses. One thread at a time.
#ifndef DISKD_AGENT_STORE_SQLITE_H_
#define DISKD_AGENT_STORE_SQLITE_H_

#include <sqlite3.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace diskd::agent {

// One prepared statement with its parameters; bound from left to right.
class SqliteStatement {
 public:
  SqliteStatement& Bind(int64_t value);
  SqliteStatement& Bind(const std::string& value);
  SqliteStatement& Bind(const std::optional<std::string>& value);

  // Runs to the end; `row` (if any) sees each row through the Column functions.
  absl::Status Run(const std::function<void()>& row = nullptr);

  int64_t Integer(int column) const { return sqlite3_column_int64(statement_.get(), column); }
  std::string Text(int column) const;
  bool Null(int column) const {
    return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
  }

 private:
  friend class SqliteDatabase;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  SqliteStatement(sqlite3* database, sqlite3_stmt* statement, absl::Status status)
      : database_(database), statement_(statement), error_(std::move(status)) {}

  sqlite3* database_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
  absl::Status error_;  // of preparing and binding
  int next_ = 1;
};

class SqliteDatabase {
 public:
  // Creates the file when there is none.
  static absl::StatusOr<std::unique_ptr<SqliteDatabase>> Open(const std::string& path);

  SqliteStatement Prepare(const char* sql);
  absl::Status Execute(const char* sql);  // one or more statements without parameters
  // Of a database in WAL mode: its log has at least this room on the file system from now on, as
  // long as it is open; OK where the file system can't reserve any. RESOURCE_EXHAUSTED: it is full.
  absl::Status ReserveLog(int64_t bytes);
  // All or nothing.
  absl::Status Transaction(const std::function<absl::Status()>& body);

 private:
  struct Close {
    void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
  };
  explicit SqliteDatabase(sqlite3* database) : database_(database) {}
  std::unique_ptr<sqlite3, Close> database_;
};

}  // namespace diskd::agent

#endif  // DISKD_AGENT_STORE_SQLITE_H_
