/*
 * tap: the test harness. One program per module, each test in a child process,
 * results as TAP on stdout. A crash, a failed require() or a hang fails one test only.
 */
#pragma once

#include <stdio.h>
#include <string.h>

struct tap_test {
    const char *name;
    void (*fn)(void);
    int must_abort; /* the test passes when it ends in abort() */
    struct tap_test *next;
};

void tap_register(struct tap_test *t);
_Noreturn void tap_fail(const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Leave this test: it cannot be run here. `reason` is a sentence that says what is missing. It is
 * reported and counted as skipped, neither passed nor failed. */
_Noreturn void tap_skip(const char *reason);

#define TAP_TEST(id, aborts)                                         \
    static void test_##id(void);                                     \
    __attribute__((constructor)) static void tap_register_##id(void) \
    {                                                                \
        static struct tap_test t = {#id, test_##id, aborts, NULL};   \
        tap_register(&t);                                            \
    }                                                                \
    static void test_##id(void)

#define TEST(id)        TAP_TEST(id, 0)
#define TEST_ABORTS(id) TAP_TEST(id, 1)

#define CHECK(e) ((e) ? (void)0 : tap_fail(__FILE__, __LINE__, "%s", #e))
#define CHECK_EQ(want, got)                                                        \
    do {                                                                           \
        long long w_ = (long long)(want), g_ = (long long)(got);                   \
        if (w_ != g_)                                                              \
            tap_fail(__FILE__, __LINE__, "%s: want %lld, got %lld", #got, w_, g_); \
    } while (0)
#define CHECK_STR(want, got)                                                           \
    do {                                                                               \
        const char *w_ = (want), *g_ = (got);                                          \
        if (strcmp(w_, g_) != 0)                                                       \
            tap_fail(__FILE__, __LINE__, "%s: want \"%s\", got \"%s\"", #got, w_, g_); \
    } while (0)
