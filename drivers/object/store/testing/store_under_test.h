// SPDX-License-Identifier: Apache-2.0
//
// The stores that the conformance suite runs on, by name: "dir", "double", and "service", a real
// one described by DISKD_TEST_S3_ENDPOINT, _BUCKET, _ACCESS_KEY and _SECRET_KEY.
#ifndef DISKD_DRIVERS_OBJECT_STORE_TESTING_STORE_UNDER_TEST_H_
#define DISKD_DRIVERS_OBJECT_STORE_TESTING_STORE_UNDER_TEST_H_

#include <memory>
#include <string>
#include <vector>

#include "drivers/object/env/store.h"
#include "drivers/object/store/s3_store.h"
#include "drivers/object/store/testing/s3_double.h"
#include "drivers/object/store/testing/scratch_dir.h"

namespace diskd::object {

// How to reach a double.
S3Options OptionsFor(const S3Double& server);
std::unique_ptr<Store> OpenOn(const S3Double& server, const S3Options& options);

class StoreUnderTest {
 public:
  // Those there are in this environment: the service alone where one is described.
  static std::vector<std::string> Names();

  // Every one is empty at first: a service gets a prefix of its own.
  explicit StoreUnderTest(const std::string& name);

  Store& store() { return *store_; }
  // Another client of the same content.
  std::unique_ptr<Store> Another() const;
  // Whether conditional PUT is expected to work.
  bool conditions() const { return conditions_; }

 private:
  const std::string name_;
  bool conditions_ = true;
  ScratchDir scratch_;
  std::unique_ptr<S3Double> double_;
  std::string prefix_;
  std::unique_ptr<Store> store_;
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_STORE_TESTING_STORE_UNDER_TEST_H_
