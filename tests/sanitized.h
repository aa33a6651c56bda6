/* SANITIZED: 1 with the sanitizer of addresses or of threads, of gcc or clang; SANITIZED_THREADS: with that of threads. */
#ifndef TEST_SANITIZED_H
#define TEST_SANITIZED_H

#ifndef __has_feature /* clang's; gcc has macros */
#define __has_feature(name) 0
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define SANITIZED_THREADS 1
#else
#define SANITIZED_THREADS 0
#endif
#if SANITIZED_THREADS || defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

#endif
