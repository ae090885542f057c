// SPDX-License-Identifier: Apache-2.0
#include "client/diskctl/table.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"

namespace diskd::diskctl {

void Table::AddRow(std::vector<std::string> cells) {
  cells.resize(rows_.front().size());
  for (std::string& cell : cells) {
    if (cell.empty()) cell.push_back('-');
    std::replace_if(
        cell.begin(), cell.end(), [](unsigned char c) { return absl::ascii_iscntrl(c); }, ' ');
  }
  rows_.push_back(std::move(cells));
}

void Table::Print(std::ostream& out) const {
  std::vector<size_t> widths(rows_.front().size(), 0);
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const auto& row : rows_) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line.append(widths[i] - row[i].size() + 2, ' ');
    }
    out << line << '\n';
  }
}

}  // namespace diskd::diskctl
