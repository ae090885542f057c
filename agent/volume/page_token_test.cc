// SPDX-License-Identifier: Apache-2.0
#include "agent/volume/page_token.h"

#include "gtest/gtest.h"

namespace diskd::agent {
namespace {

TEST(PageToken_RoundTrip, GivesTheIdBack) {
  EXPECT_EQ(*ParsePageToken(MakePageToken("vol-0123456789abcdef")), "vol-0123456789abcdef");
  EXPECT_EQ(*ParsePageToken(""), "");
}

TEST(PageToken_Foreign, IsInvalidArgument) {
  for (const char* token : {"x", "vol-0123456789abcdef", "MS8=", "MS92b2wtMQ", "\xff\xfe"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParsePageToken(token).status())) << token;
  }
}

}  // namespace
}  // namespace diskd::agent
