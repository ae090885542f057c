// SPDX-License-Identifier: Apache-2.0
#include "client/lib/size.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace diskd::client {
namespace {

using ::testing::HasSubstr;

std::string WhyRefused(absl::string_view text) {
  const absl::StatusOr<uint64_t> size = ParseSize(text);
  EXPECT_EQ(size.status().code(), absl::StatusCode::kInvalidArgument) << text;
  EXPECT_THAT(std::string(size.status().message()), HasSubstr(std::string(text)));
  return std::string(size.status().message());
}

uint64_t Parsed(absl::string_view text) {
  const absl::StatusOr<uint64_t> size = ParseSize(text);
  EXPECT_TRUE(size.ok()) << size.status();
  return size.value_or(0);
}

TEST(ParseSize_BinaryUnits, ArePowersOf1024) {
  EXPECT_EQ(Parsed("4KiB"), 4096u);
  EXPECT_EQ(Parsed("512MiB"), 512ull << 20);
  EXPECT_EQ(Parsed("10GiB"), 10ull << 30);
  EXPECT_EQ(Parsed("1TiB"), 1ull << 40);
  EXPECT_EQ(Parsed("1PiB"), 1ull << 50);
}

TEST(ParseSize_DecimalUnits, ArePowersOf1000) {
  EXPECT_EQ(Parsed("10G"), 10'000'000'000u);
  EXPECT_EQ(Parsed("10GB"), 10'000'000'000u);
  EXPECT_EQ(Parsed("128K"), 128'000u);
  EXPECT_EQ(Parsed("2TB"), 2'000'000'000'000u);
  EXPECT_EQ(Parsed("1PB"), 1'000'000'000'000'000u);
}

TEST(ParseSize_CaseAndSpace, DoNotMatter) {
  EXPECT_EQ(Parsed("10gib"), 10ull << 30);
  EXPECT_EQ(Parsed(" 10 GiB "), 10ull << 30);
  EXPECT_EQ(Parsed("1048576b"), 1048576u);
}

TEST(ParseSize_Fractions, AreExact) {
  EXPECT_EQ(Parsed("1.5GiB"), 3ull << 29);
  EXPECT_EQ(Parsed("0.5KiB"), 512u);
  EXPECT_EQ(Parsed("1.024KB"), 1024u);
  EXPECT_THAT(WhyRefused("0.1B"), HasSubstr("whole number of bytes"));
  EXPECT_THAT(WhyRefused("1.0001KiB"), HasSubstr("whole number of bytes"));
}

TEST(ParseSize_NoUnit, AsksWhatIsMeant) {
  EXPECT_THAT(WhyRefused("10"), HasSubstr("10 what? Write 10GiB"));
  EXPECT_THAT(WhyRefused("0"), HasSubstr("what?"));
}

TEST(ParseSize_NoNumber, IsRefused) {
  EXPECT_THAT(WhyRefused(""), HasSubstr("empty"));
  EXPECT_THAT(WhyRefused("  "), HasSubstr("empty"));
  EXPECT_THAT(WhyRefused("GiB"), HasSubstr("does not begin with a number"));
  EXPECT_THAT(WhyRefused("+1GiB"), HasSubstr("does not begin with a number"));
  EXPECT_THAT(WhyRefused("1.2.3GiB"), HasSubstr("\"1.2.3\" is not a number"));
  EXPECT_THAT(WhyRefused(".5GiB"), HasSubstr("is not a number"));
  EXPECT_THAT(WhyRefused("5.GiB"), HasSubstr("is not a number"));
  EXPECT_THAT(WhyRefused("..GiB"), HasSubstr("is not a number"));
}

TEST(ParseSize_Negative, IsRefused) { EXPECT_THAT(WhyRefused("-1G"), HasSubstr("negative")); }

TEST(ParseSize_Zero, IsRefused) {
  EXPECT_THAT(WhyRefused("0GiB"), HasSubstr("zero"));
  EXPECT_THAT(WhyRefused("0.0KiB"), HasSubstr("zero"));
}

TEST(ParseSize_UnknownUnit, ListsTheKnownOnes) {
  EXPECT_THAT(WhyRefused("10EiB"), HasSubstr("unknown unit \"EiB\"; units: KiB"));
  EXPECT_THAT(WhyRefused("1GiBs"), HasSubstr("unknown unit"));
  EXPECT_THAT(WhyRefused("1,5GiB"), HasSubstr("unknown unit \",5GiB\""));
  EXPECT_THAT(WhyRefused("1e3GiB"), HasSubstr("unknown unit"));
}

TEST(ParseSize_TooLarge, IsRefusedWithoutWrappingAround) {
  EXPECT_THAT(WhyRefused("16384PiB"), HasSubstr("too large"));  // 2^64
  EXPECT_THAT(WhyRefused("100000PiB"), HasSubstr("too large"));
  EXPECT_THAT(WhyRefused("99999999999999999999PiB"), HasSubstr("too large"));
  EXPECT_THAT(WhyRefused("999999999999999999999B"), HasSubstr("too large"));
  EXPECT_EQ(Parsed("18446744073709551104B"), UINT64_MAX - 511);
}

TEST(ParseSize_NoMultipleOf512, SaysWhatWouldBe) {
  EXPECT_THAT(WhyRefused("1000001B"), HasSubstr("not a multiple of 512 bytes; write 999936B or "
                                                "1000448B"));
  EXPECT_THAT(WhyRefused("1KB"), HasSubstr("is 1000 bytes, not a multiple of 512"));
  EXPECT_THAT(WhyRefused("1B"), HasSubstr("512B is the smallest"));
}

TEST(FormatSize_WholeUnits, HaveNoFraction) {
  EXPECT_EQ(FormatSize(0), "0B");
  EXPECT_EQ(FormatSize(512), "512B");
  EXPECT_EQ(FormatSize(1024), "1KiB");
  EXPECT_EQ(FormatSize(10ull << 30), "10GiB");
  EXPECT_EQ(FormatSize(2048ull << 50), "2048PiB");
}

TEST(FormatSize_Fractions, AreMarkedWhenRounded) {
  EXPECT_EQ(FormatSize(3ull << 29), "1.50GiB");
  EXPECT_EQ(FormatSize(10'000'000'000u), "~9.31GiB");
  EXPECT_EQ(FormatSize(UINT64_MAX), "~16384.00PiB");
}

TEST(FormatSize_ExactText, ParsesBackToTheSameSize) {
  for (const uint64_t bytes : {512ull, 1536ull, 1ull << 20, 3ull << 29, 5ull << 40}) {
    EXPECT_EQ(Parsed(FormatSize(bytes)), bytes);
  }
}

}  // namespace
}  // namespace diskd::client
