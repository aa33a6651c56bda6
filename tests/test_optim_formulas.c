/* Random runs of every optimizer against its formula in scalar f64 code: parameters of groups with learning rates and
 * decays of their own, frozen for some steps, created later, under a schedule and clipping; and their state. */
#include "check.h"
#include "dice.h"
#include "wengert.h"

enum { PARAMS = 5, MOST = 19, STEPS = 9 };
typedef enum kind { SGD, RMSPROP, ADAM, ADAMW, AMSGRAD, RADAM, ADAGRAD, KINDS } kind;

/* A parameter as the scalar code has it. */
typedef struct scalar {
    wg_param *param; /* NULL: not created yet */
    int n, steps;
    bool frozen, vector;
    double lr_scale, decay; /* decay < 0: the optimizer's */
    double p[MOST], g[MOST], m[MOST], s[MOST], a[MOST];
} scalar;

typedef struct setting {
    kind kind;
    double lr, momentum, dampening, decay, alpha, epsilon, beta1, beta2, lr_decay, initial;
    bool nesterov, centered, inside;
} setting;

static double number(dice *r, double low, double high)
{
    return low + (high - low) * (double)roll(r, 1 << 20) / (1 << 20);
}

static setting any_setting(dice *r)
{
    setting s = {
        .kind = (kind)roll(r, KINDS), .lr = number(r, 0.01, 0.1), .decay = roll(r, 2) ? number(r, 0, 0.5) : 0};
    s.momentum = roll(r, 3) ? number(r, 0.3, 0.95) : 0;
    s.nesterov = s.momentum > 0 && roll(r, 2);
    s.dampening = !s.nesterov && roll(r, 2) ? number(r, 0, 1) : 0;
    s.alpha = number(r, 0.5, 0.99);
    s.epsilon = number(r, 1e-3, 0.3);
    s.beta1 = number(r, 0.5, 0.95);
    s.beta2 = number(r, 0.8, 0.999);
    s.lr_decay = number(r, 0, 0.3);
    s.initial = number(r, 0, 0.2);
    s.centered = roll(r, 2);
    s.inside = roll(r, 2);
    return s;
}

static wg_optimizer *optimizer_of(wg_params *set, const setting *s)
{
    if (s->kind == SGD)
        return wg_sgd_new(set, (wg_sgd_options){s->lr, s->momentum, s->dampening, s->decay, s->nesterov});
    if (s->kind == RMSPROP)
        return wg_rmsprop_new(set, (wg_rmsprop_options){.lr = s->lr,
                                                        .alpha = s->alpha,
                                                        .epsilon = s->epsilon,
                                                        .momentum = s->momentum,
                                                        .weight_decay = s->decay,
                                                        .centered = s->centered,
                                                        .epsilon_inside = s->inside});
    const wg_adam_options o = {s->lr, s->beta1, s->beta2, s->epsilon, s->decay};
    if (s->kind == ADAGRAD)
        return wg_adagrad_new(set, (wg_adagrad_options){.lr = s->lr,
                                                        .lr_decay = s->lr_decay,
                                                        .epsilon = s->epsilon,
                                                        .initial = s->initial,
                                                        .weight_decay = s->decay});
    return (s->kind == ADAM      ? wg_adam_new
            : s->kind == AMSGRAD ? wg_amsgrad_new
            : s->kind == RADAM   ? wg_radam_new
                                 : wg_adamw_new)(set, o);
}

/* The formulas of optim.h, one element. */
static void update(const setting *s, double lr, scalar *x, int i)
{
    const double w = x->decay >= 0 ? x->decay : s->decay, k = x->steps;
    double g = x->g[i] + (s->kind == ADAMW ? 0 : w * x->p[i]), *m = &x->m[i], *v = &x->s[i], *a = &x->a[i];
    lr *= x->lr_scale;
    if (s->kind == SGD) {
        *m = x->steps == 1 ? g : s->momentum * *m + (1 - s->dampening) * g;
        x->p[i] -= lr * (s->momentum == 0 ? g : s->nesterov ? g + s->momentum * *m : *m);
    } else if (s->kind == RMSPROP) {
        *v = s->alpha * *v + (1 - s->alpha) * g * g;
        *a = s->alpha * *a + (1 - s->alpha) * g;
        const double d = s->centered ? fmax(0, *v - *a * *a) : *v;
        const double u = s->inside ? g / sqrt(d + s->epsilon) : g / (sqrt(d) + s->epsilon);
        *m = s->momentum * *m + u;
        x->p[i] -= lr * *m;
    } else if (s->kind == ADAGRAD) {
        *v += g * g + (k == 1 ? s->initial : 0);
        x->p[i] -= lr / (1 + (k - 1) * s->lr_decay) * g / (sqrt(*v) + s->epsilon);
    } else if (s->kind == RADAM) {
        const double rest1 = 1 - pow(s->beta1, k), rest2 = 1 - pow(s->beta2, k), most = 2 / (1 - s->beta2) - 1;
        const double r = most - 2 * k * (1 - rest2) / rest2;
        *m = s->beta1 * *m + (1 - s->beta1) * g;
        *v = s->beta2 * *v + (1 - s->beta2) * g * g;
        double step = lr * *m / rest1;
        if (r > 5)
            step *= sqrt((r - 4) * (r - 2) * most / (most - 4) / (most - 2) / r) / (sqrt(*v) + s->epsilon) *
                    sqrt(rest2);
        x->p[i] -= step;
    } else {
        if (s->kind == ADAMW) x->p[i] -= lr * w * x->p[i];
        *m = s->beta1 * *m + (1 - s->beta1) * g;
        *v = s->beta2 * *v + (1 - s->beta2) * g * g;
        *a = fmax(*a, *v);
        const double square = s->kind == AMSGRAD ? *a : *v;
        x->p[i] -= lr * (*m / (1 - pow(s->beta1, k))) / (sqrt(square / (1 - pow(s->beta2, k))) + s->epsilon);
    }
}

static void create(wg_params *set, dice *r, scalar *x, int number_of)
{
    char name[16];
    *x = (scalar){.n = 1 + (int)roll(r, MOST), .vector = roll(r, 2), .lr_scale = 1, .decay = -1};
    snprintf(name, sizeof name, "%s%d", number_of % 2 ? "odd" : "even", number_of);
    x->param = wg_param_new(set, name, x->vector ? WG_DIMS(x->n) : WG_DIMS(1, x->n), wg_init_zeros());
    double *to = wg_param_write_begin(x->param);
    for (int i = 0; i < x->n; i++) to[i] = x->p[i] = number(r, -1, 1);
    wg_param_write_end(x->param);
}

/* Two groups, which also hold for parameters that are created later. */
static void add_groups(wg_optimizer *o, dice *r, double *odd_lr, bool *vectors)
{
    wg_group odd = wg_group_defaults();
    odd.pattern = "odd*";
    odd.lr_scale = *odd_lr = number(r, 0.5, 2);
    CHECK(wg_optimizer_group(o, odd) == WG_OK);
    *vectors = roll(r, 2);
    if (*vectors) CHECK(wg_optimizer_no_decay(o) == WG_OK);
}

/* New gradients, the same in both; clipped to a norm over those that a step updates, one time in two. */
static void make_gradients(wg_params *set, dice *r, scalar *x)
{
    const double most = roll(r, 2) ? number(r, 0.1, 1) : INFINITY;
    double sum = 0, norm;
    for (int k = 0; k < PARAMS; k++) {
        if (!x[k].param) continue;
        double *g = wg_param_grad_write_begin(x[k].param);
        for (int i = 0; i < x[k].n; i++) g[i] = x[k].g[i] = number(r, -1, 1);
        for (int i = 0; i < x[k].n && !x[k].frozen; i++) sum += g[i] * g[i];
        wg_param_grad_write_end(x[k].param);
    }
    CHECK(wg_clip_grad_norm(set, most, &norm) == WG_OK && fabs(norm - sqrt(sum)) <= 1e-14 * norm);
    for (int k = 0; k < PARAMS && norm > most; k++)
        for (int i = 0; i < x[k].n && !x[k].frozen; i++) x[k].g[i] *= most / (sqrt(sum) + 1e-6);
}

static bool near(double a, double b) { return fabs(a - b) <= 1e-12 * (1 + fabs(b)); }

static void compare(const char *what, const scalar *x, const double *got, const double *want)
{
    for (int i = 0; i < x->n; i++) {
        if (near(got[i], want[i])) continue;
        FAIL("%s of %s: element %d is %.15g, in scalar code %.15g", what, wg_param_name(x->param), i, got[i],
             want[i]);
        return;
    }
}

/* Every array of the state, by its name. */
static void check_state(wg_optimizer *o, const scalar *x)
{
    const char *name;
    wg_dtype dtype;
    wg_shape shape;
    void *data;
    int64_t n;
    for (size_t i = 0; wg_optimizer_state_at(o, i, &name, &dtype, &shape, &data); i++) {
        const scalar *of = NULL;
        for (int k = 0; k < PARAMS; k++)
            if (x[k].param && !strcmp(strrchr(name, '.') + 1, wg_param_name(x[k].param))) of = &x[k];
        if (!CHECK(of && wg_shape_numel(&shape, &n))) return;
        const bool second = strstr(name, "max_") || strstr(name, "grad_avg");
        const double *want = second ? of->a : strstr(name, "sq") || strstr(name, ".sum.") ? of->s : of->m;
        if (dtype == WG_I32)
            CHECK(strstr(name, ".step.") && *(int32_t *)data == of->steps && n == 1);
        else if (CHECK(n == of->n))
            compare(name, of, data, want);
    }
}

static void check_run(uint64_t seed)
{
    dice r = {seed * 2 + 1};
    const setting s = any_setting(&r);
    wg_params *set = wg_params_new(WG_F64);
    scalar x[PARAMS] = {{0}};
    const int first = 2 + (int)roll(&r, PARAMS - 2);
    double odd_lr;
    bool no_decay;
    for (int k = 0; k < first; k++) create(set, &r, &x[k], k);
    wg_optimizer *o = optimizer_of(set, &s);
    add_groups(o, &r, &odd_lr, &no_decay);
    for (int step = 0, n = first; step < STEPS; step++) {
        const double lr = wg_schedule_cosine(s.lr, s.lr / 10, (uint64_t)step, STEPS);
        if (n < PARAMS && roll(&r, 3) == 0) create(set, &r, &x[n], n), n++;
        for (int k = 0; k < n; k++) {
            x[k].lr_scale = k % 2 ? odd_lr : 1; /* of the last group that sets it */
            x[k].decay = no_decay && x[k].vector ? 0 : -1;
            x[k].frozen = roll(&r, 4) == 0;
            wg_param_freeze(x[k].param, x[k].frozen);
        }
        make_gradients(set, &r, x);
        CHECK(wg_optimizer_set_lr(o, lr) == WG_OK && wg_optimizer_step(o) == WG_OK);
        for (int k = 0; k < n; k++) {
            x[k].steps += !x[k].frozen;
            for (int i = 0; i < x[k].n && !x[k].frozen; i++) update(&s, lr, &x[k], i);
            compare("the value", &x[k], wg_param_value(x[k].param), x[k].p);
        }
        check_state(o, x);
    }
    wg_optimizer_free(o);
    wg_params_free(set);
}

static void random_runs(void) { check_rounds(check_long() ? 100000 : 1000, check_run); }

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(random_runs)};
    return RUN_TESTS(tests);
}
