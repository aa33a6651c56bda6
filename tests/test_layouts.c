/* Sums, and products of more than one row and column, have the same bits whatever the strides of their operands: of a
 * view and of a contiguous copy. */
#include "tensors.h"

#include "random.h"

static wg_tape *tape;

static int64_t random_size(void)
{
    static const int64_t sizes[] = {1, 1, 2, 3, 5, 16, 17, 33, 64, 65, 129, 260};
    return sizes[below((int64_t)(sizeof sizes / sizeof *sizes))];
}

/* Of at most MOST elements. */
static wg_shape random_shape(int rank)
{
    enum { MOST = 40000 };
    wg_shape shape = {.rank = rank};
    int64_t n = 1;
    for (int i = 0; i < rank; i++) {
        do shape.size[i] = random_size();
        while (n * shape.size[i] > MOST);
        n *= shape.size[i];
    }
    return shape;
}

/* Numbers of magnitudes that differ, so that the order of additions shows. */
static wg_tensor numbers(wg_dtype dtype, wg_shape shape)
{
    const wg_tensor x = wg_cast(random_leaf(tape, shape, (unsigned)random_bits()), dtype);
    return wg_mul(x, wg_exp(wg_scale(x, 4)));
}

/* A view of x in one of the ways that leave its shape unknown. */
static wg_tensor some_view(wg_tensor x)
{
    for (int64_t i = below(4); i > 0; i--) {
        const int rank = wg_rank(x), axis = (int)below(rank);
        const int64_t size = wg_size(x, axis);
        switch (below(4)) {
        case 0: x = wg_transpose(x, axis, (int)below(rank)); break;
        case 1: x = wg_flip(x, axis); break;
        case 2: x = wg_slice(x, axis, size / 3, size); break;
        default: x = wg_slice_step(x, axis, 0, size, 2); break;
        }
    }
    return x;
}

/* The value of x; NULL after an error, with its text printed. */
static const void *value_of(wg_tensor x)
{
    const void *value = wg_value(x);
    if (!value) printf("%s\n", wg_tape_message(tape));
    return value;
}

/* Read after what is computed of x: until then a view has no storage of its own. */
static wg_tensor copy_of(wg_tensor x)
{
    const void *data = value_of(x);
    return data ? wg_data(tape, wg_dtype_get(x), wg_shape_get(x), data) : WG_NONE;
}

static bool same_bits(const void *x, wg_tensor copy)
{
    const void *y = value_of(copy);
    return x && y && memcmp(x, y, (size_t)wg_numel(copy) * wg_dtype_size(wg_dtype_get(copy))) == 0;
}

static wg_axes random_axes(int rank)
{
    int list[WG_MAX_RANK], n = 0;
    for (int i = 0; i < rank; i++)
        if (below(2)) list[n++] = i;
    return n ? wg_axes_of(n, list) : WG_ALL_AXES;
}

typedef wg_tensor reduction(wg_tensor x, wg_axes axes);
static wg_tensor sum(wg_tensor x, wg_axes axes) { return wg_sum(x, axes, false); }
static wg_tensor variance(wg_tensor x, wg_axes axes) { return wg_var(x, axes, false, 0); }
static wg_tensor norm(wg_tensor x, wg_axes axes) { return wg_norm(x, axes, false); }
static wg_tensor log_sum(wg_tensor x, wg_axes axes) { return wg_logsumexp(x, axes, false); }
static wg_tensor product(wg_tensor x, wg_axes axes) { return wg_prod(x, axes, false); }

static const struct {
    const char *name;
    reduction *of;
} reductions[] = {{"sum", sum}, {"var", variance}, {"norm", norm}, {"logsumexp", log_sum}, {"prod", product}};

static void reduce(uint64_t seed)
{
    random_state = seed;
    const int64_t i = below((int64_t)(sizeof reductions / sizeof *reductions));
    const wg_tensor view = some_view(numbers(below(3) ? WG_F32 : WG_F64, random_shape(1 + (int)below(4))));
    const wg_axes axes = random_axes(wg_rank(view));
    const void *of_view = value_of(reductions[i].of(view, axes));
    const wg_shape shape = wg_shape_get(view);
    char text[128];
    if (!same_bits(of_view, reductions[i].of(copy_of(view), axes)))
        FAIL("%s of %s depends on strides", reductions[i].name, wg_shape_text(&shape, text, sizeof text));
    wg_tape_reset(tape);
}

static void multiply(uint64_t seed)
{
    random_state = seed;
    const wg_dtype dtype = below(3) ? WG_F32 : WG_F64;
    const int64_t batch = below(2) ? 1 : 1 + random_size() % 8, m = 2 + random_size() % 70;
    const wg_tensor a = some_view(numbers(dtype, WG_DIMS(batch, m, 1 + random_size() % 70)));
    const int64_t problems = wg_size(a, 0), k = wg_size(a, 2), n = 1 + random_size();
    wg_tensor b = wg_transpose(numbers(dtype, WG_DIMS(problems, n, k)), 1, 2);
    if (below(2)) b = wg_slice(numbers(dtype, WG_DIMS(problems, k, n + 3)), 2, 1, n + 1);
    if (below(3) == 0) b = wg_flip(b, 1);
    const void *of_views = value_of(wg_matmul(a, b));
    if (wg_size(a, 1) > 1 && !same_bits(of_views, wg_matmul(copy_of(a), copy_of(b))))
        FAIL("a product of %lld x %lld x %lld depends on strides", (long long)wg_size(a, 1), (long long)k,
             (long long)n);
    wg_tape_reset(tape);
}

static void reductions_do_not_see_strides(void)
{
    tape = new_tape();
    check_rounds(300, reduce);
    wg_tape_free(tape);
}

static void products_do_not_see_strides(void)
{
    tape = new_tape();
    check_rounds(300, multiply);
    wg_tape_free(tape);
}

/* A slice that the backward pass reads: pass residuals stores it contiguously. */
static void residuals_change_no_sum(void)
{
    enum { N = 64, WIDE = 15, NARROW = 5 };
    float loss[2];
    for (int i = 0; i < 2; i++) {
        tape = tape_by(i ? "-residuals" : "", NULL);
        wg_params *set = wg_params_new(WG_F32);
        wg_param *w = wg_param_new(set, "w", WG_DIMS(3, WIDE), wg_init_uniform(-1, 1));
        random_state = 1;
        const wg_tensor x = wg_matmul(numbers(WG_F32, WG_DIMS(N, 3)), wg_use(tape, w)),
                        s = wg_slice(x, 1, 0, NARROW);
        const wg_tensor sums = wg_add(wg_sum_all(wg_mul(s, s)), wg_sum_all(s));
        CHECK(wg_backward(sums) == WG_OK);
        loss[i] = *(const float *)wg_value(sums);
        wg_params_free(set);
        wg_tape_free(tape);
    }
    CHECK(memcmp(&loss[0], &loss[1], sizeof *loss) == 0);
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(reductions_do_not_see_strides), TEST_CASE(products_do_not_see_strides),
                                 TEST_CASE(residuals_change_no_sum)};
    return RUN_TESTS(tests);
}
