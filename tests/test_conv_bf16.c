/* Direct convolutions in bf16 and their gradients, bit for bit: each instruction set against scalar code, on random
 * geometries, on random numbers and special ones; tasks in any order, each from a scratch full of NaN. */
#include "bf16_sums.h"

#include "ops/kernels/conv/direct_bf16.h"

extern const wg__conv_kernels WG__EVERY_ISA(WG__VARIANT, conv_kernels, bf16);

enum { AXES = WG__CONV_AXES, MOST_TERMS = 1 << 14, MOST_WORK = 4000000 };

/* ---- random geometries ---- */

/* y = x * w; always three axes here, the first ones of size 1. */
typedef struct trial_conv {
    int axes;
    int64_t images, groups, in, out; /* channels of a group */
    int64_t x[AXES], w[AXES], y[AXES];
    int64_t stride[AXES], dilation[AXES], before[AXES];
    wg__conv_attr attr;
    guarded memory[3]; /* x, w, y */
    wg_operand operand[3];
} trial_conv;

enum { X, W, Y };

static int64_t volume(const int64_t *size) { return size[0] * size[1] * size[2]; }

/* A size that is often 1, rarely large. */
static int64_t small_size(int64_t most) { return below(3) ? 1 + below(most) : 1; }

static int64_t random_channels(void)
{
    static const int64_t sizes[] = {1, 2, 3, 15, 16, 17, 31, 32, 33, 64, 65};
    return below(2) ? sizes[below((int64_t)(sizeof sizes / sizeof *sizes))] : 1 + below(70);
}

static void choose_axis(trial_conv *t, int i)
{
    const int64_t most = t->axes == 1 ? 90 : t->axes == 2 ? 20 : 6;
    do {
        t->w[i] = small_size(4), t->stride[i] = small_size(3), t->dilation[i] = small_size(3);
        t->y[i] = below(20) ? 1 + below(most) : 0;
        t->before[i] = below(3);
        const int64_t after = below(3), padded = (t->w[i] - 1) * t->dilation[i] + 1 + (t->y[i] - 1) * t->stride[i];
        t->attr.before[i - AXES + t->axes] = t->before[i], t->attr.after[i - AXES + t->axes] = after;
        t->x[i] = padded + below(t->stride[i]) - t->before[i] - after;
        if (t->y[i] == 0) t->x[i] = below((t->w[i] - 1) * t->dilation[i] + 1) - t->before[i] - after;
    } while (t->x[i] < 0);
    t->attr.stride[i - AXES + t->axes] = t->stride[i];
    t->attr.dilation[i - AXES + t->axes] = t->dilation[i];
}

static double work_of(const trial_conv *t)
{
    return (double)(t->images * t->groups * t->in * t->out) *
           (double)(volume(t->w) * (volume(t->y) + volume(t->x)));
}

static void choose(trial_conv *t)
{
    do {
        *t = (trial_conv){.axes = 1 + (int)below(AXES),
                          .images = below(20) ? 1 + below(5) : 0,
                          .groups = below(3) ? 1 : 1 + below(3),
                          .in = random_channels(),
                          .out = random_channels()};
        for (int i = 0; i < AXES; i++) {
            t->x[i] = t->w[i] = t->y[i] = t->stride[i] = t->dilation[i] = 1;
            if (i >= AXES - t->axes) choose_axis(t, i);
        }
        t->attr.groups = t->groups;
    } while (work_of(t) > MOST_WORK || t->images * (volume(t->y) + 32) > MOST_TERMS ||
             (t->out + 31) * volume(t->w) > MOST_TERMS);
}

static float number_of(bool special) { return special && below(30) == 0 ? special_number() : (float)real_value(); }

static void make_operand(trial_conv *t, int which, int64_t first, int64_t second, const int64_t *size, bool special)
{
    wg_operand *o = &t->operand[which];
    *o = (wg_operand){.size = {first, second}, .rank = 2 + t->axes, .dtype = WG_F32};
    o->numel = first * second * volume(size);
    memcpy(o->size + 2, size + AXES - t->axes, (size_t)t->axes * sizeof *size);
    t->memory[which] = guarded_new((size_t)o->numel * sizeof(float));
    memset(t->memory[which].data, 0xff, t->memory[which].bytes);
    o->data = t->memory[which].data;
    for (int64_t i = 0; i < o->numel; i++) ((float *)o->data)[i] = number_of(special);
}

static void trial_conv_new(trial_conv *t, bool special)
{
    choose(t);
    make_operand(t, X, t->images, t->groups * t->in, t->x, special);
    make_operand(t, W, t->groups * t->out, t->in, t->w, special);
    make_operand(t, Y, t->images, t->groups * t->out, t->y, special);
}

/* ---- scalar code ---- */

typedef struct sum {
    int64_t n;
    float x[MOST_TERMS], y[MOST_TERMS];
} sum;

static sum terms;

static void add_term(float x, float y)
{
    terms.x[terms.n] = rounded(x), terms.y[terms.n] = rounded(y);
    terms.n++;
}

/* Whole pairs, or whole groups of AMX, by zeros. */
static void fill_up(bool amx)
{
    const int64_t whole = amx ? 2 * LANE_PAIRS : 2;
    while (terms.n % whole) add_term(0, 0);
}

static void split(int64_t n, const int64_t *size, int64_t *index)
{
    for (int i = AXES - 1; i >= 0; n /= size[i], i--) index[i] = n % size[i];
}

/* An element of a channel; 0 outside of it. */
static float element(const float *channel, const int64_t *size, const int64_t *at)
{
    int64_t place = 0;
    for (int i = 0; i < AXES; i++) {
        if (at[i] < 0 || at[i] >= size[i]) return 0;
        place = place * size[i] + at[i];
    }
    return channel[place];
}

static const float *channel_of(const trial_conv *t, int which, int64_t first, int64_t second, const int64_t *size)
{
    return (const float *)t->operand[which].data + (first * t->operand[which].size[1] + second) * volume(size);
}

/* The element of x that output p meets at tap k. */
static float met(const trial_conv *t, const float *channel, const int64_t *p, const int64_t *k)
{
    int64_t at[AXES];
    for (int i = 0; i < AXES; i++) at[i] = p[i] * t->stride[i] + k[i] * t->dilation[i] - t->before[i];
    return element(channel, t->x, at);
}

/* y[n, o, p]: over taps, and for each over channels; by AMX all taps of a row are one group, if they fit. */
static float scalar_conv(const trial_conv *t, bool amx, int64_t n, int64_t o, const int64_t *p)
{
    const bool folded = amx && t->stride[2] == 1 && t->dilation[2] == 1 && t->in * t->w[2] <= 2 * LANE_PAIRS;
    terms.n = 0;
    for (int64_t tap = 0, k[AXES]; tap < volume(t->w); tap++) {
        split(tap, t->w, k);
        for (int64_t c = 0; c < t->in; c++)
            add_term(met(t, channel_of(t, X, n, o / t->out * t->in + c, t->x), p, k),
                     channel_of(t, W, o, c, t->w)[tap]);
        if (!folded || (tap + 1) % t->w[2] == 0) fill_up(amx);
    }
    return sum_of(amx, terms.n, terms.x, terms.y);
}

/* dx[n, c, q]: over the taps that the element's residue has, those outside of dy included, and for each over
 * channels. */
static float scalar_conv_input(const trial_conv *t, bool amx, int64_t n, int64_t c, const int64_t *q)
{
    terms.n = 0;
    for (int64_t tap = 0, k[AXES]; tap < volume(t->w); tap++) {
        int64_t at[AXES];
        bool meets = true;
        split(tap, t->w, k);
        for (int i = 0; i < AXES; i++) {
            const int64_t from = q[i] + t->before[i] - k[i] * t->dilation[i];
            meets &= from % t->stride[i] == 0;
            at[i] = from < 0 ? -1 : from / t->stride[i];
        }
        const int64_t group = c / t->in;
        for (int64_t o = group * t->out; meets && o < (group + 1) * t->out; o++)
            add_term(element(channel_of(t, Y, n, o, t->y), t->y, at), channel_of(t, W, o, c % t->in, t->w)[tap]);
        fill_up(amx);
    }
    return sum_of(amx, terms.n, terms.x, terms.y);
}

/* dw[o, c, k]: over images, and for each over outputs. */
static float scalar_conv_weight(const trial_conv *t, bool amx, int64_t o, int64_t c, const int64_t *k)
{
    terms.n = 0;
    for (int64_t n = 0; n < t->images; n++, fill_up(amx))
        for (int64_t i = 0, p[AXES]; i < volume(t->y); i++) {
            split(i, t->y, p);
            add_term(met(t, channel_of(t, X, n, o / t->out * t->in + c, t->x), p, k),
                     channel_of(t, Y, n, o, t->y)[i]);
        }
    return sum_of(amx, terms.n, terms.x, terms.y);
}

/* The three ops: operands, result, scalar code. */
typedef struct op_of {
    const char *name;
    int in[2], out;
    float (*scalar)(const trial_conv *t, bool amx, int64_t first, int64_t second, const int64_t *index);
} op_of;

static const op_of ops[] = {{"conv", {X, W}, Y, scalar_conv},
                            {"conv_input", {Y, W}, X, scalar_conv_input},
                            {"conv_weight", {Y, X}, W, scalar_conv_weight}};

static void scalar(const trial_conv *t, const op_of *op, bool amx, float *to)
{
    const int64_t *size = op->out == X ? t->x : op->out == W ? t->w : t->y, *full = t->operand[op->out].size;
    const wg__fp caller = wg__fp_begin();
    for (int64_t first = 0; first < full[0]; first++)
        for (int64_t second = 0; second < full[1]; second++)
            for (int64_t i = 0, index[AXES]; i < volume(size); i++) {
                split(i, size, index);
                *to++ = op->scalar(t, amx, first, second, index);
            }
    wg__fp_end(&caller);
}

/* ---- trials ---- */

static int64_t tasks_of(const wg_args *args, const wg__conv_kernels *k, const op_of *op, size_t *bytes)
{
    if (op->out == W) {
        const wg__conv c = wg__conv_weight_of(args);
        const wg__bf16_weight_grad g = wg__bf16_weight_grad_of(&c, k->group, NULL, bytes);
        return wg__cut_tasks(c.attr->groups, &g.cut);
    }
    const wg__conv c = op->out == X ? wg__conv_input_of(args) : wg__conv_of(args);
    const wg__bf16_correlation r = wg__bf16_correlate(&c, op->out == X, k->group, NULL, bytes);
    return wg__cut_tasks(r.groups, &r.cut);
}

static void run_tasks(wg_args *args, const wg__conv_kernels *k, const op_of *op)
{
    size_t bytes;
    const int64_t n = tasks_of(args, k, op, &bytes);
    guarded scratch = guarded_new(aligned_bytes(bytes));
    args->scratch = scratch.data;
    const wg_kernel kernel = op->out == W ? k->conv_weight : op->out == X ? k->conv_input : k->conv;
    const wg__fp caller = wg__fp_begin();
    for (int64_t i = n - 1; i >= 0; i--) {
        memset(scratch.data, 0xff, scratch.bytes); /* NaN */
        kernel(args, i);
    }
    wg__fp_end(&caller);
    guarded_free(&scratch);
}

static void try_kernels(const trial_conv *t, const wg__conv_kernels *k, const char *name, const op_of *op,
                        const float *expected)
{
    const wg_operand in[2] = {t->operand[op->in[0]], t->operand[op->in[1]]};
    wg_args args = {.out = t->operand[op->out], .in = in, .n_in = 2, .attr = &t->attr, .bf16 = true};
    const size_t bytes = (size_t)args.out.numel * sizeof *expected;
    guarded result = guarded_new(bytes);
    memset(result.data, 0xff, bytes);
    args.out.data = result.data;
    run_tasks(&args, k, op);
    if (!same_numbers(expected, (const float *)(const void *)result.data, args.out.numel))
        FAIL("%s by %s: other bits than scalar code", op->name, name);
    guarded_free(&result);
}

static void try_conv(uint64_t seed, bool special)
{
    random_state = seed;
    trial_conv t;
    trial_conv_new(&t, special);
    static const wg__conv_kernels *const widened[] = {WG__EVERY_ISA(&WG__VARIANT, conv_kernels, bf16)};
    static const char *const names[] = {"baseline", "avx2", "avx512"};
    for (int i = 0; i < 3; i++) {
        float *expected = malloc((size_t)t.operand[ops[i].out].numel * sizeof *expected + 1);
        scalar(&t, &ops[i], false, expected);
        for (int isa = 0; isa <= (int)wg__isa_get(); isa++)
            try_kernels(&t, widened[isa], names[isa], &ops[i], expected);
        scalar(&t, &ops[i], wg__conv_bf16_get()->group > 1, expected);
        try_kernels(&t, wg__conv_bf16_get(), wg__isa_name(), &ops[i], expected);
        free(expected);
    }
    for (int i = 0; i < 3; i++) guarded_free(&t.memory[i]);
}

static void random_conv(uint64_t seed) { try_conv(seed, false); }
static void special_conv(uint64_t seed) { try_conv(seed, true); }

static void convolutions_have_the_bits_of_scalar_code(void) { check_rounds(100, random_conv); }
static void special_values_have_the_bits_of_scalar_code(void) { check_rounds(100, special_conv); }

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(convolutions_have_the_bits_of_scalar_code),
                                 TEST_CASE(special_values_have_the_bits_of_scalar_code)};
    return RUN_TESTS(tests);
}
