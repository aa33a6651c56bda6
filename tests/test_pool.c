/* Pools: how many windows there are by each rule, what they read, which padding counts. */
#include "numbers.h"

/* The values of the case, from PyTorch 2.13; ceil, and the same windows by padding. */
static void case_pool_ceil_overhang(void)
{
    for (int i = 0; i < 4; i++) {
        wg_tensor x = numbers(floats[i % 2], WG_DIMS(1, 1, 6), (double[]){1, 2, 3, 4, 5, 6});
        wg_pool_options o = wg_pool_square(3);
        o.stride[0] = 2;
        o.before[0] = 1, o.after[0] = i < 2 ? 1 : 2;
        o.ceil = i < 2;
        EXPECT("max", wg_max_pool1d(x, o), 2, 4, 6, 6);
        EXPECT("avg", wg_avg_pool1d(x, o), 1, 3, 5, i < 2 ? 3 : 2);
        o.count_padding = false;
        EXPECT("avg without padding", wg_avg_pool1d(x, o), 1.5, 3, 5, 6);
    }
}

/* ---- against plain loops ---- */

enum { AXES = 3, LIMIT = 20000 };

typedef struct frame {
    int64_t size[AXES], count[AXES], reach[AXES]; /* of x, of windows; from the first tap to the last */
    int64_t before[AXES], after[AXES];
    wg_pool_options o;
    int axes;
} frame;

static int64_t pick(int64_t n) { return (int64_t)draw((uint32_t)n); }

/* The rules as the documents of PyTorch and ONNX say them. */
static void count_windows(frame *f, int i)
{
    const int64_t n = f->size[i], stride = f->o.stride[i];
    f->reach[i] = (f->o.kernel[i] - 1) * f->o.dilation[i] + 1;
    f->before[i] = f->o.before[i], f->after[i] = f->o.after[i];
    const int64_t rest = n + f->before[i] + f->after[i] - f->reach[i];
    if (f->o.floor) {
        f->count[i] = (int64_t)floor((double)rest / (double)stride) + 1;
    } else if (f->o.ceil) {
        f->count[i] = (int64_t)ceil((double)rest / (double)stride) + 1;
        if ((f->count[i] - 1) * stride >= n + f->before[i]) f->count[i]--;
    } else {
        f->count[i] = (int64_t)ceil((double)n / (double)stride);
        const int64_t pad = (f->count[i] - 1) * stride + f->reach[i] - n, total = pad > 0 ? pad : 0;
        f->before[i] = f->o.same ? total / 2 : (total + 1) / 2;
        f->after[i] = total - f->before[i];
    }
}

/* A random pool; false if a window does not fit. */
static bool random_frame(frame *f)
{
    static const int64_t widths[] = {1, 2, 3, 5, 8, 13, 40, 70, 150};
    memset(f, 0, sizeof *f);
    f->axes = 1 + (int)pick(AXES);
    const int rule = (int)pick(4);
    f->o.floor = rule == 0, f->o.ceil = rule == 1, f->o.same = rule == 2, f->o.same_lower = rule == 3;
    f->o.count_padding = pick(2);
    for (int i = 0; i < f->axes; i++) {
        f->o.kernel[i] = 1 + pick(5);
        f->o.stride[i] = 1 + pick(4);
        f->o.dilation[i] = pick(3) ? 1 : 1 + pick(3);
        f->size[i] = i == f->axes - 1 ? widths[pick(9)] : 1 + pick(9);
        const int64_t most = (f->o.kernel[i] - 1) * f->o.dilation[i] + 1;
        if (rule < 2 && pick(3)) f->o.before[i] = pick(most), f->o.after[i] = pick(most);
        count_windows(f, i);
        if (f->count[i] < 1) return false;
    }
    return true;
}

static int64_t product(const int64_t *n, int axes)
{
    int64_t all = 1;
    for (int i = 0; i < axes; i++) all *= n[i];
    return all;
}

/* The place that a tap sees: in x, -1 in the padding, -2 behind it. */
static int64_t place_of(const frame *f, int64_t window, int64_t tap)
{
    int64_t place = 0, inner = 1;
    bool padding = false, behind = false;
    for (int i = f->axes - 1; i >= 0; i--) {
        const int64_t at = window % f->count[i] * f->o.stride[i] + tap % f->o.kernel[i] * f->o.dilation[i];
        behind |= at >= f->before[i] + f->size[i] + f->after[i];
        padding |= at < f->before[i] || at >= f->before[i] + f->size[i];
        place += (at - f->before[i]) * inner;
        inner *= f->size[i];
        window /= f->count[i], tap /= f->o.kernel[i];
    }
    return behind ? -2 : padding ? -1 : place;
}

/* Few different numbers, so that many are equal; some are special. */
static void fill(double *x, int64_t n, int special)
{
    for (int64_t i = 0; i < n; i++) {
        x[i] = (double)pick(5);
        if (special == 1 && pick(3)) x[i] = -INFINITY;
        if (special == 2) x[i] = -INFINITY;
        if (special == 3 && pick(4) == 0) x[i] = NAN;
        if (special == 4 && pick(6) == 0) x[i] = pick(2) ? INFINITY : -INFINITY;
    }
}

static wg_tensor pool(const frame *f, bool max, wg_tensor x)
{
    static wg_tensor (*const forms[2][3])(wg_tensor, wg_pool_options) = {
        {wg_avg_pool1d, wg_avg_pool2d, wg_avg_pool3d}, {wg_max_pool1d, wg_max_pool2d, wg_max_pool3d}};
    return forms[max][f->axes - 1](x, f->o);
}

static double max_x[LIMIT], max_y[LIMIT], max_dx[LIMIT], avg_y[LIMIT], avg_dx[LIMIT];

/* Values, and the gradients of the sum of window w's result times w + 1. */
static void pool_by_loops(const frame *f, int64_t channels)
{
    const int64_t places = product(f->size, f->axes), windows = product(f->count, f->axes);
    const int64_t taps = product(f->o.kernel, f->axes);
    memset(max_dx, 0, sizeof max_dx);
    memset(avg_dx, 0, sizeof avg_dx);
    for (int64_t w = 0; w < channels * windows; w++) {
        const double *x = max_x + w / windows * places;
        int64_t best = -1, seen = 0, counted = 0;
        double sum = 0;
        for (int64_t t = 0; t < taps; t++) {
            const int64_t at = place_of(f, w % windows, t);
            seen += at >= 0;
            counted += at >= -1;
            if (at < 0) continue;
            if (best < 0 || x[at] > x[best] || (isnan(x[at]) && !isnan(x[best]))) best = at;
            sum += x[at];
        }
        const double divisor = (double)(f->o.count_padding ? counted : seen);
        max_y[w] = best < 0 ? -INFINITY : x[best];
        avg_y[w] = sum / divisor;
        if (best >= 0) max_dx[w / windows * places + best] += (double)(w + 1);
        for (int64_t t = 0; t < taps; t++) {
            const int64_t at = place_of(f, w % windows, t);
            if (at >= 0) avg_dx[w / windows * places + at] += (double)(w + 1) / divisor;
        }
    }
}

/* Whether dilation may let a window miss x. */
static bool jumps(const frame *f)
{
    for (int i = 0; i < f->axes; i++)
        if (f->o.dilation[i] > f->size[i]) return true;
    return false;
}

static wg_tensor weights(wg_tensor y) { return wg_arange(tape, wg_dtype_get(y), 1, 1, wg_numel(y)); }

static wg_tensor derive(wg_tensor y, wg_tensor x) { return wg_grad1(wg_flatten(y, 0, -1), x, weights(y)); }

static void pools_against_loops(void)
{
    enum { CHANNELS = 3 };
    int tested = 0;
    for (int i = 0; i < 3000; i++) {
        frame f;
        const int special = (int)pick(8);
        if (!random_frame(&f)) continue;
        const int64_t places = product(f.size, f.axes), windows = product(f.count, f.axes);
        if (CHANNELS * places > LIMIT || CHANNELS * windows > LIMIT) continue;
        fill(max_x, CHANNELS * places, special);
        pool_by_loops(&f, CHANNELS);
        wg_shape shape = WG_DIMS(1, CHANNELS);
        for (int a = 0; a < f.axes; a++) shape.size[shape.rank++] = f.size[a];
        wg_tensor x = numbers(floats[i % 2], shape, max_x), max = pool(&f, true, x), avg = pool(&f, false, x);
        char text[160];
        snprintf(text, sizeof text, "pool %d: special %d, %d axes, %s", i, special, f.axes,
                 f.o.floor  ? "floor"
                 : f.o.ceil ? "ceil"
                 : f.o.same ? "same"
                            : "same_lower");
        expect(text, max, 0, (int)(CHANNELS * windows), max_y);
        if (!jumps(&f)) { /* else the padding, which is written out, may be the first of maxima that are -inf */
            expect(text, derive(max, x), 1e-6, (int)(CHANNELS * places), max_dx);
            expect(text, avg, 1e-6, (int)(CHANNELS * windows), avg_y);
            expect(text, derive(avg, x), 1e-5, (int)(CHANNELS * places), avg_dx);
        }
        tested++;
        assert_int_equal(wg_tape_reset(tape), WG_OK);
    }
    assert_true(tested > 1500);
}

/* A padded maximum has no infinities inside, and the gradient of a window of minus infinities goes to its first one. */
static void nothing_is_lost_in_the_padding(void)
{
    wg_tape_options options = wg_tape_defaults();
    options.locate_nonfinite = true;
    wg_tape *strict = wg_tape_new(options);
    wg_pool_options o = wg_pool_square(3);
    o.before[0] = o.after[0] = 1, o.floor = true;
    CHECK(wg_item(wg_sum_all(wg_max_pool1d(wg_ones(strict, WG_F32, WG_DIMS(1, 1, 6)), o))) == 2);
    wg_tape_free(strict);
    wg_tensor x = numbers(WG_F64, WG_DIMS(1, 1, 4), (double[]){-inf, -inf, -inf, -inf});
    EXPECT("gradient", derive(wg_max_pool1d(x, o), x), 1, 0, 2, 0);
}

static void rules_that_cannot_be(void)
{
    static const struct {
        bool floor, ceil, same, same_lower;
        int64_t before;
        const char *text;
    } rows[] = {{1, 1, 0, 0, 0, "exclude"},
                {0, 0, 1, 1, 0, "exclude"},
                {0, 0, 1, 0, 1, "same sets the padding"},
                {0, 1, 0, 0, 3, "less than the window"},
                {0, 1, 0, 0, -1, "0 or more"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wg_pool_options o = wg_pool_square(3);
        o.floor = rows[i].floor, o.ceil = rows[i].ceil, o.same = rows[i].same, o.same_lower = rows[i].same_lower;
        o.before[0] = rows[i].before;
        CHECK(wg_is_nil(wg_avg_pool1d(wg_ones(tape, WG_F32, WG_DIMS(1, 1, 6)), o)));
        CHECK(strstr(wg_tape_message(tape), rows[i].text) != NULL);
        CHECK(wg_tape_reset(tape) == WG_ERR_ARGUMENT);
    }
    wg_pool_options o = wg_pool_square(9); /* more than a stride longer than x */
    o.ceil = true, o.stride[0] = 2;
    CHECK(wg_is_nil(wg_max_pool1d(wg_ones(tape, WG_F32, WG_DIMS(1, 1, 6)), o)));
    CHECK(wg_tape_reset(tape) == WG_ERR_SHAPE);
}

int main(int argc, char **argv)
{
    static const test tests[] = {
        ON_TAPE(case_pool_ceil_overhang),
        ON_TAPE(pools_against_loops),
        ON_TAPE(nothing_is_lost_in_the_padding),
        ON_TAPE(rules_that_cannot_be),
    };
    return RUN_TESTS(tests);
}
