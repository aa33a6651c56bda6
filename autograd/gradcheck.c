/* The gradient check: compares the tape's derivatives with central differences of the loss, in f64 and by signed value.
 *
 * First order: (f(p + e d) - f(p - e d)) / 2e against g . d, with d a random direction over all parameters or one
 * element. Second order: the same for g . r, r a fixed random vector, whose derivative is sum_i (dg_i / dp)^T r_i.
 * This is the only file of autograd/ that does arithmetic on values itself: those of the check, not of a model. */
#include "gradcheck.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "grad.h"
#include "base/fp.h"
#include "base/heap.h"
#include "base/random.h"
#include "tape.h"

/* Keys of the checker's own random streams. */
enum { KEY_DIRECTION = 0x6469, KEY_WEIGHTS = 0x7765, KEY_ELEMENT = 0x656c };

typedef struct subject { /* a parameter to check, or another member whose value a run may change */
    wg_param *param;
    const char *name;
    int64_t numel;
    int64_t start; /* index of its first element in the vectors below */
    bool checked;  /* it receives a gradient */
} subject;

typedef struct checker {
    wg_tape *tape;
    wg_params *set;
    wg_loss_fn loss;
    void *context;
    wg_gradcheck_options options;
    int order;         /* of the derivative that is checked */
    uint64_t step;     /* of all random numbers */
    subject *subjects; /* the checked ones first */
    int n, n_checked;
    int64_t total, total_checked;
    wg_tensor *uses, *grads; /* [n_checked] */
    double *value;           /* [total] the caller's values */
    double *direction;       /* [total_checked] */
    double *weights;         /* [total_checked] r */
    double *analytic;        /* [total_checked] */
    wg_verdict verdict;
} checker;

wg_gradcheck_options wg_gradcheck_defaults(void)
{
    return (wg_gradcheck_options){.epsilon = 1e-6, .atol = 1e-7, .rtol = 1e-5, .directions = 4, .elements = 20};
}

static bool refuse(checker *c, wg_status status, const char *text)
{
    if (c->verdict.status == WG_OK) {
        c->verdict.status = status;
        snprintf(c->verdict.text, sizeof c->verdict.text, "gradcheck: %s", text);
    }
    return false;
}

/* ---- values ---------------------------------------------------------------------------------------------- */

/* Sets the values to base + step * direction; direction NULL: to the base. Restores buffers, which a run may assign. */
static void move_to(checker *c, const double *direction, double step)
{
    const wg__fp caller = wg__fp_begin();
    for (int i = 0; i < c->n; i++) {
        const subject *s = &c->subjects[i];
        double *value = wg_param_write_begin(s->param);
        const double *base = c->value + s->start;
        for (int64_t k = 0; k < s->numel; k++)
            value[k] = s->checked && direction ? base[k] + step * direction[s->start + k] : base[k];
        wg_param_write_end(s->param);
    }
    wg__fp_end(&caller);
}

/* Uniform in [-1, 1) or, as a direction, in a range in which its length is 1 on average. */
static void fill_random(const checker *c, uint64_t key, uint64_t number, bool direction, double *out)
{
    const wg__fp caller = wg__fp_begin();
    const double scale = direction ? sqrt(3.0 / (double)c->total_checked) : 1;
    for (int64_t i = 0; i < c->total_checked; i++) {
        uint32_t bits[4];
        wg__random4(c->options.seed, number, key, (uint64_t)i, bits);
        out[i] = scale * (2 * wg__uniform(bits[0]) - 1);
    }
    wg__fp_end(&caller);
}

/* ---- evaluating ------------------------------------------------------------------------------------------ */

/* Records the loss and, for the second order, its gradients. */
static bool record(checker *c, bool gradients, wg_tensor *loss)
{
    wg_tape_reset(c->tape);
    wg_set_step(c->tape, c->step);
    *loss = c->loss(c->context, c->tape, c->set);
    if (wg_tape_status(c->tape) != WG_OK) return refuse(c, wg_tape_status(c->tape), wg_tape_message(c->tape));
    if (wg_is_nil(*loss)) return refuse(c, WG_ERR_ARGUMENT, "the loss is nil");
    if (loss->tape != c->tape) return refuse(c, WG_ERR_ARGUMENT, "the loss is on another tape");
    if (wg_numel(*loss) != 1 || wg_dtype_get(*loss) != WG_F64)
        return refuse(c, WG_ERR_SHAPE, "the loss must be one f64 number (wg_mean_all, wg_sum_all)");
    if (!gradients) return true;
    for (int i = 0; i < c->n_checked; i++) c->uses[i] = wg_use(c->tape, c->subjects[i].param);
    wg_grad(*loss, c->uses, c->n_checked, WG_NONE, c->grads);
    return true;
}

static bool ran(checker *c, wg_status status)
{
    if (status == WG_OK) status = wg_tape_status(c->tape);
    return status == WG_OK || refuse(c, status, wg_tape_message(c->tape));
}

/* sum += a . b, in the library's environment. */
static void add_product(int64_t n, const double *a, const double *b, double *sum)
{
    const wg__fp caller = wg__fp_begin();
    for (int64_t i = 0; i < n; i++) *sum += a[i] * b[i];
    wg__fp_end(&caller);
}

static void add_to(int64_t n, const double *x, double *sum)
{
    const wg__fp caller = wg__fp_begin();
    for (int64_t i = 0; i < n; i++) sum[i] += x[i];
    wg__fp_end(&caller);
}

/* The function whose derivative is checked: the loss, or g . r. */
static bool evaluate(checker *c, double *result)
{
    wg_tensor loss;
    if (!record(c, c->order == 2, &loss)) return false;
    if (c->order == 1) {
        *result = wg_item(loss);
        return ran(c, WG_OK);
    }
    if (!ran(c, wg_eval(c->grads, c->n_checked))) return false;
    *result = 0;
    for (int i = 0; i < c->n_checked; i++) {
        const subject *s = &c->subjects[i];
        const double *grad = wg_value(c->grads[i]);
        if (!grad) return ran(c, WG_OK);
        add_product(s->numel, grad, c->weights + s->start, result);
    }
    return true;
}

/* The derivative by the tape: g, or sum_i (dg_i / dp)^T r_i. */
static bool differentiate(checker *c)
{
    wg_tensor loss;
    memset(c->analytic, 0, (size_t)c->total_checked * sizeof *c->analytic);
    if (!record(c, true, &loss)) return false;
    int sweeps = c->order == 1 ? 1 : c->n_checked;
    for (int sweep = 0; sweep < sweeps; sweep++) {
        const subject *from = &c->subjects[sweep];
        if (c->order == 2) {
            if (sweep > 0 && !record(c, true, &loss)) return false;
            wg_tensor r = wg_data(c->tape, WG_F64, wg_param_shape(from->param), c->weights + from->start);
            wg_grad(c->grads[sweep], c->uses, c->n_checked, r, c->grads);
        }
        if (!ran(c, wg_eval(c->grads, c->n_checked))) return false;
        for (int i = 0; i < c->n_checked; i++) {
            const subject *s = &c->subjects[i];
            const double *value = wg_value(c->grads[i]);
            if (!value) return ran(c, WG_OK);
            add_to(s->numel, value, c->analytic + s->start);
        }
        move_to(c, NULL, 0);
    }
    return true;
}

/* ---- comparing ------------------------------------------------------------------------------------------- */

/* Compares with the difference of the values above and below. */
WG__FP_CALLED static void compare(checker *c, const char *name, int64_t index, double analytic, double above,
                                  double below)
{
    wg_verdict *v = &c->verdict;
    const double numeric = (above - below) / (2 * c->options.epsilon);
    double allowed = c->options.atol + c->options.rtol * fabs(numeric), gap = fabs(analytic - numeric);
    double excess = gap == 0 ? 0 : gap / allowed;
    if (!isfinite(analytic) || !isfinite(numeric)) excess = INFINITY;
    if (v->checks++ > 0 && !(excess > v->excess)) return;
    v->param = name;
    v->index = index;
    v->analytic = analytic;
    v->numeric = numeric;
    v->excess = excess;
    v->order = c->order;
}

/* The tape's derivative along c->direction. */
WG__FP_CALLED static double slope(const checker *c)
{
    double sum = 0;
    for (int64_t i = 0; i < c->total_checked; i++)
        if (c->direction[i] != 0) sum += c->analytic[i] * c->direction[i];
    return sum;
}

/* Compares the difference along c->direction with the tape's derivative. */
static bool check_direction(checker *c, const char *name, int64_t index)
{
    double above, below, step = c->options.epsilon;
    move_to(c, c->direction, step);
    if (!evaluate(c, &above)) return false;
    move_to(c, c->direction, -step);
    if (!evaluate(c, &below)) return false;
    move_to(c, NULL, 0);
    const wg__fp caller = wg__fp_begin();
    compare(c, name, index, slope(c), above, below);
    wg__fp_end(&caller);
    return true;
}

/* The i-th of n elements to check: one is drawn from each of n equal parts of the parameter. */
WG__FP_CALLED static int64_t draw_element(const checker *c, const subject *s, int64_t i, int64_t n)
{
    if (n == s->numel) return i;
    uint32_t bits[4];
    wg__random4(c->options.seed, (uint64_t)i, KEY_ELEMENT + (uint64_t)s->start, 0, bits);
    double part = (double)s->numel / (double)n;
    int64_t element = (int64_t)(((double)i + wg__uniform(bits[0])) * part);
    return element < s->numel ? element : s->numel - 1;
}

static int64_t element_at(const checker *c, const subject *s, int64_t i, int64_t n)
{
    const wg__fp caller = wg__fp_begin();
    const int64_t element = draw_element(c, s, i, n);
    wg__fp_end(&caller);
    return element;
}

static bool check_order(checker *c, int order)
{
    c->order = order;
    if (!differentiate(c)) return false;
    for (int i = 0; i < c->options.directions && c->total_checked > 0; i++) {
        fill_random(c, KEY_DIRECTION, (uint64_t)i, true, c->direction);
        if (!check_direction(c, "all parameters", -1)) return false;
    }
    memset(c->direction, 0, (size_t)c->total_checked * sizeof *c->direction);
    for (int i = 0; i < c->n_checked; i++) {
        const subject *s = &c->subjects[i];
        int64_t n = c->options.elements < 0 || c->options.elements > s->numel ? s->numel : c->options.elements;
        for (int64_t k = 0; k < n; k++) {
            int64_t element = element_at(c, s, k, n);
            c->direction[s->start + element] = 1;
            bool done = check_direction(c, s->name, element);
            c->direction[s->start + element] = 0;
            if (!done) return false;
        }
    }
    return true;
}

/* Differences are meaningless if the loss is a different function in each call. */
static bool check_repeats(checker *c)
{
    double first, second;
    c->order = 1;
    if (!evaluate(c, &first)) return false;
    move_to(c, NULL, 0);
    if (!evaluate(c, &second)) return false;
    move_to(c, NULL, 0);
    if (!isfinite(first)) return refuse(c, WG_ERR_NONFINITE, "the loss is not finite");
    return first == second ||
           refuse(c, WG_ERR_ARGUMENT, "the loss differs when it is recorded a second time: does its data change?");
}

/* ---- the check ------------------------------------------------------------------------------------------- */

/* Lists the members, tied parameters once, those that receive a gradient first. */
static void list_subjects(checker *c)
{
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < wg_params_count(c->set); i++) {
            wg_param *param = wg_params_at(c->set, i);
            bool tied = wg_param_index(param) != i;
            bool checked = !wg_param_is_buffer(param) && !wg_param_is_frozen(param);
            if (tied || checked != (pass == 0)) continue;
            int64_t numel = wg_param_numel(param);
            c->subjects[c->n++] = (subject){param, wg_param_name(param), numel, c->total, checked};
            memcpy(c->value + c->total, wg_param_value(param), (size_t)numel * sizeof(double));
            c->total += numel;
        }
        if (pass == 0) {
            c->n_checked = c->n;
            c->total_checked = c->total;
        }
    }
}

static void conclude(checker *c)
{
    wg_verdict *v = &c->verdict;
    v->ok = v->status == WG_OK && v->excess <= 1;
    if (v->status != WG_OK) return;
    char where[128] = "in a random direction", name[81];
    if (v->index >= 0)
        snprintf(where, sizeof where, "at %.80s[%lld]", wg_printable(v->param, name, sizeof name),
                 (long long)v->index);
    if (v->checks == 0) {
        snprintf(v->text, sizeof v->text, "gradcheck: passed; the parameters have no elements");
    } else {
        snprintf(v->text, sizeof v->text, "gradcheck: %s, order %d, %s: analytic %.10g, numeric %.10g",
                 v->ok ? "passed; worst" : "FAILED", v->order, where, v->analytic, v->numeric);
    }
}

static void check(checker *c)
{
    c->step = wg_next_step(c->tape);
    list_subjects(c);
    fill_random(c, KEY_WEIGHTS, 0, false, c->weights);
    bool done =
        c->n_checked > 0 || refuse(c, WG_ERR_ARGUMENT, "the set has no parameter to check, or all are frozen");
    done = done && check_repeats(c) && check_order(c, 1) && (!c->options.second_order || check_order(c, 2));
    move_to(c, NULL, 0);
    wg_tape_reset(c->tape);
    wg_set_step(c->tape, c->step);
    if (done) conclude(c);
}

wg_verdict wg_gradcheck(wg_tape *tape, wg_params *set, wg_loss_fn loss, void *context, wg_gradcheck_options options)
{
    checker c = {.tape = tape, .set = set, .loss = loss, .context = context, .options = options};
    if (!tape || !set || !loss) {
        refuse(&c, WG_ERR_ARGUMENT, "tape, set and loss must not be NULL");
    } else if (wg_params_status(set) != WG_OK) {
        refuse(&c, wg_params_status(set), wg_params_message(set));
    } else if (wg_params_dtype(set) != WG_F64) {
        refuse(&c, WG_ERR_DTYPE, "the set must be f64: create it with wg_params_new(WG_F64)");
    } else if (!(options.epsilon > 0) || !(options.atol >= 0) || !(options.rtol >= 0)) {
        refuse(&c, WG_ERR_ARGUMENT, "epsilon must be positive and tolerances not negative (wg_gradcheck_defaults)");
    } else if (options.directions <= 0 && options.elements == 0) {
        refuse(&c, WG_ERR_ARGUMENT, "directions and elements are both 0: nothing would be compared");
    }
    if (c.verdict.status != WG_OK) return c.verdict;

    size_t members = wg_params_count(set), numbers = 0;
    for (size_t i = 0; i < members; i++) numbers += (size_t)wg_param_numel(wg_params_at(set, i));
    size_t lists = members * (sizeof *c.subjects + 2 * sizeof *c.uses),
           bytes = lists + 4 * numbers * sizeof(double);
    wg__heap heap = {.allocator = wg_params_allocator(set)};
    char *memory = wg__heap_alloc(&heap, bytes);
    if (memory) {
        c.value = (double *)(void *)memory;
        c.direction = c.value + numbers;
        c.weights = c.direction + numbers;
        c.analytic = c.weights + numbers;
        c.uses = (wg_tensor *)(void *)(c.analytic + numbers);
        c.grads = c.uses + members;
        c.subjects = (subject *)(void *)(c.grads + members);
        check(&c);
    } else {
        refuse(&c, WG_ERR_MEMORY, "out of memory");
    }
    wg__heap_release(&heap, memory, bytes);
    return c.verdict;
}
