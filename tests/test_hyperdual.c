/* Random programs against the same program in scalar code with exact derivatives (hyperdual.h): the loss, values that
 * are kept, products of the gradient with three vectors, of the Hessian with two of them, and of the third derivative
 * with all.
 *
 * Every value is a matrix. Operands are any earlier values, so they coincide, are views of each other, depend on each
 * other and are outputs, too; losses multiply values, so that cotangents depend on operands. Numbers are random, or
 * small whole ones with zeros of both signs and ties, or equal rows, or tiny. */
#include "hyper_programs.h"

/* ---- products ------------------------------------------------------------------------------------------------ */

static hyper dot(const matrix *a, int64_t row, const matrix *b, int64_t col, bool b_is_transposed)
{
    hyper sum = h_of(0);
    for (int64_t k = 0; k < a->cols; k++)
        sum = h_add(sum, h_mul(AT(a, row, k), b_is_transposed ? AT(b, col, k) : AT(b, k, col)));
    return sum;
}

static void product(program *p)
{
    const value *a = any(p), *b = any(p);
    for (int i = 0; i < 6 && a->m.cols != b->m.rows && a->m.cols != b->m.cols; i++) b = any(p);
    const bool transposed = a->m.cols != b->m.rows;
    if (transposed && a->m.cols != b->m.cols) b = a;
    const int64_t cols = transposed ? b->m.rows : b->m.cols;
    if (a->m.rows * cols > MATRIX_MOST) return;
    matrix *y = next(p, "matmul", wg_tanh(wg_matmul(a->t, transposed ? wg_t(b->t) : b->t)), a->m.rows, cols);
    EACH(y, r, c) AT(y, r, c) = h_tanh(dot(&a->m, r, &b->m, c, transposed));
}

/* Attention of a to b; the values are the keys. */
static void attention(program *p)
{
    const value *a = any(p), *b = any(p);
    for (int i = 0; i < 6 && a->m.cols != b->m.cols; i++) b = any(p);
    if (a->m.cols != b->m.cols) b = a;
    wg_attention_options o = wg_attention_defaults();
    o.causal = roll(&p->dice, 2);
    o.scale = 0.7;
    matrix *y = next(p, "attention", wg_attention(a->t, b->t, b->t, o), a->m.rows, a->m.cols);
    for (int64_t r = 0; r < y->rows; r++) {
        hyper score[MATRIX_MOST], weight[MATRIX_MOST];
        const int64_t seen = o.causal && r + 1 < b->m.rows ? r + 1 : b->m.rows;
        for (int64_t k = 0; k < seen; k++) score[k] = h_scale(dot(&a->m, r, &b->m, k, true), o.scale);
        l_softmax(score, weight, seen);
        for (int64_t c = 0; c < y->cols; c++) {
            AT(y, r, c) = h_of(0);
            for (int64_t k = 0; k < seen; k++) AT(y, r, c) = h_add(AT(y, r, c), h_mul(weight[k], AT(&b->m, k, c)));
        }
    }
}

/* The rows of a as images of one channel, the rows of b as filters. */
static void convolution(program *p)
{
    const value *a = any(p), *b = any(p);
    if (b->m.cols > a->m.cols) b = a;
    const int64_t stride = 1 + roll(&p->dice, 2), before = roll(&p->dice, 2), taps = b->m.cols;
    const int64_t n = (a->m.cols + before - taps) / stride + 1, filters = b->m.rows;
    if (a->m.rows * filters * n > MATRIX_MOST) return;
    wg_conv_options o = wg_conv_defaults();
    o.stride[0] = stride;
    o.before[0] = before;
    o.floor = true;
    const wg_tensor image = wg_unsqueeze(a->t, 1), y3 = wg_conv1d(image, wg_unsqueeze(b->t, 1), WG_NONE, o);
    matrix *y = next(p, "conv1d", wg_tanh(wg_flatten(y3, 1, 2)), a->m.rows, filters * n);
    EACH(y, r, c)
    {
        hyper sum = h_of(0);
        for (int64_t k = 0; k < taps; k++) {
            const int64_t from = c % n * stride + k - before;
            if (from >= 0) sum = h_add(sum, h_mul(AT(&a->m, r, from), AT(&b->m, c / n, k)));
        }
        AT(y, r, c) = h_tanh(sum);
    }
}

/* Windows of two or three, along rows. */
static void pooling(program *p)
{
    const value *a = any(p);
    const int64_t taps = 2 + roll(&p->dice, 2);
    const bool mean = roll(&p->dice, 2);
    if (a->m.cols < taps) return;
    wg_pool_options o = wg_pool_square(taps);
    o.stride[0] = 1;
    const wg_tensor x = wg_unsqueeze(a->t, 1), y3 = mean ? wg_avg_pool1d(x, o) : wg_max_pool1d(x, o);
    matrix *y = next(p, mean ? "avg_pool1d" : "max_pool1d", wg_squeeze(y3, 1), a->m.rows, a->m.cols - taps + 1);
    EACH(y, r, c)
    {
        hyper sum = h_of(0), first = AT(&a->m, r, c);
        for (int64_t k = 0; k < taps; k++) {
            const hyper x_k = AT(&a->m, r, c + k);
            sum = h_add(sum, x_k);
            if (k && !mean) near_kink(x_k.x - first.x);
            if (x_k.x > first.x) first = x_k;
        }
        AT(y, r, c) = mean ? h_scale(sum, 1 / (real)taps) : first;
    }
    settle_kinks(p, &a->m, &a->m);
}

/* ---- views and indices --------------------------------------------------------------------------------------- */

/* The rows of a or, if that is transposed before and after, its columns: some of them, in any order, with repeats. How
 * they are got at is a view or a lookup. */
static void rows(program *p)
{
    const value *a = any(p);
    const bool across = roll(&p->dice, 2);
    const int64_t n = across ? a->m.cols : a->m.rows, others = across ? a->m.rows : a->m.cols;
    const wg_tensor x = across ? wg_t(a->t) : a->t;
    const int64_t start = roll(&p->dice, (uint32_t)n), step = 1 + roll(&p->dice, 2),
                  count = (n - start + step - 1) / step;
    int32_t index[MATRIX_MOST];
    int64_t m = n;
    wg_tensor t = x;
    const uint32_t way = roll(&p->dice, 4);
    for (int64_t i = 0; i < n; i++) index[i] = (int32_t)i;
    if (way == 0) {
        t = wg_slice_step(x, 0, start, n, step);
        for (int64_t i = 0; i < (m = count); i++) index[i] = (int32_t)(start + i * step);
    } else if (way == 1) {
        t = wg_flip(x, 0);
        for (int64_t i = 0; i < n; i++) index[i] = (int32_t)(n - 1 - i);
    } else if (way == 2) {
        for (int64_t i = 0; i < n; i++) index[i] = (int32_t)roll(&p->dice, (uint32_t)n);
        t = roll(&p->dice, 2) ? wg_index_select(x, 0, indices(p, n, index)) : wg_embedding(x, indices(p, n, index));
    }
    static const char *const names[] = {"slice", "flip", "lookup", "itself"};
    matrix *y = next(p, names[way], across ? wg_t(t) : t, across ? others : m, across ? m : others);
    EACH(y, r, c) AT(y, r, c) = across ? AT(&a->m, r, index[c]) : AT(&a->m, index[r], c);
}

static void reshaped(program *p)
{
    const value *a = any(p);
    const bool turned = roll(&p->dice, 2);
    const wg_tensor t = turned ? wg_t(a->t) : wg_reshape(a->t, WG_DIMS(a->m.cols, a->m.rows));
    matrix *y = next(p, turned ? "t" : "reshape", t, a->m.cols, a->m.rows);
    EACH(y, r, c) AT(y, r, c) = turned ? AT(&a->m, c, r) : a->m.x[r * y->cols + c];
}

static void joined(program *p)
{
    const value *part[3];
    const int n = 2 + (int)roll(&p->dice, 2);
    wg_tensor t[3];
    int64_t total = 0;
    part[0] = any(p);
    for (int i = 0; i < n; i++) {
        if (i) part[i] = any(p);
        if (part[i]->m.cols != part[0]->m.cols) part[i] = part[0];
        t[i] = part[i]->t;
        total += part[i]->m.rows;
    }
    if (total * part[0]->m.cols > MATRIX_MOST) return;
    matrix *y = next(p, "concat", wg_concat(t, n, 0), total, part[0]->m.cols);
    for (int64_t i = 0, row = 0; i < n; row += part[i++]->m.rows)
        EACH(&part[i]->m, r, c) AT(y, row + r, c) = AT(&part[i]->m, r, c);
}

/* b added to a where an index says, or written over a slice of it. */
static void placed(program *p)
{
    const value *a = any(p), *b = any(p);
    if (b->m.cols != a->m.cols || b->m.rows > a->m.rows) b = a;
    const bool adds = roll(&p->dice, 2);
    int32_t index[MATRIX_MOST], start = (int32_t)roll(&p->dice, (uint32_t)a->m.rows);
    EACH(&b->m, r, c) index[r * b->m.cols + c] = (int32_t)roll(&p->dice, (uint32_t)a->m.rows);
    const wg_tensor where = wg_data(p->tape, WG_I32, WG_DIMS(b->m.rows, b->m.cols), index);
    const wg_tensor t = adds ? wg_scatter_add(a->t, 0, where, b->t)
                             : wg_update_slice(a->t, 0, wg_scalar(p->tape, WG_I32, start), b->t);
    matrix *y = next(p, adds ? "scatter_add" : "update_slice", t, a->m.rows, a->m.cols);
    *y = a->m;
    if (start > a->m.rows - b->m.rows) start = (int32_t)(a->m.rows - b->m.rows);
    EACH(&b->m, r, c)
    {
        hyper *to = adds ? &AT(y, index[r * b->m.cols + c], c) : &AT(y, start + r, c);
        *to = adds ? h_add(*to, AT(&b->m, r, c)) : AT(&b->m, r, c);
    }
}

/* ---- a program ------------------------------------------------------------------------------------------------- */

static void step(program *p)
{
    static void (*const kinds[])(program *) = {unary,   unary,      binary,      binary,     along,    along,
                                               product, product,    attention,   rows,       reshaped, joined,
                                               placed,  classified, convolution, pooling,    linear,   weighted,
                                               masked,  gathered,   padded,      divergence, ctc};
    kinds[roll(&p->dice, sizeof kinds / sizeof *kinds)](p);
}

/* The parameters of a seed; p->value has their numbers and the three directions. */
static wg_params *make_params(program *p)
{
    static const int sizes[] = {1, 2, 3, 5, 9, 17};
    wg_params *set = wg_params_new(WG_F64);
    const int64_t n = sizes[roll(&p->dice, 6)];
    const int64_t shape[PARAMS][2] = {
        {n, n}, {sizes[roll(&p->dice, 6)], n}, {sizes[roll(&p->dice, 5)], sizes[roll(&p->dice, 5)]}, {1, n}};
    const uint32_t style = roll(&p->dice, 5);
    p->tiny = style == 3;
    for (int k = 0; k < PARAMS; k++) {
        char name[8];
        snprintf(name, sizeof name, "p%d", k);
        wg_param *param = wg_param_new(set, name, WG_DIMS(shape[k][0], shape[k][1]), wg_init_zeros());
        matrix *m = &p->value[k].m;
        *m = (matrix){.rows = shape[k][0], .cols = shape[k][1]};
        double *to = wg_param_write_begin(param);
        EACH(m, r, c)
        {
            const double number = style == 1
                                      ? (double)((int)roll(&p->dice, 5) - 2) * (roll(&p->dice, 2) ? 1 : -1) / 2
                                  : style == 2 && r > 0 ? AT(m, r - 1, c).x
                                  : style == 3          ? real_of(p) * 1e-30
                                                        : real_of(p);
            to[r * m->cols + c] = number;
            AT(m, r, c) = (hyper){.x = number, .u = real_of(p), .v = real_of(p), .w = real_of(p)};
        }
        wg_param_write_end(param);
        p->value[k].op = name[1] == '0' ? "p0" : "p";
    }
    return set;
}

/* Records the program; *loss is its loss in scalar code. */
static wg_tensor record(program *p, wg_tape *tape, wg_params *set, hyper *loss)
{
    p->tape = tape;
    p->n = PARAMS;
    p->kink = false;
    for (int k = 0; k < PARAMS; k++) p->value[k].t = wg_use(tape, wg_params_at(set, (size_t)k));
    for (int i = 3 + (int)roll(&p->dice, OPS - 3); i > 0; i--) step(p);
    for (int i = 0; i < p->n; i++) /* of scores, which are squares of them, the scalar code keeps few digits */
        for (int64_t k = 0; k < p->value[i].m.rows * p->value[i].m.cols; k++)
            p->kink |= fabs(p->value[i].m.x[k].x) > 12;
    wg_tensor sum = wg_scalar(tape, WG_F64, 0);
    *loss = h_of(0);
    for (int i = 0; i < 3; i++) {
        const value *a = i ? any(p) : &p->value[p->n - 1], *b = partner(p, a);
        const wg_tensor both = wg_mul(a->t, b->t);
        const real share = 1 / (real)wg_numel(both);
        sum = wg_add(sum, wg_mean_all(both));
        for (int64_t r = 0; r < larger(a->m.rows, b->m.rows); r++)
            for (int64_t c = 0; c < larger(a->m.cols, b->m.cols); c++)
                *loss = h_add(*loss, h_scale(h_mul(at(&a->m, r, c), at(&b->m, r, c)), share));
    }
    return sum;
}

enum { U = 1, V = 2, W = 4 }; /* hyper.of */

/* The sum of gradients times a direction; *size is that of the terms' magnitudes. */
static double along_direction(const program *p, const wg_params *set, int direction, double *size)
{
    double sum = 0;
    *size = 0;
    for (int k = 0; k < PARAMS; k++) {
        const matrix *m = &p->value[k].m;
        const double *g = wg_param_grad(wg_params_at(set, (size_t)k));
        for (int64_t i = 0; i < m->rows * m->cols; i++) {
            const double term = g[i] * m->x[i].of[direction];
            sum += term;
            *size += fabs(term);
        }
    }
    return sum;
}

/* tolerance: relative to the terms, or to 0.001, for terms of scalar code may be large where those of the engine are
 * exactly 0 (a layer norm of equal numbers has third derivatives of 3e7). 1 - tanh^2 near 1 has few digits, here and in
 * the engine: ten times more in the third order. */
static void compare(const program *p, const char *what, double got, double want, double size, double tolerance)
{
    if (fabs(got - want) <= tolerance * (size + fabs(want) + 0.001)) return;
    char ops[512] = "";
    for (int i = PARAMS; i < p->n; i++)
        snprintf(ops + strlen(ops), sizeof ops - strlen(ops), " %s", p->value[i].op);
    FAIL("%s is %.12g, in scalar code %.12g:%s", what, got, want, ops);
}

/* Every value of the program, first one first: the op that is wrong is named. */
static void check_values(const program *p)
{
    for (int i = PARAMS; i < p->n; i++) {
        const matrix *m = &p->value[i].m;
        const double *got = wg_value(p->value[i].t);
        for (int64_t k = 0; got && k < m->rows * m->cols; k++) {
            if (fabs(got[k] - m->x[k].x) <= 1e-10 * (1 + fabs(m->x[k].x)) || !isfinite(m->x[k].x)) continue;
            FAIL("%s: element %lld is %.15g, in scalar code %.15g", p->value[i].op, (long long)k, got[k],
                 (double)m->x[k].x);
            return;
        }
    }
}

/* The derivative of y along a direction, recorded: its gradient by every parameter times the direction. */
static wg_tensor derivative(const program *p, wg_tensor y, int direction)
{
    wg_tensor x[PARAMS], dx[PARAMS], sum = wg_scalar(p->tape, WG_F64, 0);
    for (int k = 0; k < PARAMS; k++) x[k] = p->value[k].t;
    wg_grad(y, x, PARAMS, WG_NONE, dx);
    for (int k = 0; k < PARAMS; k++) {
        const matrix *m = &p->value[k].m;
        double by[MATRIX_MOST];
        for (int64_t i = 0; i < m->rows * m->cols; i++) by[i] = m->x[i].of[direction];
        sum = wg_add(sum, wg_sum_all(wg_mul(dx[k], wg_data(p->tape, WG_F64, WG_DIMS(m->rows, m->cols), by))));
    }
    return sum;
}

/* Compares the program's derivatives of the order: all but the last one recorded along a direction, the last one by a
 * backward run. */
static void check_order(program *p, wg_params *set, wg_tensor loss, const hyper *want, int order)
{
    wg_tensor y = loss;
    double size;
    if (order >= 2) y = derivative(p, y, U);
    if (order >= 3) y = derivative(p, y, V);
    /* a gradient flows even if the derivatives so far are constants */
    const wg_tensor zero = wg_scale(wg_sum_all(p->value[0].t), 0);
    if (wg_backward(wg_add(y, zero)) != WG_OK) FAIL("%s", wg_tape_message(p->tape));
    if (order == 1) {
        compare(p, "the loss", wg_item(loss), want->x, fabs(want->x), 1e-9);
        if (roll(&p->dice, 2)) check_values(p);
    }
    static const struct {
        int order, last, all;
        const char *what;
    } rows[] = {{1, U, U, "the derivative along u"},
                {1, V, V, "the derivative along v"},
                {2, V, U | V, "the second derivative, u v"},
                {2, W, U | W, "the second derivative, u w"},
                {3, W, U | V | W, "the third derivative, u v w"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].order != order) continue;
        const double got = along_direction(p, set, rows[i].last, &size);
        compare(p, rows[i].what, got, want->of[rows[i].all], size, order == 3 ? 1e-8 : 1e-9);
    }
}

static bool is_smooth(const program *p, const hyper *loss)
{
    bool finite = true;
    for (int s = 0; s < 8; s++) finite &= isfinite(loss->of[s]) != 0;
    return finite && !p->kink;
}

static void check_program(uint64_t seed)
{
    static program p;
    p.dice = (dice){seed * 2 + 1};
    wg_tape_options options = wg_tape_defaults();
    options.eager = roll(&p.dice, 6) == 0;
    options.plan = roll(&p.dice, 4) == 0 ? "-all" : "";
    wg_tape *tape = wg_tape_new(options);
    wg_params *set = make_params(&p);
    const dice start = p.dice;
    hyper want;
    for (int order = 1; order <= 3; order++) {
        p.dice = start;
        wg_tensor loss = record(&p, tape, set, &want);
        wg_zero_grad(set);
        if (is_smooth(&p, &want)) check_order(&p, set, loss, &want, order);
        if (wg_tape_reset(tape) != WG_OK) FAIL("%s", wg_tape_message(tape));
    }
    wg_params_free(set);
    wg_tape_free(tape);
}

static void random_programs(void) { check_rounds(check_long() ? 100000 : 1500, check_program); }

/* Seeds of campaigns, where the scalar code had fewer digits than the engine: it was f64; a third was that of f64;
 * large terms cancelled. */
static void programs_that_failed(void)
{
    static const uint64_t seeds[] = {1883149501993099, 1883149502000372, 1883149502013329, 1883181942891737,
                                     1883193122764645};
    for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++) check_program(seeds[i]);
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(random_programs), TEST_CASE(programs_that_failed)};
    return RUN_TESTS(tests);
}
