// SPDX-License-Identifier: Apache-2.0
#include "client/csi/redact.h"

#include <memory>
#include <vector>

#include "proto/csi/v1/options.pb.h"

namespace diskd::csi {
namespace {

namespace pb = google::protobuf;

constexpr char kRedacted[] = "***";

bool Sensitive(const pb::FieldDescriptor& field) {
  return field.options().GetExtension(::csi::v1::csi_secret) ||
         field.full_name() == "csi.v1.VolumeCapability.MountVolume.mount_flags";
}

void Redact(pb::Message& message);

void RedactField(pb::Message& message, const pb::FieldDescriptor& field) {
  const pb::Reflection& reflection = *message.GetReflection();
  if (field.is_map()) {
    // Keys of secrets go too: nothing promises that they are harmless.
    const int count = reflection.FieldSize(message, &field);
    reflection.ClearField(&message, &field);
    for (int i = 0; i < count; ++i) {
      pb::Message& entry = *reflection.AddMessage(&message, &field);
      entry.GetReflection()->SetString(&entry, entry.GetDescriptor()->FindFieldByNumber(1),
                                       std::string(kRedacted) + std::to_string(i));
      const pb::FieldDescriptor* value = entry.GetDescriptor()->FindFieldByNumber(2);
      if (value->cpp_type() == pb::FieldDescriptor::CPPTYPE_STRING) {
        entry.GetReflection()->SetString(&entry, value, kRedacted);
      }
    }
  } else if (field.is_repeated() && field.cpp_type() == pb::FieldDescriptor::CPPTYPE_STRING) {
    for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
      reflection.SetRepeatedString(&message, &field, i, kRedacted);
    }
  } else {
    reflection.ClearField(&message, &field);
  }
}

void Redact(pb::Message& message) {
  const pb::Reflection& reflection = *message.GetReflection();
  std::vector<const pb::FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const pb::FieldDescriptor* field : fields) {
    if (Sensitive(*field)) {
      RedactField(message, *field);
    } else if (field->cpp_type() == pb::FieldDescriptor::CPPTYPE_MESSAGE) {
      if (!field->is_repeated()) {
        Redact(*reflection.MutableMessage(&message, field));
      } else {
        for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
          Redact(*reflection.MutableRepeatedMessage(&message, field, i));
        }
      }
    }
  }
}

}  // namespace

std::string RedactedText(const pb::Message& message) {
  const std::unique_ptr<pb::Message> copy(message.New());
  copy->CopyFrom(message);
  copy->DiscardUnknownFields();
  Redact(*copy);
  return copy->ShortDebugString();
}

}  // namespace diskd::csi
