/* The harness of every test, on cmocka.
 *
 * A test is a function without arguments. CHECK and FAIL count a failure and go on; cmocka's assert_* end the test. A
 * test that failed prints the command that repeats it. Every test program takes the same options:
 *
 *     PROGRAM [--test PATTERN] [--only ROW] [--seed SEED] [--rounds N]
 *
 * PATTERN is the name of a test, where * stands for any text. ROW restricts tests that go through a table to a row.
 * Tests with random input run N rounds, from SEED on. */
#ifndef WG_TEST_CHECK_H
#define WG_TEST_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sanitized.h"

typedef struct test {
    const char *name;
    void (*run)(void);
    void (*begin)(void), (*end)(void); /* NULL, or around the test; end runs after a failure, too */
} test;

/* clang-format off */
#define TEST_CASE(name) {#name, name, NULL, NULL}
#define TEST_CASE_WITH(name, begin, end) {#name, name, begin, end}
/* clang-format on */

/* Runs a group of tests; the exit code of the program. */
int check_main(int argc, char **argv, const test *tests, size_t n);
#define RUN_TESTS(tests) check_main(argc, argv, tests, sizeof(tests) / sizeof *(tests))

/* Counts a failure of the running test. Prints it, unless the test has had fifty. */
void check_failed(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define FAIL(...) check_failed(__VA_ARGS__)

/* Counts a failure if ok is false; returns ok. */
bool check_at(bool ok, const char *what, int line);
#define CHECK(condition) check_at((condition), #condition, __LINE__)

/* The failures of the running test so far. */
int check_failures(void);

/* Whether --only admits the row `name`: "add" admits the rows "add" and "add.3". */
bool check_wants(const char *name);

/* --seed, or 1. */
uint64_t check_seed(void);

/* Runs round(seed), round(seed + 1), ...: --rounds of them, or as many as `rounds` says, a quarter with a sanitizer.
 * Stops after five rounds that failed. Each prints the command that repeats it alone. */
void check_rounds(uint64_t rounds, void (*round)(uint64_t seed));

/* Whether the i-th of many is tried: all are, or every fourth with a sanitizer. */
bool check_is_turn(int i);

/* WG_TEST_LONG is set: there is time for more rounds and longer figures. */
bool check_long(void);

/* In a cross build: qemu-user, where a child of a process with threads can start none. */
bool check_emulated(void);

#endif
