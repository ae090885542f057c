// SPDX-License-Identifier: Apache-2.0
//
// Store in one SQLite file: write-ahead log, synchronous=FULL.
#ifndef DISKD_AGENT_STORE_SQLITE_STORE_H_
#define DISKD_AGENT_STORE_SQLITE_STORE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "agent/store/sqlite.h"
#include "agent/store/store.h"

namespace diskd::agent {

class SqliteStore : public Store {
 public:
  // FAILED_PRECONDITION: the file can't be used (damaged, of a newer diskd, not readable); the
  // message names it and says what to do; the file is as it was.
  static absl::StatusOr<std::unique_ptr<SqliteStore>> Open(const std::string& path);

  ~SqliteStore() override;

  absl::Status PutVolume(const VolumeRecord& volume) override;
  absl::Status RemoveVolume(const std::string& id) override;
  absl::StatusOr<std::optional<VolumeRecord>> FindVolume(const std::string& key) override;
  absl::StatusOr<std::vector<VolumeRecord>> ListVolumes(const std::string& after,
                                                        int limit) override;
  absl::StatusOr<int> CountVolumes() override;
  absl::Status PutAttachment(const AttachmentRecord& attachment) override;
  absl::Status RemoveAttachment(const std::string& volume_id) override;
  absl::StatusOr<std::optional<AttachmentRecord>> FindAttachment(
      const std::string& volume_id) override;
  absl::StatusOr<std::vector<AttachmentRecord>> ListAttachments() override;

 private:
  explicit SqliteStore(std::unique_ptr<SqliteDatabase> database) : database_(std::move(database)) {}

  static absl::StatusOr<std::unique_ptr<SqliteStore>> TryOpen(const std::string& path);
  absl::Status Prepare();
  absl::Status ReserveLog();
  absl::Status ReadParameters(VolumeRecord& volume) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  absl::Mutex mutex_;
  std::unique_ptr<SqliteDatabase> database_ ABSL_PT_GUARDED_BY(mutex_);
  std::string reserve_;  // file; empty: none is kept
};

}  // namespace diskd::agent

#endif  // DISKD_AGENT_STORE_SQLITE_STORE_H_
