// SPDX-License-Identifier: Apache-2.0
#include "client/lib/size.h"

#include <array>
#include <cmath>

#include "absl/numeric/int128.h"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace diskd::client {
namespace {

constexpr uint64_t kSectorBytes = 512;
constexpr absl::string_view kUnits = "units: KiB MiB GiB TiB PiB (1024), KB MB GB TB PB (1000), B";

struct Unit {
  absl::string_view name;
  uint64_t bytes;
};

constexpr uint64_t kKibi = 1024;
constexpr uint64_t kKilo = 1000;
constexpr Unit kByUnit[] = {
    {"b", 1},
    {"kib", kKibi},
    {"mib", kKibi* kKibi},
    {"gib", kKibi* kKibi* kKibi},
    {"tib", kKibi* kKibi* kKibi* kKibi},
    {"pib", kKibi* kKibi* kKibi* kKibi* kKibi},
    {"kb", kKilo},
    {"mb", kKilo* kKilo},
    {"gb", kKilo* kKilo* kKilo},
    {"tb", kKilo* kKilo* kKilo* kKilo},
    {"pb", kKilo* kKilo* kKilo* kKilo* kKilo},
    {"k", kKilo},
    {"m", kKilo* kKilo},
    {"g", kKilo* kKilo* kKilo},
    {"t", kKilo* kKilo* kKilo* kKilo},
    {"p", kKilo* kKilo* kKilo* kKilo* kKilo},
};

absl::Status Refuse(absl::string_view text, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("size \"", text, "\": ", why));
}

const Unit* FindUnit(absl::string_view name) {
  for (const Unit& unit : kByUnit) {
    if (absl::EqualsIgnoreCase(unit.name, name)) return &unit;
  }
  return nullptr;
}

// "1.5" as 15 / 10: exact, where a double would not be.
struct Decimal {
  absl::uint128 numerator = 0;
  absl::uint128 denominator = 1;
};

constexpr size_t kMaxDigits = 20;  // 10^20 * 1 PiB fits 128 bits; 2^64 has 20 digits

bool ParseDecimal(absl::string_view text, Decimal& out) {
  bool point = false;
  size_t digits = 0;
  for (const char c : text) {
    if (c == '.' && !point && digits > 0) {
      point = true;
      continue;
    }
    if (!absl::ascii_isdigit(c)) return false;
    out.numerator = out.numerator * 10 + static_cast<uint32_t>(c - '0');
    if (point) out.denominator *= 10;
    ++digits;
  }
  return digits > 0 && text.back() != '.';
}

// How the user may have meant a size that is no multiple of a sector.
std::string NearestMultiples(uint64_t bytes) {
  const uint64_t below = bytes / kSectorBytes * kSectorBytes;
  if (below == 0) return absl::StrCat(kSectorBytes, "B is the smallest");
  if (below > UINT64_MAX - kSectorBytes) return absl::StrCat("write ", below, "B");
  return absl::StrCat("write ", below, "B or ", below + kSectorBytes, "B");
}

}  // namespace

absl::StatusOr<uint64_t> ParseSize(absl::string_view text) {
  const absl::string_view trimmed = absl::StripAsciiWhitespace(text);
  if (trimmed.empty()) return Refuse(text, "empty; write a number and a unit, such as 10GiB");
  if (trimmed[0] == '-') return Refuse(text, "a disk can't have a negative size");
  const size_t number_end = trimmed.find_first_not_of("0123456789.");
  const absl::string_view number = trimmed.substr(0, number_end);
  const absl::string_view unit_name =
      number_end == absl::string_view::npos
          ? absl::string_view()
          : absl::StripLeadingAsciiWhitespace(trimmed.substr(number_end));
  if (number.empty()) {
    return Refuse(text, "does not begin with a number; write a size such as 10GiB");
  }
  if (number.size() > kMaxDigits) {
    return Refuse(
        text, absl::StrCat("more than ", kMaxDigits, " digits: too large, or use a larger unit"));
  }
  Decimal value;
  if (!ParseDecimal(number, value)) {
    return Refuse(text, absl::StrCat("\"", number, "\" is not a number; write 1.5GiB or 10GiB"));
  }
  if (unit_name.empty()) {
    return Refuse(text, absl::StrCat(number, " what? Write ", number, "GiB, ", number, "MiB or ",
                                     number, "B"));
  }
  const Unit* unit = FindUnit(unit_name);
  if (unit == nullptr) {
    return Refuse(text, absl::StrCat("unknown unit \"", unit_name, "\"; ", kUnits));
  }
  const absl::uint128 scaled = value.numerator * unit->bytes;
  if (scaled == 0) return Refuse(text, "zero; a disk has at least 1MiB");
  if (scaled % value.denominator != 0) {
    return Refuse(text, "is not a whole number of bytes; use a smaller unit");
  }
  const absl::uint128 bytes = scaled / value.denominator;
  if (bytes > UINT64_MAX) return Refuse(text, "too large; a disk has at most 1PiB");
  const uint64_t result = absl::Uint128Low64(bytes);
  if (result % kSectorBytes != 0) {
    return Refuse(text, absl::StrCat("is ", result, " bytes, not a multiple of 512 bytes; ",
                                     NearestMultiples(result)));
  }
  return result;
}

std::string FormatSize(uint64_t bytes) {
  constexpr std::array<absl::string_view, 6> kNames = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  size_t unit = 0;
  uint64_t unit_bytes = 1;
  while (unit + 1 < kNames.size() && bytes / unit_bytes >= kKibi) {
    unit_bytes *= kKibi;
    ++unit;
  }
  if (bytes % unit_bytes == 0) return absl::StrCat(bytes / unit_bytes, kNames[unit]);
  const double hundredths = 100.0 * static_cast<double>(bytes) / static_cast<double>(unit_bytes);
  const bool exact = (absl::uint128(bytes) * 100) % unit_bytes == 0;
  return absl::StrFormat("%s%.2f%s", exact ? "" : "~", std::round(hundredths) / 100, kNames[unit]);
}

}  // namespace diskd::client
