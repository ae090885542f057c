// SPDX-License-Identifier: Apache-2.0
//
// Little-endian fields in byte strings. The reader never reads past its end: a read that would
// gives zero and makes ok() false for good, so a parser checks once.
#ifndef DISKD_DRIVERS_OBJECT_FORMAT_BYTES_H_
#define DISKD_DRIVERS_OBJECT_FORMAT_BYTES_H_

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "drivers/object/types.h"

namespace diskd::object {

class ByteWriter {
 public:
  ByteWriter() = default;
  // Its memory is used, not what is in it.
  explicit ByteWriter(std::string buffer) : out_(std::move(buffer)) { out_.clear(); }

  void U8(uint8_t v) { Put(v, 1); }
  void U16(uint16_t v) { Put(v, 2); }
  void U32(uint32_t v) { Put(v, 4); }
  void U64(uint64_t v) { Put(v, 8); }
  void Id(const Uuid& v) { out_.append(reinterpret_cast<const char*>(v.bytes.data()), 16); }
  void Raw(absl::string_view v) { out_.append(v.data(), v.size()); }
  void ZeroFillTo(size_t size) {
    if (out_.size() < size) out_.resize(size, '\0');
  }
  void PatchU32(size_t at, uint32_t v) {
    for (int i = 0; i < 4; ++i) out_[at + i] = static_cast<char>(v >> (8 * i));
  }

  size_t size() const { return out_.size(); }
  const std::string& str() const { return out_; }
  std::string Take() { return std::move(out_); }

 private:
  void Put(uint64_t v, int bytes) {
    char raw[8];
    for (int i = 0; i < 8; ++i) raw[i] = static_cast<char>(v >> (8 * i));
    out_.append(raw, static_cast<size_t>(bytes));
  }
  std::string out_;
};

class ByteReader {
 public:
  explicit ByteReader(absl::string_view data) : data_(data) {}

  uint8_t U8() { return static_cast<uint8_t>(Get(1)); }
  uint16_t U16() { return static_cast<uint16_t>(Get(2)); }
  uint32_t U32() { return static_cast<uint32_t>(Get(4)); }
  uint64_t U64() { return Get(8); }
  Uuid Id() {
    Uuid id;
    const absl::string_view raw = Raw(16);
    if (ok_) memcpy(id.bytes.data(), raw.data(), 16);
    return id;
  }
  absl::string_view Raw(size_t size) {
    if (size > data_.size() - at_) {
      ok_ = false;
      return {};
    }
    at_ += size;
    return data_.substr(at_ - size, size);
  }
  size_t left() const { return data_.size() - at_; }
  bool ok() const { return ok_; }

 private:
  uint64_t Get(int bytes) {
    const absl::string_view raw = Raw(bytes);
    uint64_t v = 0;
    for (size_t i = 0; i < raw.size(); ++i) {
      v |= static_cast<uint64_t>(static_cast<uint8_t>(raw[i])) << (8 * i);
    }
    return v;
  }
  absl::string_view data_;
  size_t at_ = 0;
  bool ok_ = true;
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_FORMAT_BYTES_H_
