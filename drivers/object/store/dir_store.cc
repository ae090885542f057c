// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/store/dir_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <limits>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "drivers/object/store/dir_list.h"
#include "drivers/object/store/lane_threads.h"
#include "drivers/object/store/limits.h"
#include "drivers/object/store/object_file.h"
#include "drivers/object/store/object_name.h"

namespace diskd::object {
namespace {

constexpr char kMarker[] = "diskd-store";
constexpr char kLock[] = "lock";
constexpr char kObjects[] = "objects";
constexpr char kTemporary[] = "tmp";
// Who may pass here may work on the objects.
constexpr mode_t kStoreMode = 0700;
constexpr mode_t kFileMode = 0600;
constexpr mode_t kAnybody = 0077;
constexpr int kLinkAttemptsMax = 8;  // against a Delete that takes the empty folder away each time

// A new file in tmp/, gone with this object.
class TemporaryFile {
 public:
  static absl::StatusOr<TemporaryFile> Make(int directory) {
    std::string name = absl::StrCat(absl::Hex(RandomNumber(), absl::kZeroPad16));
    Fd fd = OpenBelow(directory, name, O_RDWR | O_CREAT | O_EXCL, kObjectMode);
    // The lock says that the writer lives; see Clean().
    if (!fd.valid() || flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      return FileStatus(errno, "create file in tmp");
    }
    return TemporaryFile(directory, std::move(name), std::move(fd));
  }
  TemporaryFile(TemporaryFile&& other) noexcept
      : directory_(other.directory_),
        name_(std::exchange(other.name_, "")),
        fd_(std::move(other.fd_)) {}
  ~TemporaryFile() {
    if (!name_.empty()) unlinkat(directory_, name_.c_str(), 0);
  }

  int fd() const { return fd_.get(); }
  const std::string& name() const { return name_; }
  void Renamed() { name_.clear(); }

 private:
  TemporaryFile(int directory, std::string name, Fd fd)
      : directory_(directory), name_(std::move(name)), fd_(std::move(fd)) {}

  int directory_;
  std::string name_;
  Fd fd_;
};

class DirStore : public Store {
 public:
  DirStore(const DirOptions& options, Fd lock, Fd objects, Fd temporary)
      : options_(options),
        lock_(std::move(lock)),
        objects_(std::move(objects)),
        temporary_(std::move(temporary)),
        lanes_{LaneThreads("read", kDirReadThreads), LaneThreads("upload", kDirUploadThreads),
               LaneThreads("collect", kDirCollectThreads), LaneThreads("lease", kDirLeaseThreads)} {
  }

  void Put(Lane lane, const std::string& name, std::shared_ptr<const std::string> body,
           PutCondition condition, PutDone done) override {
    Of(lane).Add([this, name, body = std::move(body), condition = std::move(condition),
                  done = std::move(done)] { done(PutNow(name, *body, condition)); });
  }
  void Get(Lane lane, const std::string& name, std::optional<ByteRange> range,
           GetDone done) override {
    Of(lane).Add([this, name, range, done = std::move(done)] { done(GetNow(name, range)); });
  }
  void Head(Lane lane, const std::string& name, HeadDone done) override {
    Of(lane).Add([this, name, done = std::move(done)] { done(HeadNow(name)); });
  }
  void List(Lane lane, const std::string& prefix, const std::string& after,
            ListDone done) override {
    Of(lane).Add([this, prefix, after, done = std::move(done)] { done(ListNow(prefix, after)); });
  }
  void Delete(Lane lane, const std::string& name, DeleteDone done) override {
    Of(lane).Add([this, name, done = std::move(done)] { done(DeleteNow(name)); });
  }

 private:
  LaneThreads& Of(Lane lane) { return lanes_[static_cast<size_t>(lane)]; }

  absl::StatusOr<Etag> PutNow(const std::string& name, const std::string& body,
                              const PutCondition& condition);
  absl::Status CheckCondition(const std::string& name, const PutCondition& condition);
  absl::Status Publish(const std::string& name, const PutCondition& condition, TemporaryFile* file);
  absl::Status PublishInto(int parent, const std::string& base, const PutCondition& condition,
                           TemporaryFile* file);
  absl::StatusOr<GetResult> GetNow(const std::string& name, std::optional<ByteRange> range);
  absl::StatusOr<HeadResult> HeadNow(const std::string& name);
  absl::StatusOr<ListResult> ListNow(const std::string& prefix, const std::string& after);
  absl::Status DeleteNow(const std::string& name);
  void RemoveEmptyFolders(std::string path);

  absl::StatusOr<Fd> OpenObject(const std::string& name, struct stat* status);
  // Under the lock: what waited for it is late too.
  absl::Status CheckGate(const std::string& what) const;
  // Says whether a missing name is a missing object, or a missing store.
  absl::Status Missing(const std::string& name) const;
  // Whether the disk below it still takes something.
  bool Works() const;

  const DirOptions options_;
  FileLock lock_;
  const Fd objects_;
  const Fd temporary_;
  std::array<LaneThreads, kLanes> lanes_;  // last: their threads use the rest
};

absl::Status DirStore::Missing(const std::string& name) const {
  struct stat status;
  if (fstat(objects_.get(), &status) != 0 || status.st_nlink == 0) {
    return absl::UnavailableError(
        absl::StrCat("store ", options_.path, ": its directory has been removed"));
  }
  return absl::NotFoundError(absl::StrCat("store ", options_.path, ": no object ", name));
}

bool DirStore::Works() const {
  const absl::StatusOr<TemporaryFile> file = TemporaryFile::Make(temporary_.get());
  if (!file.ok()) return absl::IsResourceExhausted(file.status());
  const absl::Status written = WriteNewFile(file->fd(), "probe", "probe");
  return written.ok() || absl::IsResourceExhausted(written);
}

absl::Status DirStore::CheckGate(const std::string& what) const {
  if (options_.gate == nullptr || options_.gate->open()) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(what, ": too late to be done"));
}

absl::StatusOr<Fd> DirStore::OpenObject(const std::string& name, struct stat* status) {
  const std::string what = absl::StrCat("store ", options_.path, ": open ", name);
  // A device or pipe must not be able to block us.
  Fd fd = OpenBelow(objects_.get(), name, O_RDONLY | O_NONBLOCK);
  if (!fd.valid() && (errno == ENOENT || errno == ENOTDIR)) return Missing(name);
  if (!fd.valid()) return FileStatus(errno, what);
  if (fstat(fd.get(), status) != 0) return FileStatus(errno, what);
  if (S_ISDIR(status->st_mode)) return Missing(name);
  if (!S_ISREG(status->st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": not a regular file"));
  }
  return fd;
}

absl::Status DirStore::CheckCondition(const std::string& name, const PutCondition& condition) {
  if (condition.kind == PutCondition::Kind::kNone) return absl::OkStatus();
  const absl::StatusOr<HeadResult> head = HeadNow(name);
  if (!head.ok() && !absl::IsNotFound(head.status())) return head.status();
  const std::string what = absl::StrCat("store ", options_.path, ": put ", name);
  if (condition.kind == PutCondition::Kind::kIfAbsent) {
    if (head.ok()) return absl::FailedPreconditionError(absl::StrCat(what, ": it exists"));
    return absl::OkStatus();
  }
  if (!head.ok()) return absl::FailedPreconditionError(absl::StrCat(what, ": it does not exist"));
  if (head->etag != condition.etag) {
    return absl::FailedPreconditionError(
        absl::StrCat(what, ": it has etag ", head->etag, ", not ", condition.etag));
  }
  return absl::OkStatus();
}

absl::StatusOr<Etag> DirStore::PutNow(const std::string& name, const std::string& body,
                                      const PutCondition& condition) {
  RETURN_IF_ERROR(CheckName(name));
  // Not yet safe, but spares the writing where the answer is clear already.
  RETURN_IF_ERROR(CheckCondition(name, condition));
  ASSIGN_OR_RETURN(TemporaryFile file, TemporaryFile::Make(temporary_.get()));
  const std::string what = absl::StrCat("store ", options_.path, ": write ", name);
  RETURN_IF_ERROR(WriteNewFile(file.fd(), body, what));
  struct stat status;
  if (fstat(file.fd(), &status) != 0) return FileStatus(errno, what);
  RETURN_IF_ERROR(Publish(name, condition, &file));
  return EtagOfFile(status);
}

absl::Status DirStore::Publish(const std::string& name, const PutCondition& condition,
                               TemporaryFile* file) {
  absl::Status status;
  for (int i = 0; i < kLinkAttemptsMax; ++i) {
    ASSIGN_OR_RETURN(const Fd parent, OpenParent(objects_.get(), name, /*create=*/true));
    status = PublishInto(parent.get(), BaseName(name), condition, file);
    if (!absl::IsNotFound(status)) return status;
  }
  return absl::UnavailableError(status.message());
}

// NOT_FOUND: the parent has just been removed.
absl::Status DirStore::PublishInto(int parent, const std::string& base,
                                   const PutCondition& condition, TemporaryFile* file) {
  const std::string what = absl::StrCat("store ", options_.path, ": publish ", base);
  const auto error_status = [&what](int error) {
    return error == ENOENT ? absl::NotFoundError(what) : FileStatus(error, what);
  };
  if (condition.kind == PutCondition::Kind::kIfAbsent) {
    if (linkat(temporary_.get(), file->name().c_str(), parent, base.c_str(), 0) != 0) {
      if (errno != EEXIST) return error_status(errno);
      return absl::FailedPreconditionError(absl::StrCat(what, ": it exists"));
    }
  } else {
    ASSIGN_OR_RETURN(const FileLock::Guard guard, lock_.Acquire(kDirLockTimeout));
    if (condition.kind == PutCondition::Kind::kIfMatch) {
      struct stat status;
      const Fd current = OpenBelow(parent, base, O_RDONLY | O_NONBLOCK);
      if (!current.valid() || fstat(current.get(), &status) != 0) {
        if (errno != ENOENT) return error_status(errno);
        return absl::FailedPreconditionError(absl::StrCat(what, ": it does not exist"));
      }
      if (EtagOfFile(status) != condition.etag) {
        return absl::FailedPreconditionError(absl::StrCat(what, ": it has another etag by now"));
      }
    }
    RETURN_IF_ERROR(CheckGate(what));
    if (renameat(temporary_.get(), file->name().c_str(), parent, base.c_str()) != 0) {
      return error_status(errno);
    }
    file->Renamed();
  }
  if (fsync(parent) != 0) return absl::UnavailableError(absl::StrCat(what, ": fsync directory"));
  return absl::OkStatus();
}

absl::StatusOr<GetResult> DirStore::GetNow(const std::string& name,
                                           std::optional<ByteRange> range) {
  RETURN_IF_ERROR(CheckName(name));
  const std::string what = absl::StrCat("store ", options_.path, ": read ", name);
  if (range.has_value() && (range->length == 0 ||
                            range->offset > std::numeric_limits<uint64_t>::max() - range->length)) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, ": impossible range ", range->offset, "+", range->length));
  }
  struct stat status;
  ASSIGN_OR_RETURN(const Fd fd, OpenObject(name, &status));
  GetResult result;
  result.etag = EtagOfFile(status);
  result.object_bytes = status.st_size;
  const uint64_t begin = range.has_value() ? std::min(range->offset, result.object_bytes) : 0;
  const uint64_t left = result.object_bytes - begin;
  const uint64_t size = range.has_value() ? std::min(range->length, left) : left;
  if (size > kObjectBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, ": ", size, " bytes at once, more than ", kObjectBytesMax));
  }
  const absl::Status read = ReadFully(fd.get(), begin, size, &result.body, what);
  // A disk that is gone has the same error as a bad sector, but may come back.
  if (absl::IsUnknown(read) && !Works()) return absl::UnavailableError(read.message());
  RETURN_IF_ERROR(read);
  return result;
}

absl::StatusOr<HeadResult> DirStore::HeadNow(const std::string& name) {
  RETURN_IF_ERROR(CheckName(name));
  struct stat status;
  RETURN_IF_ERROR(OpenObject(name, &status).status());
  return HeadResult{EtagOfFile(status), static_cast<uint64_t>(status.st_size)};
}

absl::StatusOr<ListResult> DirStore::ListNow(const std::string& prefix, const std::string& after) {
  RETURN_IF_ERROR(CheckPrefix(prefix));
  if (!after.empty()) RETURN_IF_ERROR(CheckPrefix(after));
  if (absl::Status status = Missing("list"); absl::IsUnavailable(status)) return status;
  return ListBelow(objects_.get(), prefix, after, options_.page_names);
}

absl::Status DirStore::DeleteNow(const std::string& name) {
  RETURN_IF_ERROR(CheckName(name));
  struct stat status;
  if (const auto object = OpenObject(name, &status); !object.ok()) {
    return absl::IsNotFound(object.status()) ? absl::OkStatus() : object.status();
  }
  const absl::StatusOr<Fd> parent = OpenParent(objects_.get(), name, /*create=*/false);
  if (absl::IsNotFound(parent.status())) return absl::OkStatus();
  RETURN_IF_ERROR(parent.status());
  {
    const std::string what = absl::StrCat("store ", options_.path, ": delete ", name);
    ASSIGN_OR_RETURN(const FileLock::Guard guard, lock_.Acquire(kDirLockTimeout));
    RETURN_IF_ERROR(CheckGate(what));
    if (unlinkat(parent->get(), BaseName(name).c_str(), 0) != 0 && errno != ENOENT) {
      return FileStatus(errno, what);
    }
  }
  if (fsync(parent->get()) != 0) {
    return absl::UnavailableError(absl::StrCat("store ", options_.path, ": fsync directory"));
  }
  RemoveEmptyFolders(name);
  return absl::OkStatus();
}

void DirStore::RemoveEmptyFolders(std::string path) {
  for (size_t slash; (slash = path.rfind('/')) != std::string::npos;) {
    path.resize(slash);
    const auto parent = OpenParent(objects_.get(), path, /*create=*/false);
    if (!parent.ok() || unlinkat(parent->get(), BaseName(path).c_str(), AT_REMOVEDIR) != 0) return;
  }
}

bool IsEmptyDirectory(int directory) {
  DIR* stream = fdopendir(OpenBelow(directory, ".", O_RDONLY | O_DIRECTORY).release());
  if (stream == nullptr) return false;
  int entries = 0;
  while (readdir(stream) != nullptr) ++entries;
  closedir(stream);
  return entries == 2;
}

// Makes what is missing. The marker comes last, so a crash leaves something that is made again.
absl::Status MakeLayout(int root, const std::string& path) {
  const auto failed = [&path] { return FileStatus(errno, absl::StrCat("create store ", path)); };
  if (fchmod(root, kStoreMode) != 0) return failed();
  for (const char* folder : {kObjects, kTemporary}) {
    if (mkdirat(root, folder, kFolderMode) != 0 && errno != EEXIST) return failed();
  }
  const Fd lock = OpenBelow(root, kLock, O_RDWR | O_CREAT, kFileMode);
  if (!lock.valid() || fsync(root) != 0) return failed();
  const Fd marker = OpenBelow(root, kMarker, O_RDWR | O_CREAT, kFileMode);
  if (!marker.valid() || fsync(marker.get()) != 0 || fsync(root) != 0) return failed();
  return absl::OkStatus();
}

// Only what this function's crash would leave may be there.
bool MayBecomeStore(int root) {
  if (IsEmptyDirectory(root)) return true;
  const Fd objects = OpenBelow(root, kObjects, O_RDONLY | O_DIRECTORY);
  const Fd temporary = OpenBelow(root, kTemporary, O_RDONLY | O_DIRECTORY);
  return objects.valid() && IsEmptyDirectory(objects.get()) &&
         (!temporary.valid() || IsEmptyDirectory(temporary.get()));
}

// Removes the files whose writers are dead: those that can be locked.
void Clean(int temporary, const std::string& path) {
  DIR* stream = fdopendir(OpenBelow(temporary, ".", O_RDONLY | O_DIRECTORY).release());
  if (stream == nullptr) return;
  int removed = 0;
  while (const dirent* entry = readdir(stream)) {
    const Fd fd = OpenBelow(temporary, entry->d_name, O_RDWR | O_NONBLOCK);
    if (!fd.valid() || flock(fd.get(), LOCK_EX | LOCK_NB) != 0) continue;
    if (unlinkat(temporary, entry->d_name, 0) == 0) ++removed;
  }
  closedir(stream);
  if (removed > 0) {
    SPDLOG_INFO("store {}: removed {} unfinished objects of crashed writers", path, removed);
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> OpenDirStore(const DirOptions& options) {
  const std::string& path = options.path;
  if (!absl::StartsWith(path, "/") || options.page_names == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("store directory \"", path, "\": give an absolute path"));
  }
  if (options.create && mkdir(path.c_str(), kStoreMode) != 0 && errno != EEXIST) {
    return FileStatus(errno, absl::StrCat("create store ", path));
  }
  Fd root(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root.valid() && (errno == ENOENT || errno == ENOTDIR)) {
    return absl::FailedPreconditionError(absl::StrCat("no store directory ", path));
  }
  if (!root.valid()) return FileStatus(errno, absl::StrCat("open store ", path));
  if (!OpenBelow(root.get(), kMarker, O_RDONLY).valid()) {
    if (!options.create || !MayBecomeStore(root.get())) {
      return absl::FailedPreconditionError(
          absl::StrCat(path, " is not a store: it has no file \"", kMarker,
                       "\"; is its file system mounted? A new store needs an empty directory"));
    }
    RETURN_IF_ERROR(MakeLayout(root.get(), path));
  }
  struct stat status;
  if (fstat(root.get(), &status) != 0) return FileStatus(errno, absl::StrCat("stat store ", path));
  if ((status.st_mode & kAnybody) != 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        "store ", path, " is open to other users, who could change its objects: chmod 700 it"));
  }
  Fd lock = OpenBelow(root.get(), kLock, O_RDWR);
  Fd objects = OpenBelow(root.get(), kObjects, O_RDONLY | O_DIRECTORY);
  Fd temporary = OpenBelow(root.get(), kTemporary, O_RDONLY | O_DIRECTORY);
  if (!lock.valid() || !objects.valid() || !temporary.valid()) {
    return FileStatus(errno, absl::StrCat("open lock, objects and tmp of store ", path));
  }
  Clean(temporary.get(), path);
  return std::make_unique<DirStore>(options, std::move(lock), std::move(objects),
                                    std::move(temporary));
}

}  // namespace diskd::object
