/* Attention that is written out becomes the op when a step is planned: in every form of it, in no near miss, and with
 * the same numbers in any case. */
#include "attention_forms.h"

enum { TQ = 40, TK = 36, SIZE = 3, VALUES = 2, HEADS = 2, BATCH = 2 };

/* ---- with and without the pass ---- */

static wg_shape shape_of(int rank, int64_t rows, int64_t cols)
{
    return rank == 2   ? WG_DIMS(rows, cols)
           : rank == 3 ? WG_DIMS(BATCH, rows, cols)
                       : WG_DIMS(BATCH, HEADS, rows, cols);
}

static wg_params *operands(wg_dtype dtype, int rank, int64_t queries, int64_t keys)
{
    wg_params *set = wg_params_new(dtype);
    (void)wg_param_new(set, "q", shape_of(rank, queries, SIZE), wg_init_uniform(-1, 1));
    (void)wg_param_new(set, "k", shape_of(rank, keys, SIZE), wg_init_uniform(-1, 1));
    (void)wg_param_new(set, "v", shape_of(rank, keys, VALUES), wg_init_uniform(-1, 1));
    return set;
}

static wg_tensor apply(wg_tape *tape, wg_params *set, attention_fn attention)
{
    wg_tensor x[3];
    for (size_t i = 0; i < 3; i++) x[i] = wg_use(tape, wg_params_at(set, i));
    return attention(x[0], x[1], x[2]);
}

/* The profile of the tape has the op. */
static bool ran_attention(const wg_tape *tape) { return count_dumped(wg_dump_profile, tape, "attention") > 0; }

enum { NUMBERS = 4096 };

typedef struct outcome {
    double number[NUMBERS]; /* the loss, the gradients */
    size_t n;
    bool attention;
} outcome;

static void store(outcome *o, const wg_params *set, double loss)
{
    o->n = 0;
    o->number[o->n++] = loss;
    for (size_t i = 0; i < 3; i++) {
        const wg_param *param = wg_params_at(set, i);
        const void *grad = wg_param_grad(param);
        const bool single = wg_param_dtype(param) == WG_F32;
        for (int64_t j = 0; j < wg_param_numel(param); j++)
            o->number[o->n++] = single ? (double)((const float *)grad)[j] : ((const double *)grad)[j];
    }
}

static void run(attention_fn attention, wg_dtype dtype, int rank, const char *plan, outcome *o)
{
    wg_tape *tape = profiled_tape(plan);
    wg_params *set = operands(dtype, rank, TQ, TK);
    wg_tensor loss = weigh(apply(tape, set, attention), 7);
    wg_profile_clear(tape);
    CHECK(wg_backward(loss) == WG_OK);
    o->attention = ran_attention(tape);
    store(o, set, wg_item(loss));
    CLOSE(tape);
    wg_params_free(set);
}

static bool close_to(const outcome *a, const outcome *b, wg_dtype dtype)
{
    double scale = 1;
    for (size_t i = 0; i < a->n; i++) scale = fmax(scale, fabs(a->number[i]));
    return a->n == b->n && distance(a->number, b->number, a->n) <= scale * (dtype == WG_F32 ? 1e-5 : 1e-12);
}

static void check_form(const form *f, wg_dtype dtype, int rank)
{
    static outcome with, without;
    run(f->attention, dtype, rank, "", &with);
    run(f->attention, dtype, rank, "-attention", &without);
    bool close = close_to(&with, &without, dtype);
    if (with.attention == f->recognised && !without.attention && close) return;
    FAIL("%s: rank %d, %s: the op %s and %s%s", f->name, rank, wg_dtype_name(dtype),
         with.attention ? "ran" : "did not run", without.attention ? "ran when it was off" : "the numbers are ",
         close ? "right" : "wrong");
}

static void forms_and_near_misses(void)
{
    for (const form *f = attention_forms; f->name; f++)
        for (int rank = f->first_rank; check_wants(f->name) && rank <= f->last_rank; rank++) {
            check_form(f, WG_F64, rank);
            check_form(f, WG_F32, rank);
        }
}

/* ---- memory, masks ---- */

static size_t bytes_of(attention_fn attention, int64_t length, const char *plan)
{
    wg_tape *tape = tape_by(plan, NULL);
    wg_params *set = operands(WG_F32, 3, length, length);
    size_t bytes = wg_backward_bytes(wg_sum_all(apply(tape, set, attention)));
    CLOSE(tape);
    wg_params_free(set);
    return bytes;
}

static void memory_is_linear_in_the_length(void)
{
    const attention_fn some[] = {attention_form("scaled_scores"), attention_form("causal_fill"),
                                 attention_form("causal_where"), attention_form("fill_hidden")};
    for (int i = 0; i < 3; i++) {
        size_t half = bytes_of(some[i], 512, ""), whole = bytes_of(some[i], 1024, "");
        CHECK(whole < half * 5 / 2);
        CHECK(bytes_of(some[i], 1024, "-attention") > 3 * bytes_of(some[i], 512, "-attention"));
        CHECK(bytes_of(some[i], 512, "-attention") > 4 * half);
    }
    CHECK(bytes_of(some[3], 512, "-attention") > 2 * bytes_of(some[3], 512, "")); /* the mask itself is a matrix */
}

/* The op does not read what a mask hides: query 0 does not see the last key, and its infinite value does not make
 * the row NaN (0 times infinity). In one form it does see it. */
static void hidden_keys_are_not_read(void)
{
    enum { T = 256 };
    static const char *const names[] = {"causal_where",   "causal_fill",   "causal_and_seen", "causal_or_hidden",
                                        "causal_for_all", "next_key_seen", "own_key_hidden",  "either_seen"};
    for (int i = 0; i < 2 * 8; i++) {
        const attention_fn attention = attention_form(names[i / 2]);
        const int rank = i % 2 ? 4 : 3;
        wg_tape *tape = new_tape();
        wg_tensor q = random_leaf(tape, shape_of(rank, T, SIZE), 1),
                  k = random_leaf(tape, shape_of(rank, T, SIZE), 2);
        double v[BATCH * HEADS * T] = {0};
        v[T - 1] = NAN;
        const double *y = wg_value(attention(q, k, wg_data(tape, WG_F64, shape_of(rank, T, 1), v)));
        CHECK(y && (y[0] == 0) == (strcmp(names[i / 2], "either_seen") != 0));
        CLOSE(tape);
        const bool linear = bytes_of(attention, 1024, "") < bytes_of(attention, 512, "") * 5 / 2;
        if (linear != (i / 2 < 5 && i / 2 != 3))
            FAIL("%s: its memory is %s in the length", names[i / 2], linear ? "linear" : "quadratic");
    }
}

/* The mask compares the number of a problem in the batch with that of the query, or of the key. */
static double by_problem(const char *plan, bool keys)
{
    enum { T = 16 };
    wg_tape *tape = tape_by(plan, NULL);
    wg_tensor q = random_leaf(tape, WG_DIMS(T, T, 1), 1), k = random_leaf(tape, WG_DIMS(T, T, 1), 2);
    wg_tensor s = products(q, k), mask = wg_unsqueeze(tril(s, 0), keys ? 1 : 2);
    double y = wg_item(weigh(wg_matmul(weights(wg_where(mask, s, infinity(s))), k), 3));
    CLOSE(tape);
    return y;
}

static void a_batch_is_not_causal(void)
{
    CHECK(fabs(by_problem("", false) - by_problem("-attention", false)) < 1e-12);
    CHECK(fabs(by_problem("", true) - by_problem("-attention", true)) < 1e-12);
}

/* ---- plans that follow each other ---- */

static double scale_of_step;
static wg_tensor scaled_by_step(wg_tensor q, wg_tensor k, wg_tensor v)
{
    return wg_matmul(weights(wg_scale(products(q, k), scale_of_step)), v);
}

/* One step on a tape that is used again. */
static void step(wg_tape *tape, wg_params *set, attention_fn attention, outcome *o)
{
    wg_tensor loss = weigh(apply(tape, set, attention), 7);
    wg_zero_grad(set);
    CHECK(wg_backward(loss) == WG_OK);
    store(o, set, wg_item(loss));
    CHECK(wg_tape_reset(tape) == WG_OK);
}

static void steps_follow_each_other(void)
{
    static const char *const names[] = {"", "weights_read", "", "causal_fill", "weights_read", "", "plain", ""};
    static outcome with, without;
    wg_tape *tapes[2] = {tape_by("", NULL), tape_by("-attention", NULL)};
    wg_params *set = operands(WG_F64, 4, TQ, TK);
    for (int i = 0; i < 8; i++) {
        scale_of_step = i - 2.5; /* a scalar is not part of the program: the plan is reused */
        const attention_fn attention = *names[i] ? attention_form(names[i]) : scaled_by_step;
        step(tapes[0], set, attention, &with);
        step(tapes[1], set, attention, &without);
        CHECK(close_to(&with, &without, WG_F64));
    }
    CHECK(wg_tape_count(tapes[0]).plan_misses == 4 && wg_tape_count(tapes[0]).plan_hits == 4);
    CLOSE(tapes[0]);
    CLOSE(tapes[1]);
    wg_params_free(set);
}

static void the_tape_stays_as_it_was(void)
{
    wg_tape *tape = new_tape();
    wg_params *set = operands(WG_F64, 3, TQ, TK);
    wg_tensor loss = weigh(apply(tape, set, attention_form("causal_or_hidden")), 7);
    char *before = dumped(wg_dump_text, tape);
    CHECK(wg_backward_bytes(loss) > 0);
    char *after = dumped(wg_dump_text, tape);
    CHECK(strcmp(before, after) == 0);
    free(before);
    free(after);
    CLOSE(tape);
    wg_params_free(set);
}

/* Values are read before (1, 2) or after (3) wg_backward, or every op runs at once (eager). */
static void run_and_read(const char *plan, bool eager, int look, outcome *o)
{
    wg_tape_options options = wg_tape_defaults();
    options.plan = plan;
    options.eager = eager;
    options.profile = true;
    wg_tape *tape = wg_tape_new(options);
    wg_params *set = operands(WG_F64, 3, TQ, TK);
    wg_tensor q = wg_use(tape, wg_params_at(set, 0)), k = wg_use(tape, wg_params_at(set, 1)),
              v = wg_use(tape, wg_params_at(set, 2));
    wg_tensor p = weights(wg_scale(products(q, k), 0.6)), y = wg_matmul(p, v), loss = weigh(y, 7);
    if (look == 1) (void)wg_item(loss);
    if (look == 2) CHECK(wg_value(y) != NULL);
    wg_profile_clear(tape);
    CHECK(wg_backward(loss) == WG_OK);
    o->attention = ran_attention(tape);
    store(o, set, wg_item(loss) + (look == 3 ? ((const double *)wg_value(p))[TK + 1] : 0));
    CLOSE(tape);
    wg_params_free(set);
}

static void values_can_be_read_before_and_after(void)
{
    static outcome with, without;
    for (int look = 0; look < 4; look++) {
        run_and_read("", false, look, &with);
        run_and_read("-attention", false, look, &without);
        CHECK(with.attention && !without.attention);
        CHECK(close_to(&with, &without, WG_F64));
        run_and_read("", true, look, &with);
        CHECK(!with.attention);
        CHECK(close_to(&with, &without, WG_F64));
    }
}

/* The first NaN is located among the ops as they were written. */
static void nan_is_located_in_the_written_ops(void)
{
    wg_tape_options options = wg_tape_defaults();
    options.locate_nonfinite = true;
    wg_tape *tape = wg_tape_new(options);
    wg_tensor q = wg_full(tape, WG_F64, WG_DIMS(TQ, SIZE), 1e200), y = attention_form("plain")(q, q, q);
    CHECK(wg_value(y) == NULL && strstr(wg_tape_message(tape), "matmul") != NULL);
    wg_tape_free(tape);
}

/* Weights that a buffer is assigned are computed. */
static void assigned_weights_are_computed(void)
{
    wg_tape *tape = new_tape();
    wg_params *set = operands(WG_F64, 2, TQ, TK);
    wg_buffer *buffer = wg_buffer_new(set, "weights", WG_DIMS(TQ, TK), wg_init_zeros());
    wg_tensor s = products(wg_use(tape, wg_params_at(set, 0)), wg_use(tape, wg_params_at(set, 1)));
    wg_tensor p = weights(wg_masked_fill(s, mask_of_keys(s), -INFINITY));
    wg_tensor loss = weigh(wg_matmul(p, wg_use(tape, wg_params_at(set, 2))), 7);
    wg_assign(buffer, p);
    CHECK(wg_backward(loss) == WG_OK);
    double sum = 0;
    for (int j = 0; j < TK; j++) sum += ((const double *)wg_param_value(buffer))[j];
    CHECK(fabs(sum - 1) < 1e-12);
    CLOSE(tape);
    wg_params_free(set);
}

/* ---- derivatives of derivatives ---- */

static wg_tensor loss_of(void *context, wg_tape *tape, wg_params *set)
{
    return weigh(apply(tape, set, *(attention_fn *)context), 7);
}

static void second_order(void)
{
    attention_fn some[] = {attention_form("scaled_scores"), attention_form("causal_fill"),
                           attention_form("learned_number")};
    for (int i = 0; i < 3; i++) {
        wg_params *set = operands(WG_F64, 3, 30, 25);
        if (!gradcheck_some(set, loss_of, &some[i], true, 4)) printf("    form %d\n", i);
        wg_params_free(set);
    }
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(forms_and_near_misses),
                                 TEST_CASE(memory_is_linear_in_the_length),
                                 TEST_CASE(hidden_keys_are_not_read),
                                 TEST_CASE(a_batch_is_not_causal),
                                 TEST_CASE(steps_follow_each_other),
                                 TEST_CASE(the_tape_stays_as_it_was),
                                 TEST_CASE(values_can_be_read_before_and_after),
                                 TEST_CASE(nan_is_located_in_the_written_ops),
                                 TEST_CASE(assigned_weights_are_computed),
                                 TEST_CASE(second_order)};
    return RUN_TESTS(tests);
}
