// SPDX-License-Identifier: Apache-2.0
//
// A directory under the system's for temporary files, gone with this object.
#ifndef DISKD_DRIVERS_OBJECT_STORE_TESTING_SCRATCH_DIR_H_
#define DISKD_DRIVERS_OBJECT_STORE_TESTING_SCRATCH_DIR_H_

#include <cstdlib>
#include <filesystem>
#include <string>

namespace diskd::object {

class ScratchDir {
 public:
  ScratchDir() : path_((std::filesystem::temp_directory_path() / "diskd-store-XXXXXX").string()) {
    if (mkdtemp(path_.data()) == nullptr) std::abort();
  }
  ~ScratchDir() { std::filesystem::remove_all(path_); }
  ScratchDir(const ScratchDir&) = delete;
  ScratchDir& operator=(const ScratchDir&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_STORE_TESTING_SCRATCH_DIR_H_
