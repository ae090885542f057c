// SPDX-License-Identifier: Apache-2.0
#include "client/csi/wire_listing.h"

#include <google/protobuf/descriptor.pb.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace diskd::csi {
namespace {

namespace pb = google::protobuf;

// csi_secret = 1059 as it is encoded: key (1059 << 3 | varint), value 1.
constexpr char kSecretBytes[] = "\x98\x42\x01";

std::string TypeName(const pb::FieldDescriptor& field) {
  if (field.message_type() != nullptr) return field.message_type()->full_name();
  if (field.enum_type() != nullptr) return field.enum_type()->full_name();
  return field.type_name();
}

void ListEnum(const pb::EnumDescriptor& type, std::vector<std::string>& lines) {
  for (int i = 0; i < type.value_count(); ++i) {
    lines.push_back(absl::StrCat("enum ", type.full_name(), ".", type.value(i)->name(), " = ",
                                 type.value(i)->number()));
  }
}

void ListMessage(const pb::Descriptor& type, std::vector<std::string>& lines) {
  lines.push_back(absl::StrCat("message ", type.full_name()));
  for (int i = 0; i < type.field_count(); ++i) {
    const pb::FieldDescriptor& field = *type.field(i);
    const pb::OneofDescriptor* oneof = field.containing_oneof();
    const bool secret = absl::StrContains(field.options().SerializeAsString(), kSecretBytes);
    lines.push_back(absl::StrCat("field ", field.full_name(), " = ", field.number(), " ",
                                 field.is_repeated() ? "repeated " : "", TypeName(field),
                                 oneof != nullptr ? " oneof " + oneof->name() : "",
                                 secret ? " secret" : ""));
  }
  for (int i = 0; i < type.enum_type_count(); ++i) ListEnum(*type.enum_type(i), lines);
  for (int i = 0; i < type.nested_type_count(); ++i) ListMessage(*type.nested_type(i), lines);
}

void ListService(const pb::ServiceDescriptor& service, std::vector<std::string>& lines) {
  for (int i = 0; i < service.method_count(); ++i) {
    const pb::MethodDescriptor& method = *service.method(i);
    lines.push_back(absl::StrCat(
        "method /", service.full_name(), "/", method.name(), " ",
        method.client_streaming() ? "stream " : "", method.input_type()->full_name(), " -> ",
        method.server_streaming() ? "stream " : "", method.output_type()->full_name()));
  }
}

}  // namespace

std::vector<std::string> WireListing(const std::vector<const pb::FileDescriptor*>& files) {
  std::vector<std::string> lines;
  for (const pb::FileDescriptor* file : files) {
    for (int i = 0; i < file->message_type_count(); ++i) ListMessage(*file->message_type(i), lines);
    for (int i = 0; i < file->enum_type_count(); ++i) ListEnum(*file->enum_type(i), lines);
    for (int i = 0; i < file->service_count(); ++i) ListService(*file->service(i), lines);
    for (int i = 0; i < file->extension_count(); ++i) {
      const pb::FieldDescriptor& extension = *file->extension(i);
      lines.push_back(absl::StrCat("extension ", extension.containing_type()->full_name(), " ",
                                   extension.full_name(), " = ", extension.number(), " ",
                                   TypeName(extension)));
    }
  }
  std::sort(lines.begin(), lines.end());
  return lines;
}

}  // namespace diskd::csi
