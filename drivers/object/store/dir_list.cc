// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/store/dir_list.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <memory>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "drivers/object/store/object_file.h"
#include "drivers/object/store/object_name.h"

namespace diskd::object {
namespace {

class Lister {
 public:
  Lister(const std::string& prefix, const std::string& after, size_t page)
      : prefix_(prefix), after_(after), page_(page) {}

  // `path` is "" or ends in a slash.
  absl::Status Walk(int directory, const std::string& path) {
    bool trimmed = false;
    ASSIGN_OR_RETURN(const std::set<std::string> names, Children(directory, path, &trimmed));
    for (const std::string& name : names) {
      if (Full()) return absl::OkStatus();
      if (absl::EndsWith(name, "/")) {
        const Fd below = OpenBelow(directory, name, O_RDONLY | O_DIRECTORY);
        if (!below.valid() && errno == ENOENT) continue;
        if (!below.valid()) return FileStatus(errno, absl::StrCat("open ", path, name));
        RETURN_IF_ERROR(Walk(below.get(), absl::StrCat(path, name)));
      } else {
        struct stat status;
        if (fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
          if (errno == ENOENT) continue;
          return FileStatus(errno, absl::StrCat("stat ", path, name));
        }
        if (!S_ISREG(status.st_mode)) continue;
        result_.entries.push_back(
            {absl::StrCat(path, name), static_cast<uint64_t>(status.st_size)});
      }
    }
    // What was trimmed comes next, even if some of what was kept has gone meanwhile.
    cut_ = cut_ || trimmed;
    return absl::OkStatus();
  }

  absl::StatusOr<ListResult> Take() {
    result_.more = Full();
    if (result_.entries.size() > page_) result_.entries.pop_back();
    if (result_.more && result_.entries.empty()) {
      return absl::UnavailableError("the directory changes faster than it can be listed");
    }
    return std::move(result_);
  }

 private:
  // One more than a page, to know whether there is more.
  bool Full() const { return cut_ || result_.entries.size() > page_; }

  // Directories as "name/": that is how they sort among the full names.
  bool Wanted(const std::string& path, bool is_directory) const {
    if (!is_directory) {
      return absl::StartsWith(path, prefix_) && path > after_ && CheckName(path).ok();
    }
    if (!absl::StartsWith(path, prefix_) && !absl::StartsWith(prefix_, path)) return false;
    return path > after_ || absl::StartsWith(after_, path);
  }

  // The smallest ones that can still be in the page.
  absl::StatusOr<std::set<std::string>> Children(int directory, const std::string& path,
                                                 bool* trimmed) {
    Fd fd = OpenBelow(directory, ".", O_RDONLY | O_DIRECTORY);
    if (!fd.valid()) return FileStatus(errno, absl::StrCat("open ", path));
    struct Close {
      void operator()(DIR* stream) const { closedir(stream); }
    };
    const std::unique_ptr<DIR, Close> stream(fdopendir(fd.get()));
    if (stream == nullptr) return FileStatus(errno, absl::StrCat("open ", path));
    fd.release();
    std::set<std::string> names;
    size_t files = 0;
    errno = 0;
    while (const dirent* entry = readdir(stream.get())) {
      std::string name = entry->d_name;
      if (name == "." || name == "..") continue;
      bool is_directory = entry->d_type == DT_DIR;
      if (entry->d_type == DT_UNKNOWN) {
        struct stat status;
        is_directory = fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                       S_ISDIR(status.st_mode);
      }
      if (is_directory) name += '/';
      if (!Wanted(absl::StrCat(path, name), is_directory)) continue;
      names.insert(std::move(name));
      // Only files fill a page: a directory may be empty.
      if (!is_directory) ++files;
      while (files > page_ + 1) {
        if (!absl::EndsWith(*names.rbegin(), "/")) --files;
        names.erase(std::prev(names.end()));
        *trimmed = true;
      }
      errno = 0;
    }
    if (errno != 0) return FileStatus(errno, absl::StrCat("read directory ", path));
    return names;
  }

  const std::string& prefix_;
  const std::string& after_;
  const size_t page_;
  ListResult result_;
  bool cut_ = false;  // the rest must wait for the next page
};

}  // namespace

absl::StatusOr<ListResult> ListBelow(int directory, const std::string& prefix,
                                     const std::string& after, size_t page) {
  Lister lister(prefix, after, page);
  RETURN_IF_ERROR(lister.Walk(directory, ""));
  return lister.Take();
}

}  // namespace diskd::object
