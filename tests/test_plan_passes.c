/* What passes of the planner achieve: merged products, saved activations, sums inside chains, shared weights. */
#include "tensors.h"

/* ---- merged products ---- */

/* A state that attends to keys [B, 5, 4] at every step. The gradient of the keys is a sum of batched products, every
 * second one transposed. */
static wg_tensor attending(void *context, wg_tape *tape, wg_params *set)
{
    wg_tensor keys = wg_tanh(wg_use(tape, wg_param_find(set, "keys")));
    wg_tensor h = wg_tanh(wg_use(tape, wg_param_find(set, "h")));
    for (int t = 0; t < *(const int *)context; t++) {
        wg_tensor weights = wg_tanh(wg_matmul(h, wg_t(keys)));
        h = wg_tanh(wg_add(h, wg_matmul(weights, keys)));
    }
    return weigh(h, 1);
}

static void sums_of_batched_products_are_merged(void)
{
    for (int batch = 1; batch <= 3; batch += 2) /* of the keys: 1 broadcasts */
        for (int queries = 1; queries <= 2; queries++) {
            int T = 4;
            wg_params *set = wg_params_new(WG_F64);
            wg_param_new(set, "keys", WG_DIMS(batch, 5, 4), wg_init_normal(0, 1));
            wg_param_new(set, "h", WG_DIMS(3, queries, 4), wg_init_normal(0, 1));
            CHECK(gradcheck(set, attending, &T, true));
            int64_t instructions[2];
            for (int merged = 0; merged < 2; merged++) {
                wg_tape *tape = tape_by(merged ? "" : "-merge", NULL);
                CHECK(wg_backward(attending(&T, tape, set)) == WG_OK);
                instructions[merged] = (int64_t)wg_tape_count(tape).instructions;
                CLOSE(tape);
            }
            /* One of 2 T products remains. With a broadcast batch each is reduced first, and cannot be merged. */
            CHECK(instructions[0] - instructions[1] >= (batch == 3 ? 2 * T - 1 : 0));
            wg_params_free(set);
        }
}

/* ---- saved activations ---- */

enum { ROWS = 24, UNITS = 32 };

typedef enum loop { GRU, LERP, SLICES, LSTM, SILU, GATED, DEEP, LOOPS } loop;

/* A loop of T steps over a state of [ROWS, UNITS]. */
static wg_tensor loop_loss(loop kind, wg_tape *tape, wg_params *set, const wg_rnn cells[2], int T)
{
    const wg_rnn *cell = &cells[kind == LSTM];
    wg_tensor W = wg_use(tape, wg_param_find(set, "W")), part[6];
    wg_tensor h = wg_cast(random_leaf(tape, WG_DIMS(ROWS, UNITS), 3), WG_F32), x = h;
    wg_rnn_state state = wg_rnn_zero_state(cell, tape, ROWS);
    if (kind == DEEP) h = wg_slice(wg_matmul(h, W), 1, 0, UNITS);
    for (int t = 0; t < T; t++) {
        if (kind == GRU || kind == LSTM) {
            h = wg_rnn_step(cell, x, &state);
            continue;
        }
        if (kind == DEEP) {
            h = wg_tanh(wg_scale(h, 1.1));
            continue;
        }
        wg_split(wg_matmul(h, W), -1, 6, part);
        for (int i = 1; i < 4; i++) part[0] = wg_add(part[0], part[i]);
        wg_tensor a = wg_tanh(part[0]), b = wg_sigmoid(wg_add(part[4], part[5]));
        switch (kind) {
        case LERP: h = wg_lerp(a, h, b); break;
        case SILU: h = wg_mul(part[0], wg_sigmoid(part[0])); break;
        case GATED: h = wg_mul(b, wg_tanh(wg_add(wg_mul(a, b), wg_mul(a, h)))); break;
        default: h = wg_tanh(wg_add(part[0], wg_mul(part[4], part[5])));
        }
    }
    return wg_mean_all(wg_square(wg_matmul(h, W)));
}

/* Saves those slices of a product that the backward pass reads, and nothing that its chains can recompute in a few
 * steps from what is saved anyway. */
static void the_backward_pass_saves_what_it_reads(void)
{
    /* States saved per step. GRU: r, z, n, h and the candidate's part of the projection. LERP: n, h, z. SLICES: h and
     * two of six slices. LSTM: four gates, c, h. SILU: h and the input of silu. GATED: a, b, h. DEEP: a third. */
    static const double saved[LOOPS] = {5, 3, 3, 6, 2, 3, 1. / 3};
    static const char *const plans[3] = {"", "-fuse,-place", "-recompute"};
    enum { T = 60, STATE = ROWS * UNITS * (int)sizeof(float) };
    wg_params *set = wg_params_new(WG_F32);
    wg_rnn cells[2];
    wg_rnn_options options = wg_rnn_defaults();
    options.cell = WG_GRU;
    CHECK(wg_rnn_init(&cells[0], set, "gru", UNITS, UNITS, options) == WG_OK);
    options.cell = WG_LSTM;
    CHECK(wg_rnn_init(&cells[1], set, "lstm", UNITS, UNITS, options) == WG_OK);
    wg_param_new(set, "W", WG_DIMS(UNITS, 6 * UNITS), wg_init_uniform(-.2, .2));
    for (loop kind = 0; kind < LOOPS; kind++) {
        size_t bytes[2];
        uint64_t hash[3];
        for (int i = 0; i < 2; i++) {
            wg_tape *tape = tape_by("", NULL);
            bytes[i] = wg_backward_bytes(loop_loss(kind, tape, set, cells, i ? 2 * T : T));
            CLOSE(tape);
        }
        CHECK((double)(bytes[1] - bytes[0]) < (saved[kind] + 0.5) * T * STATE);
        for (int i = 0; i < 3; i++) {
            wg_tape *tape = tape_by(plans[i], NULL);
            wg_zero_grad(set);
            CHECK(wg_backward(loop_loss(kind, tape, set, cells, 5)) == WG_OK);
            hash[i] = set_hash(set, true);
            CLOSE(tape);
        }
        CHECK(hash[0] == hash[1] && hash[0] == hash[2]);
    }
    wg_params_free(set);
}

/* ---- sums inside a chain ---- */

/* Axes of [4, 9, 5, 3]: the last; all but the channels; all; the first, which does not sum contiguous lines. */
static const wg_axes summed[] = {{1, {3}}, {3, {0, 2, 3}}, {0}, {1, {0}}};

/* Distances, and the share of each in their sum: the sum and its operand are read together. */
static wg_tensor distances(void *context, wg_tape *tape, wg_params *set)
{
    wg_axes axes = summed[*(const int *)context];
    wg_tensor x = wg_use(tape, wg_param_find(set, "x")), y = wg_use(tape, wg_param_find(set, "y"));
    wg_tensor d = wg_sub(x, y), square = wg_square(d), sum = wg_sum(square, axes, true);
    wg_tensor share = wg_div(square, wg_add(sum, wg_sum(wg_exp(d), axes, true)));
    return wg_add(weigh(share, 1), weigh(wg_sum(wg_tanh(share), axes, false), 2));
}

static void sums_are_part_of_the_chain(void)
{
    for (int kind = 0; kind < 4; kind++) {
        wg_params *set = wg_params_new(WG_F64);
        wg_param *x = wg_param_new(set, "x", WG_DIMS(4, 9, 5, 3), wg_init_normal(0, 1));
        wg_param_new(set, "y", WG_DIMS(4, 9, 5, 3), wg_init_normal(0, 1));
        CHECK(gradcheck(set, distances, &kind, true));
        double grad[2][540], value[2];
        for (int fused = 0; fused < 2; fused++) {
            wg_tape *tape = tape_by(fused ? "" : "-fuse", NULL);
            wg_tensor loss = distances(&kind, tape, set);
            wg_zero_grad(set);
            CHECK(wg_backward(loss) == WG_OK);
            value[fused] = wg_item(loss);
            memcpy(grad[fused], wg_param_grad(x), sizeof grad[fused]);
            CLOSE(tape);
        }
        CHECK(value[0] == value[1] && memcmp(grad[0], grad[1], sizeof grad[0]) == 0);
        wg_tape *tape = tape_by("", NULL);
        wg_tensor a = wg_use(tape, x), b = wg_use(tape, wg_param_find(set, "y")), d = wg_square(wg_sub(a, b));
        wg_tensor both[] = {wg_sum(d, summed[kind], true), wg_sum(wg_exp(d), summed[kind], true)};
        CHECK(wg_eval(both, 2) == WG_OK);
        CHECK(wg_tape_count(tape).instructions == (kind < 3 ? 1 : 3)); /* sums over the first axis are not fused */
        CLOSE(tape);
        wg_params_free(set);
    }
}

/* ---- products that share a weight ---- */

enum { LARGE = 1200, STEPS = 6 }; /* LARGE^2 floats do not fit in the caches */

/* A loop whose steps have an output by a large weight V. With `fed`, the next step reads that output. Returns the loss
 * and the number of instructions; the gradients are in the set. */
static double outputs_by_large_weight(wg_params *set, wg_pool *pool, const char *plan, bool fed,
                                      uint64_t *instructions)
{
    wg_tape *tape = tape_by(plan, pool);
    wg_tensor W = wg_use(tape, wg_param_find(set, "W")), V = wg_use(tape, wg_param_find(set, "V"));
    wg_tensor h = wg_cast(random_leaf(tape, WG_DIMS(3, 24), 5), WG_F32), loss = WG_NONE;
    for (int t = 0; t < STEPS; t++) {
        h = wg_tanh(wg_matmul(h, W));
        wg_tensor wide = wg_concat((wg_tensor[]){h, wg_zeros(tape, WG_F32, WG_DIMS(3, LARGE - 24))}, 2, 1);
        wg_tensor y = wg_tanh(wg_matmul(wide, V)), l = weigh(y, (unsigned)t);
        if (fed) h = wg_add(h, wg_slice(y, 1, 0, 24));
        loss = loss.tape ? wg_add(loss, l) : l;
    }
    wg_zero_grad(set);
    CHECK(wg_backward(loss) == WG_OK);
    double value = wg_item(loss);
    *instructions = wg_tape_count(tape).instructions;
    CLOSE(tape);
    return value;
}

static void large_weights_are_read_once(void)
{
    wg_pool *pool = wg_pool_new(3);
    wg_params *set = wg_params_new(WG_F32);
    wg_param *V = wg_param_new(set, "V", WG_DIMS(LARGE, LARGE), wg_init_uniform(-.1, .1));
    wg_param *W = wg_param_new(set, "W", WG_DIMS(24, 24), wg_init_uniform(-.3, .3));
    size_t bytes = LARGE * LARGE * sizeof(float);
    float *dV = malloc(bytes), dW[24 * 24];
    for (int fed = 0; fed < 2; fed++) {
        uint64_t alone, together, small;
        double loss = outputs_by_large_weight(set, NULL, "-share_weight", fed, &alone);
        memcpy(dV, wg_param_grad(V), bytes);
        memcpy(dW, wg_param_grad(W), sizeof dW);
        for (int threads = 0; threads < 2; threads++) {
            CHECK(outputs_by_large_weight(set, threads ? pool : NULL, "", fed, &together) == loss);
            CHECK(!memcmp(dV, wg_param_grad(V), bytes) && !memcmp(dW, wg_param_grad(W), sizeof dW));
            /* STEPS forward products become one, and so do STEPS backward products; that one packs V itself. Products
             * that depend on each other are not combined. */
            CHECK(fed ? together == alone : together == alone - 2 * STEPS);
        }
        CHECK(outputs_by_large_weight(set, NULL, "+share_weight", fed, &small) == loss && small == together);
    }
    free(dV);
    wg_params_free(set);
    wg_pool_free(pool);
}

/* ---- one row ---- */

/* Reading the packed weight takes the time, so threads share it; the schedule knows, too, though the product's work
 * alone would be too little for a stage of its own. */
static void one_row_by_a_packed_weight_is_shared(void)
{
    wg_pool *pool = wg_pool_new(2);
    wg_params *set = wg_params_new(WG_F32);
    wg_param *W = wg_param_new(set, "W", WG_DIMS(1536, 384), wg_init_uniform(-.1, .1));
    wg_tape *tape = tape_by("+bf16", pool);
    wg_no_grad_begin(tape);
    wg_tensor x = wg_cast(random_leaf(tape, WG_DIMS(1, 1536), 3), WG_F32);
    wg_tensor y = wg_mean_all(wg_matmul(wg_tanh(x), wg_use(tape, W)));
    wg_no_grad_end(tape);
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    wg_trace_passes(tape, "after-emit", out);
    CHECK(wg_eval(&y, 1) == WG_OK);
    wg_trace_passes(tape, NULL, out);
    fclose(out);
    CHECK(strstr(text, ": 4 tasks\n")); /* a stage */
    free(text);
    CLOSE(tape);
    wg_params_free(set);
    wg_pool_free(pool);
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(sums_of_batched_products_are_merged),
                                 TEST_CASE(the_backward_pass_saves_what_it_reads),
                                 TEST_CASE(sums_are_part_of_the_chain), TEST_CASE(large_weights_are_read_once),
                                 TEST_CASE(one_row_by_a_packed_weight_is_shared)};
    return RUN_TESTS(tests);
}
