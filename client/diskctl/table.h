// SPDX-License-Identifier: Apache-2.0
//
// Text in columns: a header, then rows, padded to the widest cell, two spaces apart, no space at
// the end of a line. Not thread-safe.
#ifndef DISKD_CLIENT_DISKCTL_TABLE_H_
#define DISKD_CLIENT_DISKCTL_TABLE_H_

#include <ostream>
#include <string>
#include <vector>

namespace diskd::diskctl {

class Table {
 public:
  explicit Table(std::vector<std::string> header) : rows_{std::move(header)} {}

  // As many cells as the header has. An empty cell is shown as "-"; line ends and other control
  // characters as spaces.
  void AddRow(std::vector<std::string> cells);
  bool empty() const { return rows_.size() == 1; }
  void Print(std::ostream& out) const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace diskd::diskctl

#endif  // DISKD_CLIENT_DISKCTL_TABLE_H_
