// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/format/packing.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <zstd.h>

#include <cstdlib>
#include <cstring>
#include <memory>

#include "drivers/object/format/bytes.h"

namespace diskd::object {
namespace {

constexpr char kCheckLabel[] = "diskd object volume key check";
constexpr char kObjectLabel[] = "diskd object key";

PackingKey Derive(const PackingKey& key, absl::string_view message) {
  PackingKey derived;
  unsigned int length = derived.size();
  if (HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
           reinterpret_cast<const unsigned char*>(message.data()), message.size(), derived.data(),
           &length) == nullptr) {
    abort();  // out of memory
  }
  return derived;
}

struct FreeContext {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_CIPHER_CTX, FreeContext>;

std::string NonceOf(Piece piece, uint64_t number) {
  ByteWriter out;
  out.U32(static_cast<uint32_t>(piece));
  out.U64(number);
  return out.Take();
}

const unsigned char* Bytes(absl::string_view data) {
  return reinterpret_cast<const unsigned char*>(data.data());
}

unsigned char* Bytes(std::string& data) { return reinterpret_cast<unsigned char*>(data.data()); }

void Must(bool good) {
  if (!good) abort();  // OpenSSL without AES-GCM, or out of memory
}

}  // namespace

KeyCheck CheckOfKey(const PackingKey& key) {
  const PackingKey derived = Derive(key, kCheckLabel);
  KeyCheck check;
  memcpy(check.data(), derived.data(), check.size());
  return check;
}

ObjectCipher::ObjectCipher(const PackingKey& key, const Uuid& volume, uint64_t epoch,
                           uint64_t nonce, uint32_t sequence) {
  ByteWriter name;
  name.Raw(kObjectLabel);
  name.Id(volume);
  name.U64(epoch);
  name.U64(nonce);
  name.U32(sequence);
  key_ = Derive(key, name.str());
}

std::string ObjectCipher::Encrypt(Piece piece, uint64_t number,
                                  absl::string_view also_authenticated,
                                  absl::string_view plain) const {
  const Context context(EVP_CIPHER_CTX_new());
  const std::string nonce = NonceOf(piece, number);
  std::string sealed(plain.size() + kTagBytes, '\0');
  int length = 0;
  Must(context != nullptr);
  Must(EVP_EncryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, key_.data(), Bytes(nonce)) ==
       1);
  Must(EVP_EncryptUpdate(context.get(), nullptr, &length, Bytes(also_authenticated),
                         static_cast<int>(also_authenticated.size())) == 1);
  Must(EVP_EncryptUpdate(context.get(), Bytes(sealed), &length, Bytes(plain),
                         static_cast<int>(plain.size())) == 1);
  Must(EVP_EncryptFinal_ex(context.get(), Bytes(sealed) + length, &length) == 1);
  Must(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, kTagBytes,
                           Bytes(sealed) + plain.size()) == 1);
  return sealed;
}

absl::StatusOr<std::string> ObjectCipher::Decrypt(Piece piece, uint64_t number,
                                                  absl::string_view also_authenticated,
                                                  absl::string_view sealed) const {
  if (sealed.size() < kTagBytes) return absl::DataLossError("an encrypted piece is cut short");
  const size_t bytes = sealed.size() - kTagBytes;
  const Context context(EVP_CIPHER_CTX_new());
  const std::string nonce = NonceOf(piece, number);
  std::string plain(bytes, '\0');
  std::string tag(sealed.substr(bytes));
  int length = 0;
  Must(context != nullptr);
  Must(EVP_DecryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, key_.data(), Bytes(nonce)) ==
       1);
  Must(EVP_DecryptUpdate(context.get(), nullptr, &length, Bytes(also_authenticated),
                         static_cast<int>(also_authenticated.size())) == 1);
  Must(EVP_DecryptUpdate(context.get(), Bytes(plain), &length, Bytes(sealed),
                         static_cast<int>(bytes)) == 1);
  Must(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_SET_TAG, kTagBytes, tag.data()) == 1);
  if (EVP_DecryptFinal_ex(context.get(), Bytes(plain) + length, &length) != 1) {
    return absl::DataLossError("an encrypted piece is not authentic");
  }
  return plain;
}

std::string PackFrame(absl::string_view blocks, uint32_t number, int zstd_level,
                      const ObjectCipher* cipher) {
  std::string packed;
  if (zstd_level > 0) {
    packed.resize(ZSTD_compressBound(blocks.size()));
    const size_t size =
        ZSTD_compress(packed.data(), packed.size(), blocks.data(), blocks.size(), zstd_level);
    packed.resize(ZSTD_isError(size) != 0 ? 0 : size);
  }
  // Of the full length: not compressed.
  if (packed.empty() || packed.size() >= blocks.size()) packed.assign(blocks.data(), blocks.size());
  return cipher == nullptr ? packed : cipher->Encrypt(Piece::kFrame, number, "", packed);
}

absl::StatusOr<std::string> UnpackFrame(absl::string_view stored, uint32_t number, size_t bytes,
                                        const ObjectCipher* cipher) {
  std::string packed(stored);
  if (cipher != nullptr) {
    absl::StatusOr<std::string> plain = cipher->Decrypt(Piece::kFrame, number, "", stored);
    if (!plain.ok()) return plain.status();
    packed = *std::move(plain);
  }
  if (packed.size() == bytes) return packed;
  if (packed.size() > bytes) return absl::DataLossError("a frame is too long");
  std::string blocks(bytes, '\0');
  const size_t size = ZSTD_decompress(blocks.data(), bytes, packed.data(), packed.size());
  if (size != bytes) return absl::DataLossError("a frame can't be decompressed");
  return blocks;
}

}  // namespace diskd::object
