/* The objects that the calls of null_arguments.py use, and what a call may return. Each call runs in a child of its
 * own, which inherits them; after it the child checks that its tapes still work. */
#ifndef WG_TEST_NULL_ARGUMENTS_H
#define WG_TEST_NULL_ARGUMENTS_H

/* A long name also stands where a function takes a format: it has no conversions. */
#pragma GCC diagnostic ignored "-Wformat-security"

#include <limits.h>
#include <math.h>
#include <stdarg.h>

#include "wengert.h"

typedef struct call_row {
    void (*call)(int variant);
    int variant;
    const char *text;
} call_row;
extern const call_row call_rows[];
extern const size_t n_call_rows;

typedef struct layers {
    wg_linear_layer linear_layer;
    wg_conv_layer conv_layer;
    wg_embedding_layer embedding_layer;
    wg_layer_norm_layer layer_norm_layer;
    wg_batch_norm_layer batch_norm_layer;
    wg_rms_norm_layer rms_norm_layer;
    wg_rnn rnn;
    wg_rnn_carry rnn_carry;
    wg_score_layer score_layer;
    wg_mha mha;
    wg_position_layer position_layer;
    wg_jordan jordan;
    wg_simple_gru simple_gru;
    wg_transformer_layer transformer_layer;
    wg_transformer_stack transformer_stack;
    wg_transformer transformer;
    wg_lm lm;
    wg_kv_cache kv_cache;
} layers;

/* Valid objects. */
typedef struct world {
    wg_tape *tape, *other;
    wg_pool *pool;
    wg_params *set;
    wg_param *param;
    wg_buffer *buffer;
    wg_optimizer *optimizer;
    wg_average *average;
    wg_loader *loader;
    wg_csv *csv;
    wg_feed *feed;
    wg_confusion *confusion;
    wg_log_file *log;
    wg_report *report;
    wg_series series[2];
    uint8_t pixels[64];
    wg_safetensors *file;
    wg_tensor x, weight, bias, index, mask, loss, nil, stale, elsewhere, many[8], out[64];
    wg_infer infer;
    wg_args args;
    wg_error error;
    FILE *null;
    wg_idx idx;
    wg_text text;
    wg_entry entry;
    wg_onnx_named named_in[2], named_out[2];
    wg_pair pair;
    wg_checkpoint checkpoint;
    wg_early_stop stop;
    wg_onnx *onnx;
    wg_trainer *trainer;
    wg_fit_options fit;
    wg_fit_batch fit_batch;
    wg_fit_result result;
    wg_progress progress;
    wg_categories categories;
    wg_picture picture;
    wg_sound sound;
    wg_dataset dataset;
    wg_batch batch;
    wg_sample sample;
    wg_perplexity perplexity;
    wg_bleu bleu;
    wg_difference difference;
    wg_shape shape;
    wg_keys keys;
    wg_beam_result beams;
    wg_rnn_state state;
    wg_dtype dtype;
    size_t size;
    char bytes[4096], path[64], long_name[5000];
    float floats[64];
    double doubles[64];
    int64_t integers[64];
    int ints[64];
    int32_t classes[64];
    const char *words[8];
    const char *string;
    const int64_t *samples;
    void *pointer;
    layers l;
} world;

extern world w;
extern layers fresh;         /* for init functions */
extern va_list no_arguments; /* for formats without a conversion */
extern const wg_op nop;

void on_gradient(void *context, wg_param *param, void *gradient);
void on_error(void *context, wg_status status, const char *message);
wg_tensor loss(void *context, wg_tape *tape, wg_params *set);
wg_tensor step(void *context, wg_tensor x, wg_tensor *state, int n);
void on_trace(void *context, const wg_trace_event *event);
void on_scope(void *context, const char *scope, size_t bytes);
wg_status score(void *context, int64_t at, const int32_t *token, const int32_t *parent, float *log_probabilities);
wg_status fill(void *context, size_t tensor, uint64_t offset, void *bytes, size_t size, wg_error *error);

/* End the child if the result is none that a call may return. */
void check_status(wg_status status);
void check_tensor(wg_tensor tensor);

#endif
