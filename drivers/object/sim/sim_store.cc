// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/sim/sim_store.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "drivers/object/format/claim.h"

namespace diskd::object {
namespace {

constexpr size_t kListPage = 20;
constexpr absl::Duration kStaleFor = absl::Seconds(5);

// What a volume can't do without.
bool Spared(const std::string& name, const std::string& suffix) {
  return absl::EndsWith(name, suffix) || IsLeaseName(name);
}

}  // namespace

absl::Duration SimStore::Latency() {
  if (latency > absl::ZeroDuration()) return latency;
  if (scheduler_->Chance(0.05)) return scheduler_->Micros(10'000, 2'000'000);
  return scheduler_->Micros(500, 20'000);
}

absl::Duration SimStore::Late() {
  return scheduler_->Micros(1000, static_cast<uint64_t>(absl::ToInt64Microseconds(latest)));
}

absl::Status SimStore::Out() const {
  if (scheduler_->Now() >= out_until_) return absl::OkStatus();
  return refused_ ? absl::PermissionDeniedError("expired") : absl::UnavailableError("503");
}

absl::StatusOr<Etag> SimStore::Apply(const std::string& name,
                                     std::shared_ptr<const std::string> body,
                                     const PutCondition& condition) {
  const auto it = objects_.find(name);
  const bool holds = condition.kind == PutCondition::Kind::kNone ||
                     (condition.kind == PutCondition::Kind::kIfAbsent
                          ? it == objects_.end()
                          : it != objects_.end() && it->second.etag == condition.etag);
  if (condition.kind != PutCondition::Kind::kNone && ignores_conditions) ++ignored_conditions;
  if (!holds && !ignores_conditions) return absl::FailedPreconditionError("412");
  // The same for the same content, also if there was another one in between.
  Etag etag = absl::StrCat(std::hash<std::string>()(*body));
  objects_[name] = {std::move(body), etag, scheduler_->Now()};
  return etag;
}

void SimStore::Put(Lane, const std::string& name, std::shared_ptr<const std::string> body,
                   PutCondition condition, PutDone done) {
  ++requests.puts;
  requests.put_bytes += body->size();
  if (const auto fault = put_fault ? put_fault(name) : std::nullopt; fault.has_value()) {
    scheduler_->After(fault->queued, [done] { done(absl::DeadlineExceededError("late")); });
    scheduler_->After(fault->queued + fault->late,
                      [=, this] { (void)Apply(name, body, condition); });
    return;
  }
  scheduler_->After(Latency(), [=, this] {
    absl::StatusOr<Etag> reply = Etag();
    if (const absl::Status out = Out(); !out.ok()) {
      reply = out;
    } else if (scheduler_->Chance(faults.fail_before)) {
      reply = absl::UnavailableError("reset");
    } else if (scheduler_->Chance(faults.conflict)) {
      reply = absl::AbortedError("409");
    } else if (scheduler_->Chance(faults.late)) {
      reply = absl::DeadlineExceededError("late");
      scheduler_->After(Late(), [=, this] { (void)Apply(name, body, condition); });
    } else {
      reply = Apply(name, body, condition);
      if (scheduler_->Chance(faults.reply_lost)) reply = absl::DeadlineExceededError("lost");
    }
    scheduler_->After(Latency(), [done, reply] { done(reply); });
  });
}

GetResult SimStore::Read(const Object& object, std::optional<ByteRange> range) {
  const ByteRange all{0, object.body->size()};
  const ByteRange want = range.value_or(all);
  GetResult result;
  result.etag = object.etag;
  result.object_bytes = object.body->size();
  if (want.offset < object.body->size())
    result.body = object.body->substr(want.offset, want.length);
  if (!result.body.empty() && scheduler_->Chance(faults.damaged)) {
    result.body[scheduler_->Below(result.body.size())] ^=
        static_cast<char>(1 << scheduler_->Below(8));
  }
  return result;
}

void SimStore::Get(Lane, const std::string& name, std::optional<ByteRange> range, GetDone done) {
  ++requests.gets;
  scheduler_->After(Latency(), [=, this] {
    absl::StatusOr<GetResult> reply = absl::NotFoundError(name);
    absl::Duration delay = Latency();
    const absl::Status out = Out();
    const auto fault = object_faults.find(name);
    if (!out.ok()) {
      reply = out;
    } else if (fault != object_faults.end() && scheduler_->Now() < fault->second.until) {
      reply = fault->second.status;
      delay += fault->second.delay;
    } else if (scheduler_->Chance(faults.fail_before)) {
      reply = absl::UnavailableError("reset");
    } else if (scheduler_->Chance(faults.cut_short)) {
      reply = absl::DataLossError("cut short");
    } else if (const auto it = objects_.find(name); it != objects_.end()) {
      reply = Read(it->second, range);
    }
    scheduler_->After(delay, [done, reply] { done(reply); });
  });
}

void SimStore::Head(Lane lane, const std::string& name, HeadDone done) {
  ++requests.others;
  Get(lane, name, std::nullopt, [done](absl::StatusOr<GetResult> got) {
    if (!got.ok()) return done(got.status());
    done(HeadResult{got->etag, got->object_bytes});
  });
}

void SimStore::List(Lane, const std::string& prefix, const std::string& after, ListDone done) {
  ++requests.others;
  scheduler_->After(Latency(), [=, this] {
    absl::StatusOr<ListResult> reply = ListResult{};
    if (const absl::Status out = Out(); !out.ok()) {
      reply = out;
    } else if (scheduler_->Chance(faults.fail_before)) {
      reply = absl::UnavailableError("reset");
    } else {
      const bool stale = scheduler_->Chance(faults.stale_list);
      const absl::Duration since = scheduler_->Now() - kStaleFor;
      std::map<std::string, uint64_t> names;
      for (const auto& [name, object] : objects_) {
        if (stale && object.changed > since) continue;
        names[name] = object.body->size();
      }
      for (const auto& [name, object] : deleted_) {
        if (stale && object.changed > since) names[name] = object.body->size();
      }
      for (auto it = names.upper_bound(std::max(after, prefix)); it != names.end(); ++it) {
        if (!absl::StartsWith(it->first, prefix)) break;
        if (reply->entries.size() == kListPage) {
          reply->more = true;
          break;
        }
        reply->entries.push_back({it->first, it->second});
      }
    }
    scheduler_->After(Latency(), [done, reply] { done(reply); });
  });
}

void SimStore::Delete(Lane, const std::string& name, DeleteDone done) {
  ++requests.others;
  scheduler_->After(Latency(), [=, this] {
    const auto apply = [=, this] {
      const auto it = objects_.find(name);
      if (it == objects_.end()) return;
      deleted_[name] = std::move(it->second);
      deleted_[name].changed = scheduler_->Now();
      objects_.erase(it);
    };
    absl::Status reply = Out();
    const auto late = delete_fault ? delete_fault(name) : std::nullopt;
    if (late.has_value()) {
      reply = absl::DeadlineExceededError("late");
      scheduler_->After(*late, apply);
    } else if (!reply.ok()) {
    } else if (scheduler_->Chance(faults.fail_before)) {
      reply = absl::UnavailableError("reset");
    } else if (scheduler_->Chance(faults.late)) {
      reply = absl::DeadlineExceededError("late");
      scheduler_->After(Late(), apply);
    } else {
      apply();
      if (scheduler_->Chance(faults.reply_lost)) reply = absl::DeadlineExceededError("lost");
    }
    scheduler_->After(Latency(), [done, reply] { done(reply); });
  });
}

std::string SimStore::Damage(const std::string& spare_suffix, bool lose) {
  std::vector<std::string> names;
  for (const auto& [name, object] : objects_) {
    if (!Spared(name, spare_suffix)) names.push_back(name);
  }
  if (names.empty()) return "";
  damaged_ = names[scheduler_->Below(names.size())];
  sound_ = objects_[damaged_];
  if (lose) {
    objects_.erase(damaged_);
  } else {
    std::string body = *sound_.body;
    body[scheduler_->Below(body.size())] ^= static_cast<char>(1 << scheduler_->Below(8));
    objects_[damaged_].body = std::make_shared<const std::string>(std::move(body));
  }
  return damaged_;
}

void SimStore::DamageAt(const std::string& name, size_t offset) {
  Object& object = objects_.at(name);
  std::string body = *object.body;
  body.at(offset) ^= 1;
  object.body = std::make_shared<const std::string>(std::move(body));
}

void SimStore::Repair() { objects_[damaged_] = sound_; }

bool SimStore::LoseObject(const std::string& spare_suffix) {
  std::vector<std::string> names;
  for (const auto& [name, object] : objects_) {
    if (!Spared(name, spare_suffix)) names.push_back(name);
  }
  if (names.empty()) return false;
  objects_.erase(names[scheduler_->Below(names.size())]);
  return true;
}

}  // namespace diskd::object
