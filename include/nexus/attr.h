/* Compiler attributes used throughout, for gcc and clang. */
#ifndef NEXUS_ATTR_H
#define NEXUS_ATTR_H

#define NX_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define NX_NODISCARD __attribute__((warn_unused_result))
#define NX_UNUSED __attribute__((unused))
#define NX_NONNULL(...) __attribute__((nonnull(__VA_ARGS__)))
#define NX_CLEANUP(fn) __attribute__((cleanup(fn)))
#define NX_LIKELY(x) __builtin_expect(!!(x), 1)
#define NX_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define NX_COUNTOF(a) (sizeof(a) / sizeof((a)[0]))
#define NX_NORETURN __attribute__((noreturn))

#endif
