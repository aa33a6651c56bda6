/* Offsets of values in one block: intervals that are live at the same time do not share bytes, and the block is little
 * larger than the most bytes that are live at once. */
#include "autograd/plan/fit.h"
#include "autograd/base/random.h"
#include "check.h"

enum { FEW = 300, MANY = 3000, STAGES = 400 }; /* FEW are fitted by size, MANY by time */

static int64_t live_bytes(const wg__interval *intervals, uint32_t n, uint32_t stage)
{
    int64_t bytes = 0;
    for (uint32_t i = 0; i < n; i++)
        if (intervals[i].first <= stage && stage <= intervals[i].last) bytes += intervals[i].bytes;
    return bytes;
}

static void check_overlaps(const wg__interval *intervals, uint32_t n, int64_t block)
{
    for (uint32_t i = 0; i < n; i++) {
        const wg__interval *a = &intervals[i];
        CHECK(*a->offset >= 0 && *a->offset % 64 == 0 && *a->offset + a->bytes <= block);
        for (uint32_t k = 0; k < i; k++) {
            const wg__interval *b = &intervals[k];
            if (a->last < b->first || b->last < a->first) continue;
            if (*a->offset < *b->offset + b->bytes && *b->offset < *a->offset + a->bytes)
                FAIL("%u and %u overlap", i, k);
        }
    }
}

/* Sizes up to 5000 bytes; most lifetimes are short. */
static void fit_random(uint64_t seed, uint32_t n, double slack)
{
    static wg__interval intervals[MANY];
    static int64_t offsets[MANY];
    wg__heap heap = {0};
    wg__arena arena = {.heap = &heap};
    int64_t peak = 0, sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t bits[4];
        wg__random4(seed, n, 0, i, bits);
        const uint32_t first = 1 + bits[0] % STAGES, last = first + bits[1] % (i % 8 ? 9 : 80);
        intervals[i] = (wg__interval){.first = first,
                                      .last = last < STAGES ? last : STAGES,
                                      .bytes = 1 + bits[2] % 5000,
                                      .offset = &offsets[i]};
    }
    const int64_t block = wg__fit(&heap, &arena, intervals, n, true);
    for (uint32_t stage = 1; stage <= STAGES; stage++) {
        const int64_t bytes = live_bytes(intervals, n, stage);
        if (bytes > peak) peak = bytes;
    }
    check_overlaps(intervals, n, block);
    CHECK(block >= peak && (double)block <= slack * (double)peak);
    const int64_t apart = wg__fit(&heap, &arena, intervals, n, false);
    for (uint32_t i = 0; i < n; i++) sum += intervals[i].bytes;
    CHECK(apart == sum);
    check_overlaps(intervals, n, apart);
    if (check_long()) printf("%u intervals: block %.3f of the peak\n", n, (double)block / (double)peak);
    wg__arena_release(&arena);
}

static void few(uint64_t seed) { fit_random(seed, FEW, 1.2); }
static void many(uint64_t seed) { fit_random(seed, MANY, 1.2); }
static void few_are_fitted_by_size(void) { check_rounds(20, few); }
static void many_are_fitted_by_time(void) { check_rounds(3, many); }

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(few_are_fitted_by_size), TEST_CASE(many_are_fitted_by_time)};
    return RUN_TESTS(tests);
}
