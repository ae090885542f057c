// SPDX-License-Identifier: Apache-2.0
//
// The fixture of tests that have one S3 store on one double.
#ifndef DISKD_DRIVERS_OBJECT_STORE_TESTING_S3_ON_DOUBLE_H_
#define DISKD_DRIVERS_OBJECT_STORE_TESTING_S3_ON_DOUBLE_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "drivers/object/store/testing/store_under_test.h"
#include "gtest/gtest.h"

namespace diskd::object {

// A store on a double of its own, with what the double counts.
class S3OnDouble : public ::testing::Test {
 protected:
  void Start(S3DoubleOptions options = {}) {
    auto server = S3Double::Start(std::move(options));
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    options_ = OptionsFor(*server_);
    store_ = OpenOn(*server_, options_);
  }
  void Reopen() { store_ = OpenOn(*server_, options_); }
  int Count(const std::string& method) { return server_->Counts()[method]; }
  std::string Message(const absl::Status& status) { return std::string(status.message()); }

  std::unique_ptr<S3Double> server_;
  S3Options options_;
  std::unique_ptr<Store> store_;
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_STORE_TESTING_S3_ON_DOUBLE_H_
