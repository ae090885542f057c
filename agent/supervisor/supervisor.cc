// SPDX-License-Identifier: Apache-2.0
#include "agent/supervisor/supervisor.h"

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "agent/supervisor/driver_calls.h"
#include "base/log.h"

namespace diskd::agent {

Supervisor::Supervisor(std::string name, std::unique_ptr<DriverProcess> process,
                       SupervisedService service, const SupervisorLimits& limits)
    : name_(std::move(name)),
      service_(std::move(service)),
      limits_(limits),
      backoff_(limits.restart),
      process_(std::move(process)) {
  Begin();
}

void Supervisor::Begin() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = false;
    busy_ = process_.get();
    health_.pid = process_ == nullptr ? 0 : process_->pid();
    health_.message = process_ == nullptr ? "no driver process runs" : "";
    health_.failure.clear();
    health_.trouble.clear();
  }
  if (process_ != nullptr) backoff_.Served(absl::Now());
  thread_ = std::thread([this] { Run(); });
}

void Supervisor::Resume(std::unique_ptr<DriverProcess> process, bool replaced) {
  process_ = std::move(process);
  if (replaced && process_ != nullptr) {
    absl::MutexLock lock(&mutex_);
    ++health_.restarts;
  }
  if (process_ == nullptr && GiveUp("its driver process was lost in a hand-over")) return;
  Begin();
}

Supervisor::~Supervisor() { Stop(); }

SupervisorHealth Supervisor::health() const {
  absl::MutexLock lock(&mutex_);
  return health_;
}

std::unique_ptr<DriverProcess> Supervisor::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    if (busy_ != nullptr) busy_->Interrupt();
  }
  if (thread_.joinable()) thread_.join();
  AwaitUsers();
  {
    absl::MutexLock lock(&mutex_);
    busy_ = nullptr;
  }
  if (process_ != nullptr) process_->Resume();
  return std::move(process_);
}

absl::Status Supervisor::Use(const std::function<absl::Status(DriverProcess&)>& body) {
  DriverProcess* process = nullptr;
  {
    absl::MutexLock lock(&mutex_);
    if (stopping_ || busy_ == nullptr || health_.pid == 0) {
      return absl::UnavailableError(
          absl::StrCat(name_, " has no driver process now (", health_.message, "): try again"));
    }
    process = busy_;
    ++users_;
  }
  const absl::Status status = body(*process);
  absl::MutexLock lock(&mutex_);
  --users_;
  return status;
}

void Supervisor::AwaitUsers() {
  absl::MutexLock lock(&mutex_);
  const auto none = [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return users_ == 0; };
  mutex_.Await(absl::Condition(&none));
}

bool Supervisor::Stopping() const {
  absl::MutexLock lock(&mutex_);
  return stopping_;
}

bool Supervisor::SetBusy(DriverProcess* process) {
  absl::MutexLock lock(&mutex_);
  busy_ = stopping_ ? nullptr : process;
  return !stopping_;
}

bool Supervisor::Pause(absl::Duration delay) {
  absl::MutexLock lock(&mutex_);
  mutex_.AwaitWithTimeout(absl::Condition(&stopping_), delay);
  return !stopping_;
}

void Supervisor::Run() {
  while (!Stopping()) {
    Watch();
    absl::MutexLock lock(&mutex_);
    if (health_.gave_up) return;
  }
}

void Supervisor::Watch() {
  if (process_ == nullptr) {
    TryStart();
    return;
  }
  std::string reason;
  if (process_->WaitExit(limits_.ping_interval)) {
    reason = absl::StrCat("driver process ", process_->pid(), " ended: ", process_->ExitText());
  } else {
    if (Stopping()) return;
    std::string failure, trouble;
    const absl::Status status = Ping(*process_, limits_.ping_limit, &failure, &trouble);
    if (status.ok()) {
      SetFailure(failure);
      SetTrouble(trouble);
      return;
    }
    if (absl::IsCancelled(status) || Stopping()) return;
    reason = std::string(status.message());
  }
  Replace(reason);
}

void Supervisor::SetFailure(const std::string& failure) {
  absl::MutexLock lock(&mutex_);
  if (health_.failure == failure) return;
  health_.failure = failure;
  if (!failure.empty()) SPDLOG_ERROR("{}: every request fails: {}", name_, failure);
}

void Supervisor::Report(const std::string& reason, absl::Duration delay) {
  absl::MutexLock lock(&mutex_);
  health_.pid = 0;
  health_.failure.clear();
  health_.trouble.clear();
  health_.message = backoff_.crash_loop()
                        ? absl::StrCat("crash loop, ", backoff_.deaths(), " deaths; last: ", reason,
                                       "; next start in ", absl::FormatDuration(delay))
                        : reason;
  SPDLOG_WARN("{}: {}", name_, health_.message);
}

void Supervisor::SetTrouble(const std::string& trouble) {
  absl::MutexLock lock(&mutex_);
  if (health_.trouble.empty() && !trouble.empty()) SPDLOG_WARN("{}: {}", name_, trouble);
  if (!health_.trouble.empty() && trouble.empty()) SPDLOG_INFO("{}: its store is back", name_);
  health_.trouble = trouble;
}

void Supervisor::Replace(const std::string& reason) {
  // The successor must not meet its predecessor on the same descriptors.
  if (process_ != nullptr && !process_->Kill()) {
    Report(absl::StrCat("driver process ", process_->pid(), " hangs in the kernel"),
           limits_.restart.longest_delay);
    Pause(limits_.restart.longest_delay);
    return;
  }
  const absl::Duration delay = backoff_.Ended(absl::Now());
  Report(reason, delay);
  SetBusy(nullptr);
  AwaitUsers();
  process_.reset();
  if (!GiveUp(reason)) Pause(delay);
}

bool Supervisor::GiveUp(const std::string& reason) {
  if (service_.restart && (!service_.lost || !service_.lost())) return false;
  {
    absl::MutexLock lock(&mutex_);
    health_.pid = 0;
    health_.gave_up = true;
  }
  service_.give_up(reason);
  return true;
}

void Supervisor::TryStart() {
  if (GiveUp(health().message)) return;
  auto launched = service_.launch();
  absl::Status status = launched.status();
  if (launched.ok()) {
    DriverProcess& fresh = **launched;
    if (SetBusy(&fresh)) {
      status = service_.serve(fresh);
    } else {
      status = absl::CancelledError("stopped");
    }
    if (status.ok()) {
      process_ = *std::move(launched);
      backoff_.Served(absl::Now());
      absl::MutexLock lock(&mutex_);
      health_.pid = process_->pid();
      ++health_.restarts;
      health_.message = backoff_.crash_loop()
                            ? absl::StrCat("the driver process died ", backoff_.deaths(),
                                           " times in a row; its log says why")
                            : "";
      SPDLOG_INFO("{}: driver process {} serves", name_, health_.pid);
      return;
    }
    SetBusy(nullptr);
    if (!fresh.Kill()) SPDLOG_ERROR("{}: process {} can't be killed", name_, fresh.pid());
  }
  if (Stopping()) return;
  const absl::Duration delay = backoff_.Ended(absl::Now());
  Report(absl::StrCat("no new driver process: ", status.message()), delay);
  Pause(delay);
}

}  // namespace diskd::agent
