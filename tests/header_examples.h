/* What the examples in the public headers use without declaring it; see header_examples.py. */
#include "wengert-dist.h"

#include <stdio.h>
#include <stdlib.h>

#if defined EXAMPLE_OF_memory
extern int arena;
void *take(void *context, size_t size);
void give_back(void *context, void *memory, size_t size);
#elif defined EXAMPLE_OF_dist
extern int argc;
extern char **argv;
extern wg_params *model;
extern wg_optimizer *adam;
extern wg_tape *tape;
extern wg_error error;
extern uint64_t steps;
extern double count;
extern wg_dataset data;
extern wg_feed_options feed_options;
wg_tensor loss_of(int64_t shard, uint64_t step);
extern wg_world *world;
extern wg_dist *dist;
extern uint64_t step;
#elif defined EXAMPLE_OF_param
extern wg_tape *tape;
extern wg_tensor x;
#elif defined EXAMPLE_OF_grad
extern wg_params *model;
extern wg_optimizer *optimizer;
extern wg_tensor loss, x, y;
#elif defined EXAMPLE_OF_gradcheck
extern wg_tape *tape;
#elif defined EXAMPLE_OF_ops
extern wg_tape *tape;
extern const float pixels[];
extern wg_tensor w1, b1, w2, b2, labels;
#elif defined EXAMPLE_OF_export
extern wg_tape *tape;
extern const float pixels[];
extern wg_tensor x, y;
wg_tensor classify(wg_tensor x);
#elif defined EXAMPLE_OF_indexing
extern wg_tensor weight, tokens, lengths;
#elif defined EXAMPLE_OF_loss
extern wg_tensor logits, labels, prediction, target, queries, points;
#elif defined EXAMPLE_OF_onnx
extern wg_tape *tape;
extern const float pixels[];
extern wg_tensor labels;
#elif defined EXAMPLE_OF_decode
extern wg_tensor logits;
extern int64_t vocabulary;
extern uint64_t seed, position;
#elif defined EXAMPLE_OF_fit
extern wg_dataset training, validation;
typedef struct program {
    const float *pictures;
    const int32_t *labels;
} program;
extern program net;
extern wg_params *params;
extern wg_error error;
wg_tensor classify(const program *program, wg_tensor x);
#elif defined EXAMPLE_OF_progress
extern int64_t steps;
extern double loss;
double train_step(void);
#elif defined EXAMPLE_OF_attention
extern wg_score_layer score;
extern wg_rnn decoder;
extern wg_rnn_state state;
extern wg_tensor encoder_states, mask, context, weights, h, x[];
extern int T;
#elif defined EXAMPLE_OF_bptt
extern wg_tensor loss, h[], x[], state[2];
extern int T;
wg_tensor step(wg_tensor x, wg_tensor *state);
#elif defined EXAMPLE_OF_cells
extern wg_rnn lstm;
extern wg_rnn_state state;
extern wg_tensor h[], x[];
extern int t;
#elif defined EXAMPLE_OF_nn
extern wg_tape *tape;
extern wg_params *set;
extern wg_tensor h[], x[];
extern int64_t vocabulary, batch;
extern int T;
#elif defined EXAMPLE_OF_transformer
extern wg_tape *tape;
extern wg_lm model;
extern wg_params *scratch;
extern int32_t token[];
extern int64_t batch, length, n;
#elif defined EXAMPLE_OF_optim
extern wg_params *model;
extern wg_tensor loss;
extern wg_optimizer *optimizer;
extern double lr;
extern int64_t s, steps;
double validate(void);
#elif defined EXAMPLE_OF_io
extern wg_params *model;
extern wg_safetensors *file;
extern wg_shape shape;
extern wg_status status;
extern wg_checkpoint checkpoint;
extern wg_error error;
extern uint64_t step, start, steps;
extern int64_t n;
extern int32_t lengths[];
double validate(void);
#elif defined EXAMPLE_OF_dataset
extern wg_tape *tape;
extern wg_checkpoint checkpoint;
extern wg_error error;
extern uint64_t steps;
extern int64_t n;
extern const float pixels[];
extern const int32_t labels[];
#elif defined EXAMPLE_OF_picture
extern wg_error error;
extern float numbers[];
#elif defined EXAMPLE_OF_metrics
extern wg_error error;
extern wg_tensor logits;
extern const int32_t labels[];
extern int64_t n;
#elif defined EXAMPLE_OF_log
extern wg_params *params;
extern double loss;
#elif defined EXAMPLE_OF_trace
extern wg_tape *tape;
extern wg_tensor loss;
extern FILE *file;
#elif defined EXAMPLE_OF_chart
extern double *steps, *losses, *at, *tested;
extern size_t n, m;
extern FILE *file;
#elif defined EXAMPLE_OF_report
extern wg_tape *tape;
extern wg_params *params;
extern int64_t steps;
extern double loss, accuracy;
#elif defined EXAMPLE_OF_tape
extern const float numbers[];
extern wg_tape *tape;
extern wg_transformer_layer layer[];
extern wg_tensor x;
extern int layers;
#define REST wg_attention_defaults(), WG_NONE, wg_attention_defaults()
#elif defined EXAMPLE_OF_op
extern wg_tensor x;
#endif
