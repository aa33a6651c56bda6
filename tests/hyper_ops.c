/* Values by ops on elements and along an axis: on the tape, and by their formulas in scalar code. Where an op has
 * kinks, the derivative there is the one that ops.h states. */
#include "hyper_programs.h"

double real_of(program *p) { return (double)roll(&p->dice, 1 << 20) / (1 << 19) - 1; }

const value *any(program *p)
{
    const int recent = p->n < 6 || roll(&p->dice, 3) == 0 ? p->n : 6;
    return &p->value[p->n - 1 - (int)roll(&p->dice, (uint32_t)recent)];
}

matrix *next(program *p, const char *op, wg_tensor t, int64_t rows, int64_t cols)
{
    value *v = &p->value[p->n++];
    *v = (value){.t = t, .op = op, .m = {.rows = rows, .cols = cols}};
    if (wg_rank(t) != 2 || wg_size(t, 0) != rows || wg_size(t, 1) != cols) FAIL("%s: shape", op);
    return &v->m;
}

static bool at_kink;

void near_kink(double distance) { at_kink |= fabs(distance) < 1e-9; }

/* Whether all numbers are multiples of 1/1024. */
static bool is_whole(const matrix *m)
{
    bool whole = true, any = false;
    for (int64_t i = 0; i < m->rows * m->cols; i++)
        whole &= fabs(m->x[i].x) < 1e6 && m->x[i].x * 1024 == floor(m->x[i].x * 1024);
    for (int64_t i = 0; i < m->rows * m->cols; i++) any |= m->x[i].x != 0;
    return whole && any; /* zeros only may be what cancelled */
}

void settle_kinks(program *p, const matrix *a, const matrix *b)
{
    p->kink |= at_kink && !(!p->tiny && is_whole(a) && is_whole(b));
    at_kink = false;
}

/* ---- elements ------------------------------------------------------------------------------------------------ */

static hyper h_positive(hyper a) { return h_plus(h_square(a), 0.5); }
static wg_tensor positive(wg_tensor a) { return wg_add_scalar(wg_square(a), 0.5); }

/* a, whose sign matters */
static hyper signed_(hyper a)
{
    near_kink(a.x);
    return a;
}
static hyper h_relu(hyper a) { return signed_(a).x > 0 ? a : h_scale(a, 0); }
static hyper h_abs(hyper a) { return h_scale(a, (signed_(a).x > 0) - (a.x < 0)); }
static hyper h_leaky(hyper a) { return signed_(a).x > 0 ? a : h_scale(a, 0.1); }
static hyper h_elu(hyper a) { return signed_(a).x > 0 ? a : h_scale(h_expm1(a), 0.7); }
static hyper h_gelu(hyper a) { return h_mul(a, h_scale(h_plus(h_erf(h_scale(a, 0.70710678118654752)), 1), 0.5)); }
static hyper h_gelu_tanh(hyper a)
{
    const hyper inner = h_add(a, h_scale(h_mul(a, h_square(a)), 0.044715));
    return h_mul(h_scale(a, 0.5), h_plus(h_tanh(h_scale(inner, 0.79788456080286536)), 1));
}
static hyper h_silu(hyper a) { return h_mul(a, h_sigmoid(a)); }
static hyper h_cube(hyper a) { return h_mul(a, h_square(a)); }
static hyper h_clamp(hyper a)
{
    near_kink(a.x + 0.4), near_kink(a.x - 0.6);
    return a.x < -0.4 || a.x > 0.6 ? h_of(a.x < 0 ? -0.4 : 0.6) : a;
}
static hyper h_neg(hyper a) { return h_scale(a, -1); }
static hyper h_log1p(hyper a) { return h_log(h_plus(h_square(a), 1)); }
static hyper h_expm1_tanh(hyper a) { return h_expm1(h_tanh(a)); }
static hyper h_log_positive(hyper a) { return h_log(h_positive(a)); }
static hyper h_sqrt_positive(hyper a) { return h_sqrt(h_positive(a)); }
static hyper h_rsqrt_positive(hyper a) { return h_reciprocal(h_sqrt(h_positive(a))); }
static hyper h_reciprocal_positive(hyper a) { return h_reciprocal(h_positive(a)); }
static hyper h_exp_tanh(hyper a) { return h_exp(h_tanh(a)); }

static wg_tensor t_leaky(wg_tensor a) { return wg_leaky_relu(a, 0.1); }
static wg_tensor t_elu(wg_tensor a) { return wg_elu(a, 0.7); }
static wg_tensor t_cube(wg_tensor a) { return wg_pow_scalar(a, 3); }
static wg_tensor t_clamp(wg_tensor a) { return wg_clamp(a, -0.4, 0.6); }
static wg_tensor t_log1p(wg_tensor a) { return wg_log1p(wg_square(a)); }
static wg_tensor t_expm1(wg_tensor a) { return wg_expm1(wg_tanh(a)); }
static wg_tensor t_log(wg_tensor a) { return wg_log(positive(a)); }
static wg_tensor t_sqrt(wg_tensor a) { return wg_sqrt(positive(a)); }
static wg_tensor t_rsqrt(wg_tensor a) { return wg_rsqrt(positive(a)); }
static wg_tensor t_reciprocal(wg_tensor a) { return wg_reciprocal(positive(a)); }
static wg_tensor t_exp(wg_tensor a) { return wg_exp(wg_tanh(a)); }

void unary(program *p)
{
    static const struct {
        const char *name;
        wg_tensor (*op)(wg_tensor);
        hyper (*of)(hyper);
    } ops[] = {{"neg", wg_neg, h_neg},
               {"abs", wg_abs, h_abs},
               {"relu", wg_relu, h_relu},
               {"leaky_relu", t_leaky, h_leaky},
               {"elu", t_elu, h_elu},
               {"gelu", wg_gelu, h_gelu},
               {"silu", wg_silu, h_silu},
               {"gelu_tanh", wg_gelu_tanh, h_gelu_tanh},
               {"tanh", wg_tanh, h_tanh},
               {"sigmoid", wg_sigmoid, h_sigmoid},
               {"sin", wg_sin, h_sin},
               {"cos", wg_cos, h_cos},
               {"erf", wg_erf, h_erf},
               {"softplus", wg_softplus, h_softplus},
               {"pow", t_cube, h_cube},
               {"square", wg_square, h_square},
               {"clamp", t_clamp, h_clamp},
               {"log1p", t_log1p, h_log1p},
               {"expm1", t_expm1, h_expm1_tanh},
               {"log", t_log, h_log_positive},
               {"exp", t_exp, h_exp_tanh},
               {"sqrt", t_sqrt, h_sqrt_positive},
               {"rsqrt", t_rsqrt, h_rsqrt_positive},
               {"reciprocal", t_reciprocal, h_reciprocal_positive}};
    const uint32_t i = roll(&p->dice, sizeof ops / sizeof *ops);
    const value *a = any(p);
    matrix *y = next(p, ops[i].name, ops[i].op(a->t), a->m.rows, a->m.cols);
    EACH(y, r, c) AT(y, r, c) = ops[i].of(AT(&a->m, r, c));
    settle_kinks(p, &a->m, &a->m);
}

static hyper h_maximum(hyper a, hyper b)
{
    near_kink(a.x - b.x);
    return a.x > b.x ? a : a.x < b.x ? b : h_scale(h_add(a, b), 0.5);
}
static hyper h_minimum(hyper a, hyper b) { return h_neg(h_maximum(h_neg(a), h_neg(b))); }
static hyper h_ratio(hyper a, hyper b) { return h_div(a, h_positive(b)); }
static hyper h_power(hyper a, hyper b) { return h_exp(h_mul(h_tanh(b), h_log(h_positive(a)))); }
static hyper h_huber(hyper a, hyper b)
{
    const hyper e = h_sub(a, b);
    near_kink(fabs(e.x) - 0.4);
    return fabs(e.x) <= 0.4 ? h_scale(h_square(e), 0.5) : h_plus(h_scale(e, e.x > 0 ? 0.4 : -0.4), -0.08);
}
static hyper h_bce(hyper a, hyper b)
{
    const hyper t = h_sigmoid(b);
    return h_add(h_mul(t, h_softplus(h_neg(a))), h_mul(h_sub(h_of(1), t), h_softplus(a)));
}

static wg_tensor t_ratio(wg_tensor a, wg_tensor b) { return wg_div(a, positive(b)); }
static wg_tensor t_power(wg_tensor a, wg_tensor b) { return wg_pow(positive(a), wg_tanh(b)); }
/* Losses take operands of one shape. */
static wg_tensor broadcast(wg_tensor a, wg_tensor b) { return wg_add(a, wg_zeros_like(b)); }
static wg_tensor t_huber(wg_tensor a, wg_tensor b)
{
    return wg_huber(broadcast(a, b), broadcast(b, a), 0.4, WG_REDUCE_NONE);
}
static wg_tensor t_bce(wg_tensor a, wg_tensor b)
{
    return wg_binary_cross_entropy(broadcast(a, b), wg_sigmoid(broadcast(b, a)), WG_REDUCE_NONE);
}
static wg_tensor t_mse(wg_tensor a, wg_tensor b)
{
    return wg_mse(broadcast(a, b), broadcast(b, a), WG_REDUCE_NONE);
}
static hyper h_mse(hyper a, hyper b) { return h_square(h_sub(a, b)); }
static wg_tensor t_where(wg_tensor a, wg_tensor b) { return wg_where(wg_greater(a, b), a, wg_mul(a, b)); }
static hyper h_where(hyper a, hyper b) { return signed_(h_sub(a, b)).x > 0 ? a : h_mul(a, b); }
static wg_tensor t_lerp(wg_tensor a, wg_tensor b) { return wg_lerp(a, b, a); }
static hyper h_lerp(hyper a, hyper b) { return h_add(a, h_mul(a, h_sub(b, a))); }

static bool fits(int64_t a, int64_t b) { return a == b || a == 1 || b == 1; }

const value *partner(program *p, const value *a)
{
    for (int i = 0; i < 8; i++) {
        const value *b = any(p);
        if (fits(a->m.rows, b->m.rows) && fits(a->m.cols, b->m.cols) &&
            larger(a->m.rows, b->m.rows) * larger(a->m.cols, b->m.cols) <= MATRIX_MOST)
            return b;
    }
    return a;
}

void binary(program *p)
{
    static const struct {
        const char *name;
        wg_tensor (*op)(wg_tensor, wg_tensor);
        hyper (*of)(hyper, hyper);
    } ops[] = {{"add", wg_add, h_add},
               {"sub", wg_sub, h_sub},
               {"mul", wg_mul, h_mul},
               {"mul", wg_mul, h_mul},
               {"maximum", wg_maximum, h_maximum},
               {"minimum", wg_minimum, h_minimum},
               {"div", t_ratio, h_ratio},
               {"pow", t_power, h_power},
               {"huber", t_huber, h_huber},
               {"binary_cross_entropy", t_bce, h_bce},
               {"mse", t_mse, h_mse},
               {"where", t_where, h_where},
               {"lerp", t_lerp, h_lerp}};
    const uint32_t i = roll(&p->dice, sizeof ops / sizeof *ops);
    const value *a = any(p), *b = partner(p, a);
    const int64_t rows = larger(a->m.rows, b->m.rows), cols = larger(a->m.cols, b->m.cols);
    matrix *y = next(p, ops[i].name, ops[i].op(a->t, b->t), rows, cols);
    EACH(y, r, c) AT(y, r, c) = ops[i].of(at(&a->m, r, c), at(&b->m, r, c));
    settle_kinks(p, &a->m, &b->m);
}

/* ---- lines along an axis ------------------------------------------------------------------------------------- */

void l_softmax(const hyper *x, hyper *y, int64_t n)
{
    hyper sum = h_of(0);
    double top = x[0].x;
    for (int64_t i = 1; i < n; i++) top = fmax(top, x[i].x);
    for (int64_t i = 0; i < n; i++) sum = h_add(sum, y[i] = h_exp(h_plus(x[i], -top)));
    for (int64_t i = 0; i < n; i++) y[i] = h_div(y[i], sum);
}

static void l_logsumexp(const hyper *x, hyper *y, int64_t n)
{
    hyper sum = h_of(0);
    double top = x[0].x;
    for (int64_t i = 1; i < n; i++) top = fmax(top, x[i].x);
    for (int64_t i = 0; i < n; i++) sum = h_add(sum, h_exp(h_plus(x[i], -top)));
    y[0] = h_plus(h_log(sum), top);
}

void l_log_softmax(const hyper *x, hyper *y, int64_t n)
{
    hyper rest;
    l_logsumexp(x, &rest, n);
    for (int64_t i = 0; i < n; i++) y[i] = h_sub(x[i], rest);
}

static void l_cumsum(const hyper *x, hyper *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++) y[i] = i ? h_add(y[i - 1], x[i]) : x[i];
}

static void l_sum(const hyper *x, hyper *y, int64_t n)
{
    *y = h_of(0);
    for (int64_t i = 0; i < n; i++) *y = h_add(*y, x[i]);
}

static void l_mean(const hyper *x, hyper *y, int64_t n)
{
    l_sum(x, y, n);
    *y = h_scale(*y, 1 / (real)n);
}

static void l_var(const hyper *x, hyper *y, int64_t n)
{
    hyper mean, sum = h_of(0);
    l_mean(x, &mean, n);
    for (int64_t i = 0; i < n; i++) sum = h_add(sum, h_square(h_sub(x[i], mean)));
    *y = h_scale(sum, 1 / (real)n);
}

static void l_prod(const hyper *x, hyper *y, int64_t n)
{
    *y = h_of(1);
    for (int64_t i = 0; i < n; i++) *y = h_mul(*y, x[i]);
}

/* The mean over all that are largest. */
static void l_max(const hyper *x, hyper *y, int64_t n)
{
    double top = x[0].x, ties = 0;
    for (int64_t i = 1; i < n; i++) top = fmax(top, x[i].x);
    *y = h_of(0);
    for (int64_t i = 0, largest = 0; i < n; i++) {
        if (x[i].x != top || largest++) near_kink(x[i].x - top);
        if (x[i].x == top) *y = h_add(*y, x[i]), ties++;
    }
    *y = h_scale(*y, 1 / ties);
}

/* ascending, stable */
static void l_sort(const hyper *x, hyper *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        int64_t place = 0;
        for (int64_t k = 0; k < i; k++) near_kink(x[k].x - x[i].x);
        for (int64_t k = 0; k < n; k++) place += x[k].x < x[i].x || (x[k].x == x[i].x && k < i);
        y[place] = x[i];
    }
}

void l_normal(const hyper *x, hyper *y, int64_t n)
{
    hyper mean, var;
    l_mean(x, &mean, n);
    l_var(x, &var, n);
    for (int64_t i = 0; i < n; i++) y[i] = h_div(h_sub(x[i], mean), h_sqrt(h_plus(var, 0.01)));
}

void l_rms(const hyper *x, hyper *y, int64_t n)
{
    hyper mean = h_of(0);
    for (int64_t i = 0; i < n; i++) mean = h_add(mean, h_scale(h_square(x[i]), 1 / (real)n));
    for (int64_t i = 0; i < n; i++) y[i] = h_div(x[i], h_sqrt(h_plus(mean, 0.01)));
}

static wg_tensor t_sum(wg_tensor a, int axis) { return wg_sum(a, WG_AXES(axis), true); }
static wg_tensor t_mean(wg_tensor a, int axis) { return wg_mean(a, WG_AXES(axis), true); }
static wg_tensor t_var(wg_tensor a, int axis) { return wg_var(a, WG_AXES(axis), true, 0); }
static wg_tensor t_prod(wg_tensor a, int axis) { return wg_prod(wg_tanh(a), WG_AXES(axis), true); }
static wg_tensor t_max(wg_tensor a, int axis) { return wg_max(a, WG_AXES(axis), true); }
static wg_tensor t_logsumexp(wg_tensor a, int axis) { return wg_logsumexp(a, WG_AXES(axis), true); }
static wg_tensor t_sort(wg_tensor a, int axis) { return wg_sort(a, axis, false); }
/* Norms are along the last axis, and that of a batch along the first. */
static wg_tensor t_layer_norm(wg_tensor a, int axis)
{
    if (axis == 0 && wg_size(a, 0) > 1) return wg_batch_norm_train(a, WG_NONE, WG_NONE, 0.01, NULL, NULL);
    return axis ? wg_layer_norm(a, WG_NONE, WG_NONE, 0.01) : wg_t(wg_layer_norm(wg_t(a), WG_NONE, WG_NONE, 0.01));
}
static wg_tensor t_rms_norm(wg_tensor a, int axis)
{
    return axis ? wg_rms_norm(a, WG_NONE, 0.01) : wg_t(wg_rms_norm(wg_t(a), WG_NONE, 0.01));
}

void along(program *p)
{
    static const struct {
        const char *name;
        wg_tensor (*op)(wg_tensor, int);
        void (*of)(const hyper *, hyper *, int64_t);
        bool one;               /* the result has one element a line */
        hyper (*before)(hyper); /* applied to the elements first */
    } ops[] = {{"softmax", wg_softmax, l_softmax, false, NULL},
               {"log_softmax", wg_log_softmax, l_log_softmax, false, NULL},
               {"logsumexp", t_logsumexp, l_logsumexp, true, NULL},
               {"cumsum", wg_cumsum, l_cumsum, false, NULL},
               {"sum", t_sum, l_sum, true, NULL},
               {"mean", t_mean, l_mean, true, NULL},
               {"var", t_var, l_var, true, NULL},
               {"prod", t_prod, l_prod, true, h_tanh},
               {"max", t_max, l_max, true, NULL},
               {"sort", t_sort, l_sort, false, NULL},
               {"norm", t_layer_norm, l_normal, false, NULL},
               {"rms_norm", t_rms_norm, l_rms, false, NULL}};
    const uint32_t k = roll(&p->dice, sizeof ops / sizeof *ops);
    const int axis = (int)roll(&p->dice, 2);
    const value *a = any(p);
    const int64_t n = axis ? a->m.cols : a->m.rows, lines = axis ? a->m.rows : a->m.cols;
    const int64_t rows = !axis && ops[k].one ? 1 : a->m.rows, cols = axis && ops[k].one ? 1 : a->m.cols;
    matrix *y = next(p, ops[k].name, ops[k].op(a->t, axis), rows, cols);
    for (int64_t l = 0; l < lines; l++) {
        hyper in[MATRIX_MOST], out[MATRIX_MOST];
        for (int64_t i = 0; i < n; i++) in[i] = axis ? AT(&a->m, l, i) : AT(&a->m, i, l);
        for (int64_t i = 0; i < n && ops[k].before; i++) in[i] = ops[k].before(in[i]);
        ops[k].of(in, out, n);
        for (int64_t i = 0; i < (ops[k].one ? 1 : n); i++) *(axis ? &AT(y, l, i) : &AT(y, i, l)) = out[i];
    }
    settle_kinks(p, &a->m, &a->m);
}
