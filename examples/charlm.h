/* charlm: the parts of a run. */
#ifndef CHARLM_H
#define CHARLM_H

#include "app.h"
#include "chars.h"

#include <stdio.h>

typedef struct model {
    wg_params *params;
    wg_rnn rnn;
    wg_linear_layer decoder;
    int64_t vocabulary;
} model;

typedef struct settings {
    app_list data;
    const char *cell, *optimizer, *out, *init_from, *losses;
    int64_t layers, hidden, batch, unroll, steps, seed, threads, sample_every, eval_every, save_every;
    double lr, decay, clip, dropout, seconds;
    bool resume, lenient;
} settings;

enum { N_OPTIONS = 24 };

settings settings_defaults(void);
settings settings_demo(void); /* a minute of training, the model beside the program */
/* The options, whose values are the fields of s. */
void settings_table(settings *s, app_option table[N_OPTIONS]);

typedef struct run {
    settings s;
    app_option options[N_OPTIONS];
    wg_text text;
    vocabulary v;
    streams training, validation;
    model m;
    wg_rnn_carry carry; /* the cells' state from one step to the next */
    wg_optimizer *optimizer;
    wg_pool *pool;
    wg_tape *tape;
    int64_t step;  /* steps done */
    double smooth; /* running mean of the loss over some fifty steps */
    FILE *losses;
    app_points training_curve, validation_curve;
    app_progress progress;
} run;

/* Functions end the program, with a message, where they fail. */

/* Reads the texts; makes the model, or loads what is to be resumed. The settings are there already. */
void run_begin(run *r);
void run_end(run *r);
void run_save(run *r);
/* The loss curve: model.svg beside model.safetensors. A resumed run goes on with the points in it. */
void run_write_curve(const run *r);

/* The model of a checkpoint, and its characters. */
model model_load(const char *path, vocabulary *v);

#endif
