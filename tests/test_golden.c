/* Layers, losses and optimizers against PyTorch: see golden.h. (Attention: test_golden_attention.) */
#include "golden.h"

/* ---- recurrent layers ---- */

static void compare_cell(run *r, const wg_rnn_cell *cell, int l, int d, bool gradients)
{
    const char *kinds[] = {"weight_ih", "weight_hh", "bias_ih", "bias_hh"};
    wg_param *params[] = {cell->weight_ih, cell->weight_hh, cell->bias_ih, cell->bias_hh};
    for (int i = 0; i < 4; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s_l%d%s", kinds[i], l, d ? "_reverse" : "");
        if (gradients)
            compare_grad(r, name, params[i]);
        else
            set_param(r, params[i], name);
    }
}

static void each_cell(run *r, const wg_rnn *rnn, bool gradients)
{
    for (int i = 0; i < rnn->options.layers * rnn->directions; i++)
        compare_cell(r, &rnn->cell[i], i / rnn->directions, i % rnn->directions, gradients);
}

static void test_recurrent(run *r, const void *options)
{
    const wg_rnn_options *o = options;
    const bool lstm = o->cell == WG_LSTM;
    wg_shape shape = need(r, "x").shape, state_shape = need(r, "h0").shape;
    const int T = (int)shape.size[0], cells = (int)state_shape.size[0];
    wg_rnn rnn;
    if (wg_rnn_init(&rnn, r->set, "rnn", shape.size[2], state_shape.size[2], *o) != WG_OK) exit(2);
    each_cell(r, &rnn, false);
    wg_param *x = input(r, "x"), *h0 = input(r, "h0"), *c0 = lstm ? input(r, "c0") : NULL;
    wg_entry entry;
    wg_tensor lengths = find(r, "lengths", &entry) ? constant(r, "lengths") : WG_NONE;
    wg_tensor xs[16], ys[16], loss, out;
    wg_rnn_state state = {0};
    for (int i = 0; i < cells; i++) {
        state.h[i] = wg_select(wg_use(r->tape, h0), 0, i);
        if (lstm) state.c[i] = wg_select(wg_use(r->tape, c0), 0, i);
    }
    for (int t = 0; t < T; t++) xs[t] = wg_select(wg_use(r->tape, x), 0, t);
    wg_rnn_unroll(&rnn, xs, T, lengths, &state, ys);
    out = wg_keep(wg_stack(ys, T, 0));
    wg_tensor hn = wg_keep(wg_stack(state.h, cells, 0)), cn = lstm ? wg_keep(wg_stack(state.c, cells, 0)) : WG_NONE;
    loss = wg_add(weighted(r, "out", out), weighted(r, "hn", hn));
    if (lstm) loss = wg_add(loss, weighted(r, "cn", cn));
    backward(r, loss);
    compare(r, "out", wg_value(out));
    compare(r, "hn", wg_value(hn));
    if (lstm) compare(r, "cn", wg_value(cn));
    each_cell(r, &rnn, true);
    compare_grad(r, "x", x);
    compare_grad(r, "h0", h0);
    if (lstm) compare_grad(r, "c0", c0);
}

static void recurrent(void)
{
    wg_safetensors *file = golden_open("recurrent");
    const char *names[] = {"tanh", "relu", "lstm", "gru"};
    const wg_cell kinds[] = {WG_RNN_TANH, WG_RNN_RELU, WG_LSTM, WG_GRU};
    for (int i = 0; i < 4 * 2 * 2 * 2; i++) {
        wg_rnn_options o = wg_rnn_defaults();
        const int cell = i / 8, with_lengths = i & 1;
        o.cell = kinds[cell];
        o.layers = 1 + (i >> 2 & 1);
        o.bidirectional = i & 2;
        if (with_lengths && (cell < 2 || o.layers == 1)) continue;
        char name[64];
        snprintf(name, sizeof name, "%s_%d_%s%s", names[cell], o.layers, o.bidirectional ? "bi" : "uni",
                 with_lengths ? "_len" : "");
        both(file, name, &o, test_recurrent);
    }
    wg_safetensors_close(file);
}

/* ---- losses and layer norm ---- */

static void test_cross_entropy(run *r, const void *options)
{
    wg_cross_entropy_options o = *(const wg_cross_entropy_options *)options;
    wg_entry entry;
    wg_param *logits = input(r, "logits");
    if (find(r, "weights", &entry)) o.class_weights = constant(r, "weights");
    wg_tensor loss = wg_keep(wg_cross_entropy_with(wg_use(r->tape, logits), constant(r, "labels"), o));
    backward(r, weighted(r, "loss", loss));
    compare(r, "loss", wg_value(loss));
    compare_grad(r, "logits", logits);
}

static void test_layer_norm(run *r, const void *options)
{
    wg_param *x = input(r, "x"), *w = input(r, "w"), *b = input(r, "b");
    wg_layer_norm_layer layer = {.weight = w, .bias = b, .epsilon = 1e-5};
    wg_tensor out = wg_keep(wg_layer_norm_apply(&layer, wg_use(r->tape, x)));
    backward(r, weighted(r, "out", out));
    compare(r, "out", wg_value(out));
    compare_grad(r, "x", x);
    compare_grad(r, "w", w);
    compare_grad(r, "b", b);
}

static void losses(void)
{
    wg_safetensors *file = golden_open("losses");
    const struct {
        const char *name;
        wg_reduction reduction;
        double smoothing;
        int64_t ignore;
    } rows[] = {
        {"ce_mean", WG_MEAN, 0, -100},
        {"ce_sum", WG_SUM, 0, -100},
        {"ce_each", WG_REDUCE_NONE, 0, -100},
        {"ce_weights", WG_MEAN, 0, -100},
        {"ce_ignore", WG_MEAN, 0, 2},
        {"ce_smooth", WG_MEAN, 0.1, -100},
        {"ce_smooth_weights", WG_MEAN, 0.1, -100},
        {"ce_soft", WG_MEAN, 0, -100},
        {"ce_soft_smooth", WG_MEAN, 0.2, -100},
        {"ce_soft_weights", WG_MEAN, 0, -100},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wg_cross_entropy_options o = wg_cross_entropy_defaults();
        o.reduction = rows[i].reduction;
        o.label_smoothing = rows[i].smoothing;
        o.ignore_index = rows[i].ignore;
        both(file, rows[i].name, &o, test_cross_entropy);
    }
    both(file, "layer_norm", NULL, test_layer_norm);
    wg_safetensors_close(file);
}

/* ---- batch norm, RMS norm ---- */

/* Three training batches, running statistics after each; then one in evaluation. */
static void test_batch_norm(run *r, const void *options)
{
    char text[4][24];
    wg_batch_norm_layer layer;
    if (wg_batch_norm_init(&layer, r->set, "norm", need(r, "w").shape.size[0]) != WG_OK) exit(2);
    set_param(r, layer.weight, "w");
    set_param(r, layer.bias, "b");
    layer.cumulative = strcmp(r->name, "batch_norm_cumulative") == 0;
    for (int k = 0; k < 4; k++) {
        const char *name = (const char *[]){"0", "1", "2", "_eval"}[k];
        wg_set_training(r->tape, k < 3);
        wg_zero_grad(r->set);
        snprintf(text[0], sizeof text[0], "x%s", name);
        snprintf(text[1], sizeof text[1], "out%s", name);
        wg_param *x = input(r, text[0]);
        wg_tensor out = wg_keep(wg_batch_norm_apply(&layer, wg_use(r->tape, x)));
        backward(r, weighted(r, text[1], out));
        compare(r, text[1], wg_value(out));
        compare_grad(r, text[0], x);
        snprintf(text[0], sizeof text[0], "w%s", name);
        snprintf(text[1], sizeof text[1], "b%s", name);
        snprintf(text[2], sizeof text[2], "mean%s", name);
        snprintf(text[3], sizeof text[3], "var%s", name);
        compare_grad(r, text[0], layer.weight);
        compare_grad(r, text[1], layer.bias);
        compare(r, text[2], wg_param_value(layer.running_mean));
        compare(r, text[3], wg_param_value(layer.running_var));
        CHECK(wg_tape_reset(r->tape) == WG_OK);
    }
    CHECK(number(r->dtype, wg_param_value(layer.num_batches_tracked), 0) == 3);
}

static void test_rms_norm(run *r, const void *options)
{
    wg_param *x = input(r, "x"), *w = input(r, "w");
    wg_rms_norm_layer layer = {.weight = w, .epsilon = 1e-5};
    wg_tensor out = wg_keep(wg_rms_norm_apply(&layer, wg_use(r->tape, x)));
    backward(r, weighted(r, "out", out));
    compare(r, "out", wg_value(out));
    compare_grad(r, "x", x);
    compare_grad(r, "w", w);
}

static void norms(void)
{
    wg_safetensors *file = golden_open("norms");
    both(file, "batch_norm_1d", NULL, test_batch_norm);
    both(file, "batch_norm_2d", NULL, test_batch_norm);
    both(file, "batch_norm_cumulative", NULL, test_batch_norm);
    both(file, "rms_norm", NULL, test_rms_norm);
    wg_safetensors_close(file);
}

/* ---- CTC ---- */

static void test_ctc(run *r, const void *options)
{
    const bool zero = strcmp(r->name, "ctc_zero") == 0;
    const int64_t blank = strcmp(r->name, "ctc_blank") == 0 ? 3 : 0;
    wg_param *logits = input(r, "logits");
    wg_tensor loss = wg_ctc_loss(wg_log_softmax(wg_use(r->tape, logits), -1), constant(r, "targets"),
                                 constant(r, "steps"), constant(r, "sizes"), blank, *(const wg_reduction *)options);
    if (zero) loss = wg_where(wg_is_finite(loss), loss, wg_zeros_like(loss));
    loss = wg_keep(loss);
    backward(r, weighted(r, "loss", loss));
    compare(r, "loss", wg_value(loss));
    compare_grad(r, "logits", logits);
}

static void ctc(void)
{
    wg_safetensors *file = golden_open("ctc");
    const char *names[] = {"ctc_mean", "ctc_sum", "ctc_each", "ctc_blank", "ctc_zero"};
    for (int i = 0; i < 5; i++) {
        const wg_reduction reduction = i == 0 ? WG_MEAN : i == 1 ? WG_SUM : WG_REDUCE_NONE;
        both(file, names[i], &reduction, test_ctc);
    }
    wg_safetensors_close(file);
}

/* ---- optimizers, with the gradients of the reference ---- */

static wg_optimizer *optimizer_of(const char *name, wg_params *set)
{
    wg_sgd_options sgd = wg_sgd_defaults();
    wg_rmsprop_options rms = wg_rmsprop_defaults();
    wg_adam_options adam = wg_adam_defaults();
    wg_adamw_options adamw = wg_adamw_defaults();
    sgd.lr = 0.1;
    adam.lr = adamw.lr = 0.01;
#define IS(text) (strcmp(name, text) == 0)
    if (IS("sgd_decay") || IS("sgd_dampening") || IS("sgd_nesterov")) sgd.weight_decay = 0.01;
    if (IS("sgd_momentum") || IS("sgd_nesterov")) sgd.lr = 0.05;
    if (IS("sgd_momentum") || IS("sgd_nesterov") || IS("sgd_dampening")) sgd.momentum = 0.9;
    if (IS("sgd_dampening")) sgd.dampening = 0.3;
    sgd.nesterov = IS("sgd_nesterov");
    if (IS("rmsprop_decay")) rms.lr = 0.002, rms.alpha = 0.95, rms.epsilon = 1e-6, rms.weight_decay = 0.01;
    if (IS("rmsprop_momentum")) rms.lr = 0.005, rms.momentum = 0.9;
    if (IS("rmsprop_all")) rms.lr = 0.005, rms.alpha = 0.9, rms.momentum = 0.8, rms.weight_decay = 0.01;
    rms.centered = IS("rmsprop_centered") || IS("rmsprop_all");
    if (IS("adam_decay")) adam.beta1 = 0.8, adam.beta2 = 0.95, adam.epsilon = 1e-6, adam.weight_decay = 0.1;
    if (IS("groups")) adamw.weight_decay = 0.1;
#undef IS
    if (strncmp(name, "sgd", 3) == 0) return wg_sgd_new(set, sgd);
    if (strncmp(name, "rms", 3) == 0) return wg_rmsprop_new(set, rms);
    if (strcmp(name, "adamw") != 0 && strncmp(name, "adam", 4) == 0) return wg_adam_new(set, adam);
    return wg_adamw_new(set, adamw);
}

static const char *numbered(char text[16], const char *what, int k)
{
    snprintf(text, 16, "%s%d", what, k);
    return text;
}

enum { N_PARAMS = 4 };

static void set_gradient(run *r, wg_param *param, const char *what, int step)
{
    wg_entry entry = need(r, what);
    copy_out(r, &entry, step * wg_param_numel(param), wg_param_numel(param), wg_param_grad_write_begin(param));
    wg_param_grad_write_end(param);
}

static void test_optimizer(run *r, const void *options)
{
    wg_param *params[N_PARAMS];
    char text[16];
    for (int k = 0; k < N_PARAMS; k++) params[k] = input(r, numbered(text, "p", k));
    wg_optimizer *optimizer = optimizer_of(r->name, r->set);
    if (strcmp(r->name, "groups") == 0) {
        wg_group twice = wg_group_defaults();
        twice.pattern = "p1 *3";
        twice.lr_scale = 2;
        CHECK(wg_optimizer_group(optimizer, twice) == WG_OK);
        wg_group no_decay = twice;
        no_decay.weight_decay = 0;
        CHECK(wg_optimizer_group(optimizer, no_decay) == WG_OK);
    }
    for (int step = 0; step < 20; step++) {
        for (int k = 0; k < N_PARAMS; k++) set_gradient(r, params[k], numbered(text, "g", k), step);
        CHECK(wg_optimizer_step(optimizer) == WG_OK);
    }
    for (int k = 0; k < N_PARAMS; k++) compare(r, numbered(text, "end", k), wg_param_value(params[k]));
    wg_optimizer_free(optimizer);
}

static void test_clip(run *r, const void *options)
{
    wg_param *params[N_PARAMS];
    char text[16];
    for (int k = 0; k < N_PARAMS; k++) {
        params[k] =
            wg_param_new(r->set, numbered(text, "g", k), need(r, numbered(text, "g", k)).shape, wg_init_zeros());
        set_gradient(r, params[k], numbered(text, "g", k), 0);
    }
    double norm;
    CHECK(wg_clip_grad_norm(r->set, 1.5, &norm) == WG_OK);
    float rounded = (float)norm;
    compare(r, "norm", r->dtype == WG_F64 ? (void *)&norm : (void *)&rounded);
    for (int k = 0; k < N_PARAMS; k++) compare(r, numbered(text, "clipped", k), wg_param_grad(params[k]));
}

static void optimizers(void)
{
    wg_safetensors *file = golden_open("optimizers");
    const char *names[] = {"sgd",
                           "sgd_decay",
                           "sgd_momentum",
                           "sgd_dampening",
                           "sgd_nesterov",
                           "rmsprop",
                           "rmsprop_decay",
                           "rmsprop_momentum",
                           "rmsprop_centered",
                           "rmsprop_all",
                           "adam",
                           "adam_decay",
                           "adamw",
                           "groups"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) both(file, names[i], NULL, test_optimizer);
    both(file, "clip", NULL, test_clip);
    wg_safetensors_close(file);
}

/* ---- convolution and pooling ---- */

static void test_convolution(run *r, const void *options)
{
    static wg_tensor (*const convs[2][3])(wg_tensor, wg_tensor, wg_tensor, wg_conv_options) = {
        {wg_conv1d, wg_conv2d, wg_conv3d}, {wg_conv_transpose1d, wg_conv_transpose2d, wg_conv_transpose3d}};
    static wg_tensor (*const pools[2][3])(wg_tensor, wg_pool_options) = {
        {wg_max_pool1d, wg_max_pool2d, wg_max_pool3d}, {wg_avg_pool1d, wg_avg_pool2d, wg_avg_pool3d}};
    int32_t o[19];
    memcpy(o, need(r, "options").data, sizeof o);
    wg_conv_options c = wg_conv_defaults();
    wg_pool_options p = wg_pool_square(1);
    for (int i = 0; i < o[1]; i++) {
        c.stride[i] = p.stride[i] = o[4 + i];
        c.dilation[i] = p.dilation[i] = o[7 + i];
        c.before[i] = c.after[i] = p.before[i] = p.after[i] = o[10 + i];
        c.extra[i] = o[13 + i];
        p.kernel[i] = o[16 + i];
    }
    c.groups = o[2];
    c.floor = true;
    p.ceil = o[13];
    p.floor = !p.ceil;
    p.count_padding = o[3];
    wg_param *x = input(r, "x"), *w = o[0] < 2 ? input(r, "w") : NULL, *b = w ? input(r, "b") : NULL;
    wg_tensor image = wg_use(r->tape, x);
    wg_tensor y = w ? convs[o[0]][o[1] - 1](image, wg_use(r->tape, w), wg_use(r->tape, b), c)
                    : pools[o[0] - 2][o[1] - 1](image, p);
    backward(r, weighted(r, "out", y));
    compare(r, "out", wg_value(y));
    compare_grad(r, "x", x);
    if (w) compare_grad(r, "w", w);
    if (w) compare_grad(r, "b", b);
}

static void convolutions(void)
{
    wg_safetensors *file = golden_open("convolutions");
    for (size_t i = 0; i < wg_safetensors_count(file); i++) {
        const char *name = wg_safetensors_at(file, i).name, *end = strstr(name, "/options");
        char text[64];
        if (!end) continue;
        snprintf(text, sizeof text, "%.*s", (int)(end - name), name);
        both(file, text, NULL, test_convolution);
    }
    wg_safetensors_close(file);
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(recurrent), TEST_CASE(losses),     TEST_CASE(norms),
                                 TEST_CASE(ctc),       TEST_CASE(optimizers), TEST_CASE(convolutions)};
    return RUN_TESTS(tests);
}
