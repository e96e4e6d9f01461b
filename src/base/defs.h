/*
 * defs: what every file may assume.
 *
 * `require` states the caller's duty, `ensure` our promise. Both stay on in release builds: a
 * stopped node is repaired by its peers, a wrong one spreads. Neither is for input: what users,
 * peers and files say is refused with a status.
 */
#pragma once

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_USE               __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define UNUSED                 __attribute__((unused))

/* Call for its effect alone; beside it stands why its result does not matter. */
#define IGNORE(e)                     \
    do {                              \
        __typeof__(e) ignored_ = (e); \
        (void)ignored_;               \
    } while (0)

/* Run fn(&variable) when the variable leaves its scope. */
#define AUTO(fn) __attribute__((cleanup(fn)))

#define ARRAY_COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)      ((a) < (b) ? (a) : (b))
#define MAX(a, b)      ((a) > (b) ? (a) : (b))

/* The struct that holds `member` at `ptr`. */
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

_Noreturn void defs_abort(const char *kind, const char *what, const char *file, int line);

#define require(e)             ((e) ? (void)0 : defs_abort("require", #e, __FILE__, __LINE__))
#define ensure(e)              ((e) ? (void)0 : defs_abort("ensure", #e, __FILE__, __LINE__))
#define defs_unreachable(what) defs_abort("unreachable", what, __FILE__, __LINE__)

/*
 * Memory that cannot be had ends the process: a replica that alone skips a command has diverged.
 * What a user or peer can make large meets a named limit before it comes here.
 * The caller owns the result and frees it with free(3).
 */
MUST_USE void *mem_new(size_t size); /* zeroed; size > 0 */
MUST_USE void *mem_dup(const void *data, size_t size);
MUST_USE void *mem_grow(void *old, size_t count, size_t each); /* as reallocarray(3) */
MUST_USE char *mem_strdup(const char *text);

#define NEW(type)              ((type *)mem_new(sizeof(type)))
#define NEW_ARRAY(type, count) ((type *)mem_grow(NULL, (count), sizeof(type)))

/* For AUTO(): free what a pointer variable points to. */
static inline void auto_free(void *variable)
{
    extern void free(void *);
    free(*(void **)variable);
}
