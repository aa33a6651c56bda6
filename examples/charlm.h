/* charlm: the parts of a run. */
#ifndef CHARLM_H
#define CHARLM_H

#include "app.h"
#include "chars.h"
#include "ranks.h"

#include <stdio.h>

typedef struct model {
    wg_params *params;
    wg_rnn rnn;
    wg_linear_layer decoder;
    int64_t vocabulary;
} model;

typedef struct settings {
    app_list data;
    const char *cell, *optimizer, *precision, *out, *init_from, *losses, *logdir;
    int64_t layers, hidden, batch, unroll, shards, steps, seed, threads, sample_every, eval_every, save_every;
    double lr, decay, clip, dropout, seconds, sample_seconds;
    bool resume, lenient, tiny;
} settings;

enum { N_OPTIONS = 29 };

settings settings_defaults(void);
/* The options; their values are the fields of s. */
void settings_table(settings *s, app_option table[N_OPTIONS]);

typedef struct run {
    settings s;
    app_option options[N_OPTIONS];
    wg_text text;
    vocabulary v;
    streams training, validation;
    model m;
    wg_rnn_carry carry; /* the states between steps */
    wg_optimizer *optimizer;
    wg_dist *dist;
    int64_t rows; /* streams of a shard */
    int stop;     /* a signal or a time limit, of any rank */
    wg_pool *pool;
    wg_tape *tape;
    int64_t step;  /* steps done */
    double smooth; /* running mean of the loss over about fifty steps */
    FILE *losses;
    app_points training_curve, validation_curve;
    double sampled; /* when the last sample was shown, in seconds */
    wg_progress progress;
} run;

/* A failure ends the program with a message. */

/* Reads the texts; makes the model, or loads the one to resume. r->s must be set. */
void run_begin(run *r);
void run_end(run *r);
/* Writes the model, after what a resumed run continues: the losses and the curve have at least the model's steps. */
void run_save(run *r);
/* Writes the loss curve: model.svg next to model.safetensors. */
void run_write_curve(const run *r);

/* charlm_demo.c */
settings demo_settings(void); /* a minute of training, the model next to the program */
void demo_begin(const run *r);
void demo_end(const run *r);

/* The model and vocabulary of a checkpoint. */
model model_load(const char *path, vocabulary *v);

#endif
