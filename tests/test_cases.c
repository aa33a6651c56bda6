/* What tests from outside found, by the names of their cases. */
#include "check.h"
#include "wengert.h"

/* ---- value_in_vjp: a derivative rule must not look at numbers --------------------------------------------------- */

static enum { LOOK_NOT, LOOK_VALUE, LOOK_BYTES, LOOK_RESET, LOOK_KEEP, LOOK_BACKWARD, LOOK_COUNT } look;

static wg_status same_shape(wg_infer *c)
{
    c->out = c->in[0];
    return WG_OK;
}

static void twice(const wg_args *args, int64_t task)
{
    (void)task;
    const float *in = args->in[0].data;
    float *out = args->out.data;
    for (int64_t i = 0; i < args->out.numel; i++) out[i] = 2 * in[i];
}

static wg_kernel select_twice(const wg_op *op, const wg_dtype *in, int n, wg_dtype out)
{
    (void)op, (void)in, (void)n, (void)out;
    return twice;
}

static wg_tensor twice_vjp(const wg_vjp_args *v, int k)
{
    (void)k;
    wg_tensor g = v->grad;
    switch (look) {
    case LOOK_VALUE: (void)wg_item(wg_sum_all(g)); break;
    case LOOK_BYTES: (void)wg_plan_bytes(&g, 1); break;
    case LOOK_RESET: (void)wg_tape_reset(g.tape); break;
    case LOOK_KEEP: wg_keep(wg_scale(g, 3)); break;
    case LOOK_BACKWARD: (void)wg_backward(wg_sum_all(g)); break;
    default: break;
    }
    return wg_scale(g, 2);
}

static const wg_op twice_op = {.struct_size = sizeof(wg_op),
                               .name = "twice",
                               .min_in = 1,
                               .max_in = 1,
                               .infer = same_shape,
                               .vjp = twice_vjp,
                               .select = select_twice};

static wg_tensor twice_of_net(wg_tape *tape, wg_param *w, int depth)
{
    wg_tensor x = wg_use(tape, w);
    for (int i = 0; i < depth; i++) x = wg_tanh(wg_matmul(x, wg_use(tape, w)));
    return wg_sum_all(wg_square(wg_record(&twice_op, &x, 1, NULL, 0)));
}

static void check_look(int depth)
{
    wg_tape *tape = wg_tape_new(wg_tape_defaults()); /* a new one: a cached plan would need no rule */
    wg_params *set = wg_params_new(WG_F32);
    wg_param *w = wg_param_new(set, "w", WG_DIMS(8, 8), wg_init_uniform(-0.3, 0.3));
    const bool legal = look == LOOK_NOT;
    CHECK((wg_backward(twice_of_net(tape, w, depth)) == WG_OK) == legal);
    CHECK(legal || strstr(wg_tape_message(tape), look == LOOK_RESET ? "inside" : "rule"));
    CHECK(wg_params_grad_valid(set) == legal);
    (void)wg_tape_reset(tape);
    wg_tensor loss = twice_of_net(tape, w, depth);
    (void)wg_grad1(loss, wg_use(tape, w), WG_NONE);
    CHECK((wg_tape_reset(tape) == WG_OK) == legal);
    wg_params_free(set);
    wg_tape_free(tape);
}

static void value_in_vjp(void)
{
    for (int depth = 0; depth < 12; depth++)
        for (look = LOOK_NOT; look < LOOK_COUNT; look++) check_look(depth);
}

/* ---- batch_norm_shared: two branches of a step take part in the running statistics, as in PyTorch ---------------- */

static void batch_norm_shared(void)
{
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    wg_params *set = wg_params_new(WG_F64);
    wg_batch_norm_layer norm;
    wg_batch_norm_init(&norm, set, "bn", 1);
    wg_tensor a = wg_batch_norm_apply(&norm, wg_data(tape, WG_F64, WG_DIMS(2, 1), (double[]){9, 11}));
    wg_tensor b = wg_batch_norm_apply(&norm, wg_data(tape, WG_F64, WG_DIMS(2, 1), (double[]){19, 25}));
    CHECK(wg_backward(wg_sum_all(wg_add(a, b))) == WG_OK);
    const double *mean = wg_param_value(norm.running_mean), *var = wg_param_value(norm.running_var);
    CHECK(fabs(*mean - (0.9 * 1 + 0.1 * 22)) < 1e-14); /* torch 2.13: 3.1 */
    CHECK(fabs(*var - (0.9 * (0.9 + 0.1 * 2) + 0.1 * 18)) < 1e-14);
    CHECK(*(const double *)wg_param_value(norm.num_batches_tracked) == 2);
    wg_params_free(set);
    wg_tape_free(tape);
}

/* The plain loop: what is assigned is what the next use reads, and what is there at the end is the last. */
static void buffer_assigned_twice(void)
{
    for (int eager = 0; eager < 2; eager++) {
        wg_tape_options options = wg_tape_defaults();
        options.eager = eager;
        wg_tape *tape = wg_tape_new(options);
        wg_params *set = wg_params_new(WG_F64);
        wg_buffer *buffer = wg_buffer_new(set, "b", WG_DIMS(2), wg_init_constant(1));
        wg_tensor x = wg_data(tape, WG_F64, WG_DIMS(2), (double[]){2, 3}), before = wg_use(tape, buffer), sum = x;
        for (int i = 0; i < 5; i++) {
            wg_assign(buffer, wg_mul(wg_use(tape, buffer), x));
            sum = wg_add(sum, wg_use(tape, buffer));
        }
        double v[2];
        CHECK(wg_read(sum, v, sizeof v) == WG_OK && v[0] == 2 + 62 && v[1] == 3 + 363);
        CHECK(wg_read(before, v, sizeof v) == WG_OK && v[0] == 1 && v[1] == 1);
        CHECK(wg_read(wg_use(tape, buffer), v, sizeof v) == WG_OK && v[0] == 32 && v[1] == 243);
        CHECK(((const double *)wg_param_value(buffer))[1] == 243);
        CHECK(wg_tape_reset(tape) == WG_OK);
        wg_params_free(set);
        wg_tape_free(tape);
    }
}

/* No gradient flows through a buffer, whenever it was assigned. */
static void no_gradient_through_a_buffer(void)
{
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    wg_params *set = wg_params_new(WG_F64);
    wg_param *w = wg_param_new(set, "w", WG_SCALAR, wg_init_constant(3));
    wg_buffer *buffer = wg_buffer_new(set, "b", WG_SCALAR, wg_init_constant(1));
    wg_assign(buffer, wg_square(wg_use(tape, w)));
    CHECK(wg_backward(wg_mul(wg_use(tape, buffer), wg_use(tape, w))) == WG_OK);
    CHECK(*(const double *)wg_param_grad(w) == 9 && *(const double *)wg_param_value(buffer) == 9);
    wg_params_free(set);
    wg_tape_free(tape);
}

/* ---- kv_room: a decoding step writes one row of its cache, in place ---------------------------------------------- */

static size_t bytes_of_a_step(int64_t room)
{
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    wg_params *set = wg_params_new(WG_F32);
    wg_lm lm;
    wg_kv_cache cache;
    wg_lm_options options = wg_lm_defaults();
    options.layer.heads = 2;
    CHECK(wg_lm_init(&lm, set, NULL, 50, room, 16, 2, options) == WG_OK);
    CHECK(wg_kv_cache_init(&cache, &lm.stack, set, "cache", 3, room, 0) == WG_OK);
    wg_set_training(tape, false);
    wg_no_grad_begin(tape);
    const int32_t token[3] = {1, 2, 3};
    wg_tensor logits = wg_lm_step(&lm, wg_data(tape, WG_I32, WG_DIMS(3), token), &cache, 7, WG_NONE);
    const size_t bytes = wg_plan_bytes(&logits, 1);
    CHECK(wg_eval(&logits, 1) == WG_OK);
    const float *keys = wg_param_value(cache.k[0]);
    for (int64_t i = 0; i < room * 8; i++)
        CHECK((keys[i] != 0) == (i / 8 == 7)); /* of the first sequence and head */
    wg_params_free(set);
    wg_tape_free(tape);
    return bytes;
}

static void kv_room(void)
{
    const size_t few = bytes_of_a_step(64), many = bytes_of_a_step(2048);
    CHECK(many < few + 2048 * 64); /* a cache's buffer takes 2048 * 384 bytes, and there are four */
}

/* ---- linear_permute: the gradient of a linear layer's weight is computed in place, not transposed by a copy ------ */

static void linear_permute(void)
{
    enum { N = 512 };
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    wg_params *set = wg_params_new(WG_F32);
    wg_linear_layer a, b;
    CHECK(wg_linear_init(&a, set, "a", N, N, wg_linear_defaults()) == WG_OK);
    CHECK(wg_linear_init(&b, set, "b", N, N, wg_linear_defaults()) == WG_OK);
    wg_tensor x = wg_uniform(tape, WG_F32, WG_DIMS(2, N), -1, 1);
    wg_tensor loss = wg_sum_all(wg_linear_apply(&b, wg_relu(wg_linear_apply(&a, x))));
    CHECK(wg_backward_bytes(loss) < N * N * sizeof(float));
    wg_params_free(set);
    wg_tape_free(tape);
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(value_in_vjp),
                                 TEST_CASE(batch_norm_shared),
                                 TEST_CASE(buffer_assigned_twice),
                                 TEST_CASE(no_gradient_through_a_buffer),
                                 TEST_CASE(kv_room),
                                 TEST_CASE(linear_permute)};
    return RUN_TESTS(tests);
}
