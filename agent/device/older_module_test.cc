// SPDX-License-Identifier: Apache-2.0
#include "agent/device/older_module.h"

#include <vector>

#include "gtest/gtest.h"

namespace diskd::agent {
namespace {

constexpr uint32_t kAttributes = BUSE_ATTR_BIO | BUSE_ATTR_DISCARD;

class CreateOnAnyModuleTest : public testing::Test {
 protected:
  // A module that knows these attributes.
  absl::Status Create(uint32_t known) {
    return CreateOnAnyModule(info_, [&](buse_info& info) {
      tried_.push_back(info.params.attributes);
      info.index = 7;
      info.params.park_limit_ms = 99;
      if ((info.params.attributes & ~known) != 0) return absl::InvalidArgumentError("EINVAL");
      return error_;
    });
  }

  buse_info info_ = [] {
    buse_info info{};
    info.index = BUSE_INDEX_ANY;
    info.params.attributes = kAttributes;
    return info;
  }();
  absl::Status error_;
  std::vector<uint32_t> tried_;
};

TEST_F(CreateOnAnyModuleTest, PresentModule_GetsAll) {
  EXPECT_TRUE(Create(BUSE_ATTR_ALL).ok());
  EXPECT_EQ(tried_, std::vector<uint32_t>{kAttributes});
}

TEST_F(CreateOnAnyModuleTest, OlderModule_GetsWhatItKnows) {
  std::vector<uint32_t> indices;
  EXPECT_TRUE(CreateOnAnyModule(info_, [&](buse_info& info) {
                indices.push_back(info.index);
                EXPECT_EQ(info.params.park_limit_ms, 0u);
                info.index = 7;
                info.params.park_limit_ms = 99;
                const bool bio = (info.params.attributes & BUSE_ATTR_BIO) != 0;
                return bio ? absl::InvalidArgumentError("EINVAL") : absl::OkStatus();
              }).ok());
  EXPECT_EQ(indices, (std::vector<uint32_t>{BUSE_INDEX_ANY, BUSE_INDEX_ANY}));
  EXPECT_EQ(info_.index, 7u);
  EXPECT_EQ(info_.params.attributes, uint32_t{BUSE_ATTR_DISCARD});
}

TEST_F(CreateOnAnyModuleTest, WhatIsRefusedAllTheSame_IsAnError) {
  EXPECT_TRUE(absl::IsInvalidArgument(Create(0)));
  EXPECT_EQ(tried_.size(), 2u);
}

TEST_F(CreateOnAnyModuleTest, OtherErrors_AreNotTriedAgain) {
  error_ = absl::ResourceExhaustedError("ENOSPC");
  EXPECT_TRUE(absl::IsResourceExhausted(Create(BUSE_ATTR_ALL)));
  EXPECT_EQ(tried_.size(), 1u);
}

TEST_F(CreateOnAnyModuleTest, WithoutSuchAnAttribute_IsNotTriedAgain) {
  info_.params.attributes = BUSE_ATTR_DISCARD;
  EXPECT_TRUE(absl::IsInvalidArgument(Create(0)));
  EXPECT_EQ(tried_.size(), 1u);
}

}  // namespace
}  // namespace diskd::agent
