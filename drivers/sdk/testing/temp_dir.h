// SPDX-License-Identifier: Apache-2.0
//
// For tests: a directory that goes with its owner. `parent`: where (default: TMPDIR or /tmp).
#ifndef DISKD_DRIVERS_SDK_TESTING_TEMP_DIR_H_
#define DISKD_DRIVERS_SDK_TESTING_TEMP_DIR_H_

#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

namespace diskd::sdk {

class TempDir {
 public:
  TempDir() : TempDir(std::filesystem::temp_directory_path().string()) {}
  explicit TempDir(const std::string& parent) : path_(parent + "/diskd-test-XXXXXX") {
    if (mkdtemp(path_.data()) == nullptr) std::abort();
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace diskd::sdk

#endif  // DISKD_DRIVERS_SDK_TESTING_TEMP_DIR_H_
