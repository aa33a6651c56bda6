/* Loads a file of weights into a layer of this library, as it is, and writes the layer's members as .npz: for
 * pytorch.py.
 *
 *     load_weights LAYER FILE OUT.npz       LAYER: a name of the table below, or "any": the file's tensors in f64 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wengert.h"

/* ---- layers, in the sizes that pytorch.py gives them ---- */

static void rnn(wg_params *set, wg_cell cell, int layers, bool bidirectional, wg_rnn_bias bias)
{
    static wg_rnn layer;
    wg_rnn_options o = wg_rnn_defaults();
    o.cell = cell, o.layers = layers, o.bidirectional = bidirectional, o.bias = bias;
    (void)!wg_rnn_init(&layer, set, NULL, 3, 4, o);
}

static void rnn_tanh(wg_params *set) { rnn(set, WG_RNN_TANH, 1, false, WG_RNN_BIAS_TWO); }
static void rnn_both(wg_params *set) { rnn(set, WG_RNN_TANH, 1, true, WG_RNN_BIAS_TWO); }
static void lstm(wg_params *set) { rnn(set, WG_LSTM, 1, false, WG_RNN_BIAS_TWO); }
static void lstm_deep(wg_params *set) { rnn(set, WG_LSTM, 2, true, WG_RNN_BIAS_TWO); }
static void lstm_plain(wg_params *set) { rnn(set, WG_LSTM, 1, false, WG_RNN_BIAS_NONE); }
static void gru(wg_params *set) { rnn(set, WG_GRU, 1, false, WG_RNN_BIAS_TWO); }
static void gru_deep(wg_params *set) { rnn(set, WG_GRU, 3, false, WG_RNN_BIAS_TWO); }

static void linear(wg_params *set)
{
    wg_linear_layer layer;
    (void)!wg_linear_init(&layer, set, NULL, 3, 4, wg_linear_defaults());
}

static void linear_plain(wg_params *set)
{
    wg_linear_layer layer;
    wg_linear_options o = wg_linear_defaults();
    o.bias = false;
    (void)!wg_linear_init(&layer, set, NULL, 3, 4, o);
}

static void conv(wg_params *set, int axes, wg_shape kernel, bool transposed)
{
    wg_conv_layer layer;
    wg_conv_layer_options o = wg_conv_layer_defaults();
    o.axes = axes, o.transposed = transposed;
    (void)!wg_conv_init(&layer, set, NULL, 3, 4, kernel, o);
}

static void conv1d(wg_params *set) { conv(set, 1, WG_DIMS(5), false); }
static void conv2d(wg_params *set) { conv(set, 2, WG_DIMS(3, 2), false); }
static void conv3d(wg_params *set) { conv(set, 3, WG_DIMS(2, 2, 2), false); }
static void conv_transpose2d(wg_params *set) { conv(set, 2, WG_DIMS(3, 2), true); }

static void embedding(wg_params *set)
{
    wg_embedding_layer layer;
    (void)!wg_embedding_init(&layer, set, NULL, 7, 3, -1);
}

static void layer_norm(wg_params *set)
{
    wg_layer_norm_layer layer;
    (void)!wg_layer_norm_init(&layer, set, NULL, 5);
}

static void rms_norm(wg_params *set)
{
    wg_rms_norm_layer layer;
    (void)!wg_rms_norm_init(&layer, set, NULL, 5);
}

static void batch_norm(wg_params *set)
{
    wg_batch_norm_layer layer;
    (void)!wg_batch_norm_init(&layer, set, NULL, 5);
}

static void mha(wg_params *set)
{
    wg_mha layer;
    (void)!wg_mha_init(&layer, set, NULL, 8, 2, wg_mha_defaults());
}

static void mha_sizes(wg_params *set)
{
    wg_mha layer;
    wg_mha_options o = wg_mha_defaults();
    o.key_size = 6, o.value_size = 5;
    (void)!wg_mha_init(&layer, set, NULL, 8, 2, o);
}

static void transformer_layer(wg_params *set, bool decoder)
{
    static wg_transformer_layer layer;
    wg_transformer_options o = wg_transformer_defaults();
    o.heads = 2, o.feedforward = 16;
    (void)!wg_transformer_layer_init(&layer, set, NULL, 8, decoder, o);
}

static void encoder_layer(wg_params *set) { transformer_layer(set, false); }
static void decoder_layer(wg_params *set) { transformer_layer(set, true); }

static void transformer(wg_params *set)
{
    static wg_transformer model;
    wg_transformer_options o = wg_transformer_defaults();
    o.heads = 2, o.feedforward = 16;
    (void)!wg_transformer_init(&model, set, NULL, 8, 2, 1, o);
}

static const struct {
    const char *name;
    void (*make)(wg_params *set);
} rows[] = {{"rnn_tanh", rnn_tanh},
            {"rnn_both", rnn_both},
            {"lstm", lstm},
            {"lstm_deep", lstm_deep},
            {"lstm_plain", lstm_plain},
            {"gru", gru},
            {"gru_deep", gru_deep},
            {"linear", linear},
            {"linear_plain", linear_plain},
            {"conv1d", conv1d},
            {"conv2d", conv2d},
            {"conv3d", conv3d},
            {"conv_transpose2d", conv_transpose2d},
            {"embedding", embedding},
            {"layer_norm", layer_norm},
            {"rms_norm", rms_norm},
            {"batch_norm", batch_norm},
            {"mha", mha},
            {"mha_sizes", mha_sizes},
            {"encoder_layer", encoder_layer},
            {"decoder_layer", decoder_layer},
            {"transformer", transformer}};

/* ---- files ---- */

static int failed(const char *text)
{
    fprintf(stderr, "%s\n", text);
    return 1;
}

/* Writes the members of a set. */
static wg_status write_members(const char *path, const wg_params *set, wg_error *error)
{
    const size_t n = wg_params_count(set);
    wg_entry *entries = calloc(n + 1, sizeof *entries);
    for (size_t i = 0; entries && i < n; i++) {
        const wg_param *p = wg_params_at(set, i);
        entries[i] = (wg_entry){.name = wg_params_name_at(set, i),
                                .dtype = wg_param_dtype(p),
                                .shape = wg_param_shape(p),
                                .data = wg_param_value(p)};
    }
    const wg_status status = entries ? wg_npz_write(path, entries, n, error) : WG_ERR_MEMORY;
    free(entries);
    return status;
}

/* Writes the file's own tensors, as f64. */
static wg_status write_tensors(const char *path, const wg_safetensors *file, wg_error *error)
{
    const size_t n = wg_safetensors_count(file);
    wg_entry *entries = calloc(n + 1, sizeof *entries);
    wg_status status = entries ? WG_OK : WG_ERR_MEMORY;
    for (size_t i = 0; i < n && status == WG_OK; i++) {
        const wg_entry e = wg_safetensors_at(file, i);
        size_t bytes = 0;
        double *numbers = wg_shape_bytes(&e.shape, WG_F64, &bytes) ? malloc(bytes + 1) : NULL;
        status = numbers ? wg_entry_read(&e, WG_F64, numbers, error) : WG_ERR_MEMORY;
        entries[i] = (wg_entry){.name = e.name, .dtype = WG_F64, .shape = e.shape, .data = numbers};
    }
    if (status == WG_OK) status = wg_npz_write(path, entries, n, error);
    for (size_t i = 0; entries && i < n; i++) free((void *)(uintptr_t)entries[i].data);
    free(entries);
    return status;
}

int main(int argc, char **argv)
{
    wg_error error = {0};
    if (argc != 4) return failed("usage: load_weights LAYER FILE OUT.npz");
    wg_safetensors *file = wg_safetensors_open(argv[2], &error);
    if (!file) return failed(error.text);
    wg_params *set = wg_params_new(WG_F32);
    wg_status status = WG_ERR_ARGUMENT;
    if (strcmp(argv[1], "any") == 0) status = write_tensors(argv[3], file, &error);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(argv[1], rows[i].name) != 0) continue;
        rows[i].make(set);
        wg_checkpoint c = {.params = set};
        status = wg_checkpoint_load(file, &c, NULL, NULL, &error);
        if (status == WG_OK) status = write_members(argv[3], set, &error);
    }
    wg_params_free(set);
    wg_safetensors_close(file);
    return status == WG_OK ? 0 : failed(*error.text ? error.text : wg_status_name(status));
}
