// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/store/blocking.h"

#include <utility>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"

namespace diskd::object {
namespace {

// Starts a call with a `done` that keeps the result, and waits for it.
template <typename Result, typename Start>
Result Await(Start start) {
  std::optional<Result> result;
  absl::Notification arrived;
  start([&](Result value) {
    result = std::move(value);
    arrived.Notify();
  });
  arrived.WaitForNotification();
  return *std::move(result);
}

}  // namespace

absl::StatusOr<Etag> PutNow(Store& store, const std::string& name, std::string body,
                            PutCondition condition, Lane lane) {
  auto shared = std::make_shared<const std::string>(std::move(body));
  return Await<absl::StatusOr<Etag>>([&](Store::PutDone done) {
    store.Put(lane, name, std::move(shared), std::move(condition), std::move(done));
  });
}

absl::StatusOr<GetResult> GetNow(Store& store, const std::string& name,
                                 std::optional<ByteRange> range) {
  return Await<absl::StatusOr<GetResult>>(
      [&](Store::GetDone done) { store.Get(Lane::kRead, name, range, std::move(done)); });
}

absl::StatusOr<HeadResult> HeadNow(Store& store, const std::string& name) {
  return Await<absl::StatusOr<HeadResult>>(
      [&](Store::HeadDone done) { store.Head(Lane::kRead, name, std::move(done)); });
}

absl::StatusOr<ListResult> ListNow(Store& store, const std::string& prefix,
                                   const std::string& after) {
  return Await<absl::StatusOr<ListResult>>(
      [&](Store::ListDone done) { store.List(Lane::kRead, prefix, after, std::move(done)); });
}

absl::Status DeleteNow(Store& store, const std::string& name) {
  return Await<absl::Status>(
      [&](Store::DeleteDone done) { store.Delete(Lane::kCollect, name, std::move(done)); });
}

std::vector<absl::StatusOr<Etag>> PutAtOnce(Store& store, const std::string& name,
                                            const std::vector<std::string>& bodies,
                                            const PutCondition& condition) {
  std::vector<absl::StatusOr<Etag>> results(bodies.size());
  absl::BlockingCounter left(static_cast<int>(bodies.size()));
  for (size_t i = 0; i < bodies.size(); ++i) {
    store.Put(Lane::kRead, name, std::make_shared<const std::string>(bodies[i]), condition,
              [&results, &left, i](absl::StatusOr<Etag> etag) {
                results[i] = std::move(etag);
                left.DecrementCount();
              });
  }
  left.Wait();
  return results;
}

}  // namespace diskd::object
