/* Sizes that no machine holds: a status, never a sum that wraps around. And shapes with a zero among such sizes. */
#include "dice.h"
#include "tensors.h"

static const int64_t sizes[] = {(INT64_C(1) << 60) - 1, INT64_C(1) << 59, INT64_C(1) << 55, INT64_C(1) << 50};

/* ---- sums of sizes ---- */

static void has_no_memory(wg_tape *tape, const char *what)
{
    if (wg_tape_status(tape) != WG_ERR_MEMORY)
        FAIL("%s: %s '%s'", what, wg_status_name(wg_tape_status(tape)), wg_tape_message(tape));
    wg_tape_reset(tape);
}

/* The sums of `big` values of n elements each, and of `small` little ones. */
static wg_tensor sums(wg_tape *tape, int64_t n, int big, int small)
{
    static wg_tensor all[2400];
    int m = 0;
    for (int i = 0; i < small; i++) all[m++] = wg_sum_all(wg_cumsum(wg_uniform(tape, WG_F32, WG_DIMS(4), 0, 1), 0));
    for (int i = 0; i < big; i++) all[m++] = wg_sum_all(wg_cumsum(wg_uniform(tape, WG_F32, WG_DIMS(n), 0, 1), 0));
    return wg_sum_all(wg_stack(all, m, 0));
}

static void case_sizes_wrap(void)
{
    static const char *const plans[] = {NULL, "-place", "-all", "+remat"};
    for (size_t p = 0; p < sizeof plans / sizeof *plans; p++) {
        wg_tape *tape = tape_by(plans[p], NULL);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            for (int big = 1; big <= 8; big++) {
                wg_tensor s = sums(tape, sizes[i], big, 0);
                (void)wg_plan_bytes(&s, 1);
                CHECK(isnan(wg_item(s)));
                has_no_memory(tape, "few");
            }
        }
        wg_tensor s = sums(tape, sizes[0], 3, 2200); /* fitted by time */
        CHECK(wg_plan_bytes(&s, 1) == 0 && isnan(wg_item(s)));
        has_no_memory(tape, "many");
        wg_tape_free(tape);
    }
}

/* The contiguous copies that a kernel needs of views are in the block too; here 64 of 2^55 bytes. */
static wg_status many_infer(wg_infer *c)
{
    c->out = WG_SCALAR;
    return WG_OK;
}
static void many_kernel(const wg_args *args, int64_t task) { *(float *)args->out.data = 1; }
static wg_kernel many_select(const wg_op *op, const wg_dtype *in, int n_in, wg_dtype out) { return many_kernel; }
static int64_t many_tasks(const wg_args *args) { return INT64_C(1) << 40; }
static size_t much_scratch(const wg_args *args) { return SIZE_MAX - 100; }
static size_t half_scratch(const wg_args *args) { return (SIZE_MAX / 4) & ~(size_t)4095; }

static wg_op many_op(void)
{
    return (wg_op){.struct_size = sizeof(wg_op),
                   .name = "many",
                   .min_in = 1,
                   .max_in = -1,
                   .flags = WG_OP_NO_GRADIENT,
                   .infer = many_infer,
                   .select = many_select};
}

static void copies_of_operands_are_counted(void)
{
    wg_op op = many_op();
    wg_tape *tape = new_tape();
    wg_tensor x = wg_expand(wg_uniform(tape, WG_F32, WG_DIMS(1), 0, 1), WG_DIMS(INT64_C(1) << 53)), in[1024];
    for (int i = 0; i < 1024; i++) in[i] = x;
    CHECK(isnan(wg_item(wg_record(&op, in, 1024, NULL, 0))));
    has_no_memory(tape, "copies");
    wg_tape_free(tape);
}

static void scratch_and_tasks_are_counted(void)
{
    static wg_op op[3];
    wg_pool *pool = wg_pool_new(8);
    wg_tape *tape = tape_by(NULL, pool);
    for (int i = 0; i < 3; i++) op[i] = many_op();
    op[0].scratch = much_scratch;
    op[1].scratch = half_scratch; /* times eight threads */
    op[2].tasks = many_tasks;
    for (int i = 0; i < 3; i++) {
        wg_tensor x = wg_uniform(tape, WG_F32, WG_DIMS(4), 0, 1);
        CHECK(isnan(wg_item(wg_record(&op[i], &x, 1, NULL, 0))));
        has_no_memory(tape, "scratch");
    }
    CHECK(strstr(wg_tape_message(tape), "many: out of memory: 1099511627776 tasks"));
    wg_tape_free(tape);
    wg_pool_free(pool);
}

static void strides_do_not_grow_without_end(void)
{
    wg_tape *tape = new_tape();
    wg_tensor x = wg_uniform(tape, WG_F64, WG_DIMS(3, 3), 0, 1), y = wg_slice(x, 0, 1, 2);
    for (int i = 0; i < 100; i++) y = wg_slice_step(y, 0, 0, 1, 2);
    CHECK(wg_item(wg_sum_all(y)) == wg_item(wg_sum_all(wg_select(x, 0, 1))));
    CLOSE(tape);
}

/* ---- shapes ---- */

static void shapes_are_bounded(void)
{
    const int64_t most = INT64_C(1) << 60;
    const struct {
        wg_shape shape;
        bool ok;
    } rows[] = {{WG_DIMS(most), true},        {WG_DIMS(most + 1), false},
                {WG_DIMS(0, most), true},     {WG_DIMS(0, most + 1), false},
                {WG_DIMS(most, 0, 2), false}, {WG_DIMS(0, INT64_MAX), false},
                {WG_DIMS(0, 0, 0), true},     {WG_DIMS(2, most / 2), true},
                {WG_DIMS(most, most), false}, {WG_DIMS(INT64_MAX, INT64_MAX, 0), false},
                {WG_DIMS(0, -1), false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t numel = 7;
        size_t bytes = 7;
        if (wg_shape_numel(&rows[i].shape, &numel) != rows[i].ok) FAIL("row %zu", i);
        CHECK(rows[i].ok || numel == 0);
        CHECK(wg_shape_bytes(&rows[i].shape, WG_BOOL, &bytes) == rows[i].ok && (rows[i].ok || bytes == 0));
    }
    wg_shape empty = WG_DIMS(0, most);
    size_t bytes;
    CHECK(!wg_shape_bytes(&empty, WG_F64, &bytes) && !wg_shape_bytes(&empty, (wg_dtype)9, &bytes));
}

/* An option of a window op, from ordinary to the largest. */
static int64_t extreme(dice *d)
{
    static const int64_t list[] = {0,
                                   1,
                                   2,
                                   3,
                                   5,
                                   INT32_MAX,
                                   (int64_t)INT32_MAX + 1,
                                   INT64_C(1) << 40,
                                   INT64_C(1) << 59,
                                   INT64_C(1) << 60,
                                   INT64_MAX - 1,
                                   INT64_MAX,
                                   INT64_MIN,
                                   -1};
    return list[roll(d, sizeof list / sizeof *list)];
}

static wg_tensor windows(wg_tape *tape, wg_tensor x, wg_tensor w, dice *d)
{
    wg_conv_options c = wg_conv_defaults();
    wg_pool_options p = wg_pool_square(3);
    uint64_t choice = d->state >> 20;
    c.floor = p.floor = choice & 1;
    c.same = choice & 2;
    if (choice & 4) c.before[0] = extreme(d);
    if (choice & 8) c.after[0] = extreme(d);
    if (choice & 16) c.stride[0] = extreme(d);
    if (choice & 32) c.dilation[0] = extreme(d);
    if (choice & 64) c.extra[0] = extreme(d);
    if (choice & 128) c.groups = extreme(d);
    if (choice & 256) p.kernel[0] = extreme(d);
    if (choice & 512) p.stride[0] = extreme(d);
    if (choice & 1024) p.dilation[0] = extreme(d);
    if (choice & 2048) p.before[0] = extreme(d);
    if (choice & 4096) p.after[0] = extreme(d);
    switch (choice % 5) {
    case 0: return wg_conv1d(x, w, WG_NONE, c);
    case 1: return wg_conv_transpose1d(x, w, WG_NONE, c);
    case 2: return wg_max_pool1d(x, p);
    case 3: return wg_avg_pool1d(x, p);
    default: CHECK(wg_window_count(extreme(d), extreme(d), extreme(d), extreme(d), c.floor) >= -1); return x;
    }
}

static wg_tensor others(wg_tape *tape, wg_tensor x, dice *d)
{
    int64_t a = extreme(d), b = extreme(d), c = extreme(d);
    wg_attention_options o = wg_attention_defaults();
    o.window = a;
    o.causal = d->state >> 40 & 1;
    switch ((d->state >> 20) % 14) {
    case 0: return wg_pad(x, 2, a, b);
    case 1: return wg_pad_value(x, 2, a, b, 1);
    case 2: return wg_slice_step(x, 2, a, b, c);
    case 3: return wg_select(x, 2, a);
    case 4: return wg_expand(x, WG_DIMS(a, b, c));
    case 5: return wg_reshape(x, WG_DIMS(a, b, c));
    case 6: return wg_arange(tape, WG_F64, 0, 1, a);
    case 7: return wg_tril(x, a);
    case 8: return wg_one_hot(wg_zeros(tape, WG_I32, WG_DIMS(0, 3)), a, WG_F32);
    case 9: return wg_tril_mask(tape, a, b, c);
    case 10: return wg_length_mask(wg_zeros(tape, WG_I32, WG_DIMS(2)), a);
    case 11: return wg_attention(x, x, x, o);
    case 12: return wg_sinusoid(wg_arange(tape, WG_I32, 0, 1, 2), a, WG_F32);
    default: return wg_window_mask(tape, a, b, c);
    }
}

/* Recorded, and if x is empty and the result small, run; UBSan sees what overflows. */
static void extremes(uint64_t seed)
{
    dice d = {seed * 0x9E3779B97F4A7C15u};
    static wg_tape *tape;
    if (!tape) tape = new_tape();
    int64_t n = extreme(&d), m = extreme(&d);
    bool ordinary = d.state >> 40 & 1;
    wg_tensor x = wg_zeros(tape, WG_F32, ordinary ? WG_DIMS(2, 1, 5) : WG_DIMS(n, 1, m));
    wg_tensor w = wg_ones(tape, WG_F32, WG_DIMS(1, 1, 3));
    wg_tensor y = d.state >> 41 & 1 ? windows(tape, x, w, &d) : others(tape, x, &d);
    if (wg_numel(x) == 0 && wg_numel(y) < 1000) (void)wg_value(y);
    wg_status status = wg_tape_reset(tape);
    CHECK(status == WG_OK || status == WG_ERR_SHAPE || status == WG_ERR_ARGUMENT || status == WG_ERR_MEMORY ||
          status == WG_ERR_DTYPE);
}

static void options_are_checked(void) { check_rounds(10000, extremes); }

static void case_empty_but_huge(void)
{
    wg_tape *tape = new_tape();
    static const int64_t list[] = {INT64_MAX, INT64_MAX - 1, INT64_C(1) << 61, INT64_C(1) << 59};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        for (int pool = 0; pool < 2; pool++) {
            wg_tensor x = wg_zeros(tape, WG_F32, WG_DIMS(0, 1, list[i])),
                      w = wg_ones(tape, WG_F32, WG_DIMS(1, 1, 3));
            wg_conv_options o = wg_conv_defaults();
            wg_pool_options p = wg_pool_square(3);
            o.before[0] = o.after[0] = p.before[0] = p.after[0] = 1;
            o.floor = p.floor = true;
            wg_tensor y = pool ? wg_max_pool1d(x, p) : wg_conv1d(x, w, WG_NONE, o);
            CHECK((wg_tape_status(tape) == WG_OK) == !wg_is_nil(y));
            if (list[i] > INT64_C(1) << 60) CHECK(wg_tape_status(tape) == WG_ERR_SHAPE);
            wg_tape_reset(tape);
        }
    }
    wg_tape_free(tape);
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(case_sizes_wrap),
                                 TEST_CASE(copies_of_operands_are_counted),
                                 TEST_CASE(scratch_and_tasks_are_counted),
                                 TEST_CASE(strides_do_not_grow_without_end),
                                 TEST_CASE(shapes_are_bounded),
                                 TEST_CASE(options_are_checked),
                                 TEST_CASE(case_empty_but_huge)};
    return RUN_TESTS(tests);
}
