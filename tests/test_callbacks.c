/* Code of the caller that the library calls may call the library: error callbacks and the functions of an op reset the
 * tape, free it, evaluate, differentiate. Each call is refused or harmless, and the tape works afterwards. */
#include "tensors.h"

static wg_tape *tape, *other;
static wg_params *set;
static wg_param *w;
static wg_buffer *buffer;
static wg_tensor before; /* recorded before the failure */
static int calls, depth;

static wg_tensor loss_of(void *context, wg_tape *on, wg_params *params)
{
    return wg_mean_all(wg_square(wg_use(on, w)));
}

/* Everything that could pull the ground from under the call that has not returned. */
static void meddle(wg_tape *on)
{
    calls++;
    if (depth++ == 0) {
        wg_tensor x = wg_use(on, w), y = wg_tanh(x), parts[3], grad;
        wg_assign(buffer, wg_sum_all(y));
        wg_keep(y);
        wg_split(before, 0, 3, parts);
        wg_grad(wg_sum_all(before), &x, 1, WG_NONE, &grad);
        (void)wg_item(wg_sum_all(before));
        (void)wg_eval(&before, 1);
        (void)wg_backward(wg_sum_all(before));
        (void)wg_plan_bytes(&before, 1);
        wg_scope_begin(on, "from inside");
        wg_no_grad_begin(on);
        wg_no_grad_end(on);
        wg_remat_begin(on);
        wg_remat_end(on);
        wg_scope_end(on);
        (void)wg_gradcheck(on, set, loss_of, NULL, wg_gradcheck_defaults());
        CHECK(wg_tape_reset(on) != WG_OK && wg_tape_reset(on) != WG_OK);
        wg_tape_free(on);
        CHECK(wg_item(wg_mean_all(wg_ones(other, WG_F64, WG_DIMS(5)))) == 1);
        wg_tape_reset(other);
        wg_zero_grad(set);
    }
    depth--;
}

static void on_error(void *context, wg_status status, const char *message)
{
    CHECK(context == &calls && message[0]);
    meddle(tape);
    CHECK(wg_tape_status(tape) == status && message == wg_tape_message(tape));
}

static wg_status infer(wg_infer *c)
{
    c->out = c->in[0];
    return WG_OK;
}

static void ones(const wg_args *args, int64_t task)
{
    for (int64_t i = 0; i < args->out.numel; i++) ((double *)args->out.data)[i] = 1;
}

static wg_kernel choose(const wg_op *op, const wg_dtype *in, int n_in, wg_dtype out) { return ones; }

static const wg_op no_vjp = {
    .struct_size = sizeof(wg_op), .name = "no_vjp", .min_in = 1, .max_in = 1, .infer = infer, .select = choose};

/* ---- a failure of each kind ---- */

static void shapes_differ(void) { wg_matmul(wg_use(tape, w), wg_ones(tape, WG_F64, WG_DIMS(7, 7))); }

static void in_a_composition(void)
{
    wg_scope_begin(tape, "a");
    wg_tensor mean, var, x = wg_ones(tape, WG_F64, WG_DIMS(4, 5)), y = wg_ones(tape, WG_F64, WG_DIMS(9));
    wg_batch_norm_train(x, y, y, 1e-5, &mean, &var);
    wg_einsum("ij,jk->ik", (wg_tensor[]){x, x}, 2);
    wg_detach(wg_add(x, y));
    wg_scope_end(tape);
}

static void no_derivative(void)
{
    wg_tensor x = wg_use(tape, w);
    for (int i = 0; i < 20; i++) x = wg_tanh(wg_matmul(x, wg_use(tape, w)));
    wg_tensor y = wg_record(&no_vjp, &x, 1, NULL, 0);
    for (int i = 0; i < 20; i++) y = wg_softmax(wg_matmul(y, wg_use(tape, w)), -1);
    (void)wg_backward(wg_sum_all(y));
}

static void no_derivative_on_the_tape(void)
{
    wg_tensor x = wg_use(tape, w), y = wg_exp(wg_record(&no_vjp, &x, 1, NULL, 0));
    wg_jacobian(wg_sum(y, WG_AXES(0), false), x);
}

static void bad_index(void)
{
    static const int32_t bad[2] = {0, 99};
    wg_tensor e = wg_embedding(wg_use(tape, w), wg_data(tape, WG_I32, WG_DIMS(2), bad));
    wg_assign(buffer, wg_sum_all(e));
    (void)wg_backward(wg_sum_all(wg_square(e)));
}

static void changed(void)
{
    wg_tensor y = wg_sum_all(wg_square(wg_use(tape, w)));
    wg_param_write_begin(w);
    wg_param_write_end(w);
    (void)wg_backward(y);
}

static void stale(void)
{
    wg_tensor x = before;
    x.epoch--;
    wg_add(x, x);
}

static void nonfinite(void) { (void)wg_item(wg_log(wg_sum_all(wg_sub(wg_use(tape, w), wg_use(tape, w))))); }

static void out_of_memory(void)
{
    (void)wg_item(wg_sum_all(wg_cumsum(wg_uniform(tape, WG_F64, WG_DIMS(INT64_C(1) << 50), 0, 1), 0)));
}

static double good_step(void)
{
    wg_zero_grad(set);
    wg_tensor loss = wg_mean_all(wg_square(wg_tanh(wg_matmul(wg_use(tape, w), wg_use(tape, w)))));
    if (wg_backward(loss) != WG_OK) FAIL("%s", wg_tape_message(tape));
    return wg_item(loss) + grad_at(w, 5);
}

static void case_reset_in_callback(void)
{
    static void (*const failures[])(void) = {
        shapes_differ, in_a_composition, no_derivative, no_derivative_on_the_tape, bad_index, changed,
        stale,         nonfinite,        out_of_memory};
    for (int eager = 0; eager < 2; eager++) {
        wg_tape_options options = wg_tape_defaults();
        options.eager = eager;
        options.locate_nonfinite = true;
        tape = wg_tape_new(options);
        other = new_tape();
        set = wg_params_new(WG_F64);
        w = wg_param_new(set, "w", WG_DIMS(12, 12), wg_init_uniform(-1, 1));
        buffer = wg_buffer_new(set, "buffer", WG_SCALAR, wg_init_zeros());
        wg_tape_on_error(tape, on_error, &calls);
        const double wanted = good_step();
        CHECK(wg_tape_reset(tape) == WG_OK);
        for (size_t i = 0; i < sizeof failures / sizeof *failures; i++) {
            before = wg_square(wg_use(tape, w));
            int had = calls;
            failures[i]();
            if (calls != had + 1) FAIL("failure %zu: %d calls", i, calls - had);
            CHECK(wg_tape_reset(tape) != WG_OK && wg_tape_reset(tape) == WG_OK);
            CHECK(good_step() == wanted);
            CHECK(wg_tape_reset(tape) == WG_OK);
        }
        wg_tape_free(tape);
        CLOSE(other);
        wg_params_free(set);
    }
}

/* ---- the functions of an op ---- */

static wg_status meddling_infer(wg_infer *c)
{
    c->out = c->in[0];
    CHECK(wg_tape_reset(tape) != WG_OK);
    wg_tape_free(tape);
    return WG_OK;
}

static wg_tensor meddling_vjp(const wg_vjp_args *v, int k)
{
    CHECK(wg_tape_reset(tape) != WG_OK);
    wg_tape_free(tape);
    return v->grad;
}

static void functions_of_an_op(void)
{
    static wg_op op[2];
    tape = new_tape();
    op[0] = op[1] = no_vjp;
    op[0].infer = meddling_infer;
    op[1].vjp = meddling_vjp;
    for (int i = 0; i < 2; i++) {
        wg_tensor x = wg_ones(tape, WG_F64, WG_DIMS(12, 12)), y = wg_sum_all(wg_record(&op[i], &x, 1, NULL, 0));
        CHECK(wg_is_nil(wg_grad1(y, x, WG_NONE)));
        CHECK(wg_tape_reset(tape) == WG_ERR_ARGUMENT &&
              strstr(wg_tape_message(tape), "from inside of another call"));
    }
    CLOSE(tape);
}

/* ---- functions that record: all but vjp are refused, whenever the engine calls them ---- */

static int late; /* the function records from its call number `late` on */

static void maybe_record(void)
{
    if (calls++ < late) return;
    CHECK(wg_is_nil(wg_tanh(before)) && wg_is_nil(wg_ones(tape, WG_F64, WG_DIMS(2))) && wg_is_nil(wg_use(tape, w)));
    CHECK(isnan(wg_item(before)) && wg_is_nil(wg_keep(before)));
}

static wg_status recording_infer(wg_infer *c) { return maybe_record(), infer(c); }
static wg_kernel recording_select(const wg_op *op, const wg_dtype *in, int n_in, wg_dtype out)
{
    return maybe_record(), ones;
}
static int64_t recording_tasks(const wg_args *args) { return maybe_record(), 1; }
static size_t recording_scratch(const wg_args *args) { return maybe_record(), 64; }
static void recording_kernel(const wg_args *args, int64_t task) { maybe_record(), ones(args, task); }
static wg_kernel choose_recording(const wg_op *op, const wg_dtype *in, int n_in, wg_dtype out)
{
    return recording_kernel;
}
static bool recording_view(const wg_shape *in, const wg_layout *layout_in, const wg_shape *out, const void *attr,
                           wg_layout *layout_out)
{
    return maybe_record(), *layout_out = *layout_in, true;
}

static void case_record_in_rule(void)
{
    static wg_op op[7];
    for (int i = 0; i < 7; i++) op[i] = no_vjp;
    op[0].infer = recording_infer;
    op[1].select = op[2].select = recording_select; /* op 1 while it is recorded, op 2 in the plan */
    op[3].tasks = recording_tasks;
    op[4].scratch = recording_scratch;
    op[5].select = choose_recording;
    op[6] = (wg_op){.struct_size = sizeof(wg_op),
                    .name = "view",
                    .kind = WG_KIND_VIEW,
                    .min_in = 1,
                    .max_in = 1,
                    .infer = infer,
                    .view = recording_view};
    set = wg_params_new(WG_F64);
    w = wg_param_new(set, "w", WG_DIMS(12, 12), wg_init_uniform(-1, 1));
    for (int i = 0; i < 7; i++) {
        tape = new_tape();
        calls = 0;
        late = i == 2;
        before = wg_square(wg_use(tape, w));
        wg_tensor y = wg_sum_all(wg_exp(wg_record(&op[i], &before, 1, NULL, 0)));
        CHECK(wg_is_nil(y) == (i < 2) && isnan(wg_item(y)) && calls > late);
        CHECK(wg_tape_status(tape) == WG_ERR_ARGUMENT);
        CHECK(strstr(wg_tape_message(tape), "only derivative rules record") &&
              !strchr(wg_tape_message(tape), '\n'));
        CHECK(wg_tape_reset(tape) == WG_ERR_ARGUMENT);
        late = 1000; /* the op itself is right */
        before = wg_square(wg_use(tape, w));
        CHECK(isfinite(wg_item(wg_sum_all(wg_record(&op[i], &before, 1, NULL, 0)))));
        CLOSE(tape);
    }
    wg_params_free(set);
}

static wg_status first_row_infer(wg_infer *c)
{
    c->out = (wg_shape){.rank = 1, .size = {c->in[0].size[1]}};
    return WG_OK;
}
/* Only of rows that are contiguous. */
static bool first_row(const wg_shape *in, const wg_layout *layout_in, const wg_shape *out, const void *attr,
                      wg_layout *layout_out)
{
    *layout_out = (wg_layout){.offset = layout_in->offset, .stride = {1}};
    return layout_in->stride[1] == 1 && layout_in->stride[0] == in->size[1];
}

/* The operand is copied for a view that its strides do not allow: all of it, also if the view is of a part. */
static void a_view_of_a_part(void)
{
    enum { ROWS = 8, COLS = 64 };
    static const wg_op op = {.struct_size = sizeof(wg_op),
                             .name = "first_row",
                             .kind = WG_KIND_VIEW,
                             .flags = WG_OP_NO_GRADIENT,
                             .min_in = 1,
                             .max_in = 1,
                             .infer = first_row_infer,
                             .view = first_row};
    double x[COLS * ROWS];
    for (int i = 0; i < COLS * ROWS; i++) x[i] = sin(i);
    tape = new_tape();
    const wg_tensor data = wg_data(tape, WG_F64, WG_DIMS(COLS, ROWS), x), turned = wg_t(wg_scale(data, 2));
    const wg_tensor parts[] = {wg_record(&op, &turned, 1, NULL, 0), wg_select(wg_exp(data), 1, 0),
                               wg_select(wg_square(data), 1, 0), wg_select(wg_tanh(data), 1, 0)};
    const wg_tensor all = wg_cumsum(wg_stack(parts, 4, 0), 0);
    CHECK(wg_eval(&all, 1) == WG_OK);
    const double *sums = wg_value(all);
    for (int i = 0; i < COLS; i++) {
        const double a = x[i * ROWS], want = 2 * a + exp(a) + a * a + tanh(a);
        CHECK(fabs(sums[3 * COLS + i] - want) < 1e-14);
    }
    CLOSE(tape);
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(case_reset_in_callback), TEST_CASE(functions_of_an_op),
                                 TEST_CASE(case_record_in_rule), TEST_CASE(a_view_of_a_part)};
    return RUN_TESTS(tests);
}
