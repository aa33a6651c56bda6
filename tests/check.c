/* The harness of every test. */
#include "check.h"

#include <errno.h>
#include <inttypes.h>

enum { MOST_PRINTED = 50, MOST_FAILED_ROUNDS = 5, MOST_TESTS = 128 };

static const char *program = "test", *only;
static const test *running;
static int failures;
static bool finished; /* the running test has returned without a failure */
static bool repeated; /* its failing rounds have printed how to repeat them */
static uint64_t first_seed = 1, n_rounds;
static size_t n_run;

int check_failures(void) { return failures; }
uint64_t check_seed(void) { return first_seed; }
bool check_wants(const char *name)
{
    size_t n = only ? strlen(only) : 0;
    return !only || (strncmp(name, only, n) == 0 && (name[n] == 0 || name[n] == '.'));
}

bool check_long(void) { return getenv("WG_TEST_LONG") != NULL; }

bool check_emulated(void) { return getenv("MESON_EXE_WRAPPER") != NULL; }

void check_failed(const char *format, ...)
{
    if (++failures > MOST_PRINTED) return;
    va_list arguments;
    va_start(arguments, format);
    printf("FAILED %s: ", running ? running->name : program);
    vprintf(format, arguments);
    putchar('\n');
    va_end(arguments);
}

bool check_at(bool ok, const char *what, int line)
{
    if (!ok) check_failed("line %d: %s", line, what);
    return ok;
}

enum { ROUND_COST = SANITIZED ? 4 : 1 }; /* the campaign runs many more */

bool check_is_turn(int i) { return i % ROUND_COST == 0; }

void check_rounds(uint64_t rounds, void (*round)(uint64_t seed))
{
    rounds = n_rounds ? n_rounds : (rounds + ROUND_COST - 1) / ROUND_COST;
    int failed = 0;
    for (uint64_t i = 0; i < rounds && failed < MOST_FAILED_ROUNDS; i++) {
        int before = failures;
        round(first_seed + i);
        if (failures == before) continue;
        failed++;
        repeated = true;
        printf("repeat: %s --test %s --seed %" PRIu64 " --rounds 1\n", program, running->name, first_seed + i);
    }
}

/* ---- one test, as cmocka calls it ---- */

static int set_up(void **state)
{
    running = *state;
    n_run++;
    failures = 0;
    finished = repeated = false;
    if (running->begin) running->begin();
    return 0;
}

static void call_test(void **state)
{
    running->run();
    if (failures > MOST_PRINTED) printf("%d failures, of which %d are printed\n", failures, MOST_PRINTED);
    if (failures) fail_msg("%d checks failed", failures);
    finished = true;
}

static int tear_down(void **state)
{
    if (!finished && !repeated)
        printf("repeat: %s --test %s --seed %" PRIu64 "\n", program, running->name, first_seed);
    if (running->end) running->end();
    return 0;
}

/* ---- all ---- */

static bool parse(int argc, char **argv)
{
    for (int i = 1; i < argc; i += 2) {
        char *end = "";
        errno = 0;
        if (i + 1 == argc) return false;
        if (strcmp(argv[i], "--test") == 0)
            cmocka_set_test_filter(argv[i + 1]);
        else if (strcmp(argv[i], "--only") == 0)
            only = argv[i + 1];
        else if (strcmp(argv[i], "--seed") == 0)
            first_seed = strtoull(argv[i + 1], &end, 10);
        else if (strcmp(argv[i], "--rounds") == 0)
            n_rounds = strtoull(argv[i + 1], &end, 10);
        else
            return false;
        if (*end || errno) return false;
    }
    return true;
}

int check_main(int argc, char **argv, const test *tests, size_t n)
{
    struct CMUnitTest all[MOST_TESTS];
    program = argv[0];
    if (!parse(argc, argv) || n > MOST_TESTS) {
        fprintf(stderr, "usage: %s [--test PATTERN] [--only ROW] [--seed SEED] [--rounds N]\n", program);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0); /* output before a crash is not lost */
    for (size_t i = 0; i < n; i++)
        all[i] = (struct CMUnitTest){tests[i].name, call_test, set_up, tear_down, (void *)(uintptr_t)&tests[i]};
    const char *slash = strrchr(program, '/');
    int failed = _cmocka_run_group_tests(slash ? slash + 1 : program, all, n, NULL, NULL);
    if (n_run == 0) fprintf(stderr, "%s: no such test\n", program);
    return n_run == 0 ? 2 : failed;
}
