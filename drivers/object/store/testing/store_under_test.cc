// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/store/testing/store_under_test.h"

#include <cstdio>
#include <cstdlib>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "drivers/object/store/dir_store.h"
#include "drivers/object/store/open_store.h"

namespace diskd::object {
namespace {

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

template <typename T>
T OrDie(absl::StatusOr<T> value) {
  if (!value.ok()) {
    std::fprintf(stderr, "test set-up: %s\n", value.status().ToString().c_str());
    std::abort();
  }
  return *std::move(value);
}

}  // namespace

S3Options OptionsFor(const S3Double& server) {
  S3Options options;
  options.bucket = S3DoubleOptions().bucket;
  options.endpoint = server.endpoint();
  return options;
}

std::unique_ptr<Store> OpenOn(const S3Double& server, const S3Options& options) {
  return OrDie(OpenS3Store(options, FixedCredentials(S3DoubleOptions().credentials)));
}

std::vector<std::string> StoreUnderTest::Names() {
  if (!Variable("DISKD_TEST_S3_ENDPOINT").empty()) return {"service"};
  return {"dir", "double"};
}

StoreUnderTest::StoreUnderTest(const std::string& name) : name_(name) {
  if (name_ == "double") double_ = OrDie(S3Double::Start({.page_keys = 7}));
  absl::BitGen random;
  prefix_ = absl::StrCat("t", absl::Hex(absl::Uniform<uint64_t>(random)));
  conditions_ = Variable("DISKD_TEST_S3_CONDITIONS") != "refused";
  store_ = Another();
}

std::unique_ptr<Store> StoreUnderTest::Another() const {
  if (name_ == "dir") {
    return OrDie(OpenDirStore(
        {.path = absl::StrCat(scratch_.path(), "/store"), .create = true, .page_names = 7}));
  }
  if (name_ == "double") {
    S3Options options = OptionsFor(*double_);
    options.prefix = prefix_;
    return OpenOn(*double_, options);
  }
  return OrDie(
      OpenStore({.url = absl::StrCat("s3://", Variable("DISKD_TEST_S3_BUCKET"), "/", prefix_),
                 .endpoint = Variable("DISKD_TEST_S3_ENDPOINT"),
                 .credentials = Credentials{Variable("DISKD_TEST_S3_ACCESS_KEY"),
                                            Variable("DISKD_TEST_S3_SECRET_KEY"), ""}}));
}

}  // namespace diskd::object
