/* translate: the parts of a run. The models are in translate.c; settings, sentences and files in translate_run.c. */
#ifndef TRANSLATE_H
#define TRANSLATE_H

#include "app.h"
#include "words.h"

enum { MOST_WORDS = 256 }; /* of a sentence */

typedef enum kind { PLAIN, BAHDANAU, LUONG, TRANSFORMER } kind;

typedef struct translator {
    kind kind;
    int64_t size, window;
    double dropout;
    wg_params *params;
    wg_embedding_layer source, target;
    wg_rnn encoder, decoder;         /* recurrent */
    wg_score_layer score;            /* bahdanau, luong */
    wg_linear_layer bridge, combine; /* bahdanau's initial state; context and state */
    wg_transformer transformer;
    wg_position_layer position;
    wg_linear_layer output; /* [words, size] */
} translator;

typedef struct settings {
    const char *model, *score, *precision, *source, *target, *test_source, *test_target, *picture, *weights,
        *init_out, *order_out, *export, *logdir;
    int64_t size, layers, heads, window, batch, steps, warmup, beam, max_words, minimum, tests, show, seed, threads;
    double lr, dropout, seconds, length_power;
    bool reverse, tiny;
} settings;

typedef struct run {
    settings s;
    words train_source, train_target, test_source, test_target;
    dictionary source, target;
    size_t *order; /* training lines by length */
    size_t n;      /* number of training lines */
    translator m;
    wg_pool *pool;
    wg_tape *tape;
} run;

/* A batch of sentences, padded with WORD_PAD. */
typedef struct batch {
    int64_t size, S, T;
    int32_t *source;  /* [size, S] */
    int32_t *lengths; /* [size] of the source */
    int32_t *in;      /* [size, T] START and the words */
    int32_t *out;     /* [size, T] the words and END */
} batch;

batch batch_new(const settings *s);
/* Random sentences of similar lengths, a function of seed and step. */
void batch_fill(batch *b, const run *r, int64_t step);
/* A batch of one line. */
batch batch_of(const run *r, const words *source, const words *target, size_t line);
void batch_free(batch *b);
/* The word numbers of a line of the source, reversed with --reverse-input; returns their count. */
int64_t encode_source(const run *r, const words *source, size_t line, int32_t *numbers);

typedef struct quality {
    wg_bleu bleu;
    size_t exact, lines;
} quality;

/* translate.c */
wg_fit_result learn(run *r);
quality test(const run *r, const words *source, const words *target, int64_t show);
/* Writes the model for sentences of S words, of whose translation T words are given. */
void export_model(run *r, const char *path, int64_t S, int64_t T);
void write_weights(const run *r, const words *source, const words *target, size_t line);

/* translate_run.c */
void show_pair(const words *source, const words *target, size_t line, const char *const *text, size_t n);
/* Writes weights[T, S] to the files of --picture and --weights. */
void write_matrix(const run *r, const words *source, const words *target, size_t line, const batch *b,
                  const float *weights);

#endif
