// SPDX-License-Identifier: Apache-2.0
//
// Tells ThreadSanitizer what it can't see: a request that the kernel sends after it got an answer,
// maybe on another queue, is ordered after that answer. Nothing in other builds.
#ifndef DISKD_DRIVERS_SDK_TRANSPORT_KERNEL_ORDER_H_
#define DISKD_DRIVERS_SDK_TRANSPORT_KERNEL_ORDER_H_

#if defined(__SANITIZE_THREAD__)
#define DISKD_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define DISKD_THREAD_SANITIZER 1
#endif
#endif

#ifdef DISKD_THREAD_SANITIZER
#include <sanitizer/tsan_interface.h>
#endif

namespace diskd::sdk {

#ifdef DISKD_THREAD_SANITIZER
inline char kernel_order;
inline void BeforeAnswer() { __tsan_release(&kernel_order); }
inline void AfterRequest() { __tsan_acquire(&kernel_order); }
#else
inline void BeforeAnswer() {}
inline void AfterRequest() {}
#endif

}  // namespace diskd::sdk

#endif  // DISKD_DRIVERS_SDK_TRANSPORT_KERNEL_ORDER_H_
