/* A character-level language model: learns to predict the next character of a text, and writes text.
 *
 *     charlm train --data shakespeare.txt --out model.safetensors
 *     charlm sample --model model.safetensors --prime "ROMEO:" --length 500
 *
 * Layers of RNN, LSTM or GRU cells map one-hot characters to logits of the next character. The text is read as parallel
 * streams. A training step unrolls `unroll` characters of all streams and carries the states over to the next step
 * (truncated backpropagation through time; Williams and Peng 1990, Karpathy 2015).
 *
 * This file has the model, training and sampling; charlm_run.c has settings, checkpoints and files. */
#include "charlm.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- the model ---- */

/* The logits of the character after x, an i32 tensor [B] of characters; advances the state. */
static wg_tensor predict(const model *m, wg_tensor x, wg_rnn_state *state)
{
    wg_tensor h = wg_rnn_step(&m->rnn, wg_one_hot(x, m->vocabulary, WG_F32), state);
    return wg_linear_apply(&m->decoder, h);
}

/* The mean cross entropy over a window of `rows` streams from `first` on, in nats per character. */
static wg_tensor window_loss(const model *m, wg_tape *tape, const streams *s, int64_t first, int64_t rows,
                             wg_rnn_state *state)
{
    wg_tensor loss = wg_scalar(tape, WG_F32, 0);
    for (int t = 0; t < s->unroll; t++) {
        wg_tensor x = wg_data(tape, WG_I32, WG_DIMS(rows), s->x + t * s->batch + first);
        wg_tensor y = wg_data(tape, WG_I32, WG_DIMS(rows), s->y + t * s->batch + first);
        loss = wg_add(loss, wg_cross_entropy(predict(m, x, state), y));
    }
    return wg_scale(loss, 1.0 / s->unroll);
}

/* ---- training ---- */

enum { SMOOTH_OVER = 50 };

/* The loss of a shard of the window: some of its streams. After the last window the streams start over. */
static wg_tensor shard_loss(void *context, wg_tape *tape, int64_t step, int64_t shard, int64_t *rows)
{
    run *r = context;
    *rows = r->rows;
    if ((size_t)step % r->training.windows == 0) wg_rnn_carry_clear(&r->carry);
    wg_rnn_state state = wg_rnn_carry_begin(&r->carry, tape);
    wg_tensor loss = window_loss(&r->m, tape, &r->training, shard * r->rows, r->rows, &state);
    wg_rnn_carry_end(&r->carry, &state);
    return loss;
}

/* One step on the next window; returns the loss. */
static double train_step(run *r)
{
    streams_window(&r->training, (size_t)r->step % r->training.windows);
    return ranks_step(r->dist, r->tape, r->step, shard_loss, r, wg_progress_timeout(&r->progress), &r->stop);
}

/* The mean loss over all windows of the validation text, read as one sequence from a zero state. */
static double validate(run *r)
{
    wg_params *scratch = wg_params_new(WG_F32);
    wg_rnn_carry carry;
    double sum = 0;
    wg_rnn_carry_init(&carry, &r->m.rnn, scratch, "state", r->validation.batch);
    if (!scratch || wg_params_status(scratch) != WG_OK) app_fail("out of memory");
    bool training = wg_set_training(r->tape, false);
    for (size_t window = 0; window < r->validation.windows; window++) {
        streams_window(&r->validation, window);
        wg_no_grad_begin(r->tape);
        wg_rnn_state state = wg_rnn_carry_begin(&carry, r->tape);
        wg_tensor loss = window_loss(&r->m, r->tape, &r->validation, 0, r->validation.batch, &state);
        wg_rnn_carry_end(&carry, &state);
        sum += wg_item(loss);
        wg_no_grad_end(r->tape);
        app_end_step(r->tape);
    }
    wg_set_training(r->tape, training);
    wg_params_free(scratch);
    return sum / (double)r->validation.windows;
}

static double validate_and_note(run *r)
{
    double before = wg_seconds(), loss = validate(r);
    wg_progress_pause(&r->progress, wg_seconds() - before);
    app_points_add(&r->validation_curve, (double)r->step, loss);
    app_watch_test(r->m.params, "loss", "validation", r->step, loss);
    return loss;
}

static bool is_due(int64_t step, int64_t every) { return every > 0 && step % every == 0; }

static bool sample_is_due(const run *r)
{
    const double every = r->s.sample_seconds;
    return is_due(r->step, r->s.sample_every) || (every > 0 && wg_seconds() - r->sampled >= every);
}

static void show_sample(run *r);

static void learn(run *r)
{
    r->progress = ranks_progress("chars", (double)(r->s.batch * r->s.unroll));
    r->progress.limit = r->s.seconds;
    r->sampled = wg_seconds();
    wg_progress_begin(&r->progress, r->step, r->s.steps);
    while (r->step < r->s.steps && r->stop == 0) {
        double loss = train_step(r);
        r->step++;
        r->smooth += (loss - r->smooth) / (double)(r->step < SMOOTH_OVER ? r->step : SMOOTH_OVER);
        app_points_add(&r->training_curve, (double)r->step, loss);
        app_watch_step(r->tape, r->m.params, r->step, loss);
        if (r->losses) fprintf(r->losses, "%.9g\n", loss);
        wg_progress_show(&r->progress, r->step, r->smooth);
        if (r->step < r->s.steps && is_due(r->step, r->s.eval_every)) validate_and_note(r);
        if (sample_is_due(r)) show_sample(r);
        if (r->step < r->s.steps && is_due(r->step, r->s.save_every)) run_save(r);
    }
}

/* ---- sampling ---- */

/* A random character from softmax(logits / temperature): the argmax of the logits with Gumbel noise. */
static wg_tensor choose(wg_tape *tape, wg_tensor logits, double temperature)
{
    if (temperature > 0) {
        wg_tensor u = wg_uniform(tape, WG_F32, wg_shape_get(logits), 0, 1);
        wg_tensor gumbel = wg_neg(wg_log(wg_neg(wg_log(u))));
        logits = wg_add(wg_scale(logits, 1 / temperature), gumbel);
    }
    return wg_argmax(logits, -1, false);
}

/* Feeds character c; returns a choice of the next one. */
static int32_t next_character(const model *m, wg_tape *tape, const wg_rnn_carry *carry, int32_t c,
                              double temperature)
{
    wg_no_grad_begin(tape);
    wg_rnn_state state = wg_rnn_carry_begin(carry, tape);
    wg_tensor logits = predict(m, wg_data(tape, WG_I32, WG_DIMS(1), &c), &state);
    wg_rnn_carry_end(carry, &state);
    const int32_t *next = wg_value(choose(tape, logits, temperature));
    int32_t chosen = next ? *next : 0;
    wg_no_grad_end(tape);
    app_end_step(tape);
    return chosen;
}

/* Texts of the same seed and temperature differ by `number`. */
static void write_text(const model *m, const vocabulary *v, wg_tape *tape, const char *prime, int64_t length,
                       double temperature, uint64_t number)
{
    wg_params *scratch = wg_params_new(WG_F32);
    wg_rnn_carry carry;
    wg_rnn_carry_init(&carry, &m->rnn, scratch, "state", 1);
    if (!scratch || wg_params_status(scratch) != WG_OK) app_fail("out of memory");
    bool training = wg_set_training(tape, false);

    size_t primed = strlen(prime);
    for (const char *p = prime; *p; p++) app_put_byte(*p);
    int32_t c = v->number[(unsigned char)prime[0]];
    for (int64_t i = 1; i < (int64_t)primed + length; i++) {
        wg_set_step(tape, (number << 40) + (uint64_t)i);
        int32_t next = next_character(m, tape, &carry, c, temperature);
        bool given = i < (int64_t)primed;
        c = given ? v->number[(unsigned char)prime[i]] : next;
        if (!given) app_put_byte((char)v->symbol[c]);
    }
    app_put_byte('\n');
    wg_set_training(tape, training);
    wg_params_free(scratch);
}

/* The default beginning: a newline, or the first character of the vocabulary. */
static const char *default_prime(const vocabulary *v, char one[2])
{
    one[0] = v->number['\n'] >= 0 ? '\n' : (char)v->symbol[0];
    one[1] = 0;
    return one;
}

/* Prints the validation loss and a sample. */
static void show_sample(run *r)
{
    enum { LENGTH = 200 };
    double before = wg_seconds(), loss = validate_and_note(r);
    wg_progress_clear();
    printf("step %lld: validation loss %.4f nats, bits per character %.4f\n", (long long)r->step, loss,
           loss / log(2));
    app_watch_sample_begin();
    write_text(&r->m, &r->v, r->tape, default_prime(&r->v, (char[2]){0}), LENGTH, 0.8, (uint64_t)r->step);
    app_watch_sample_end(r->step);
    putchar('\n');
    fflush(stdout);
    r->sampled = wg_seconds();
    wg_progress_pause(&r->progress, r->sampled - before);
}

/* ---- export ---- */

/* One character of each text, and the state before it: the logits of the next one, and the state after it. */
static void record_step(void *context, wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    const model *m = context;
    const int layers = m->rnn.options.layers, lstm = m->rnn.options.cell == WG_LSTM;
    wg_rnn_state state = {0};
    x[0] = app_export_integers(tape, WG_DIMS(batch), 0, m->vocabulary - 1);
    for (int l = 0; l < layers; l++) {
        state.h[l] = x[1 + l] = app_export_floats(tape, WG_DIMS(batch, m->rnn.hidden));
        if (lstm) state.c[l] = x[1 + layers + l] = app_export_floats(tape, WG_DIMS(batch, m->rnn.hidden));
    }
    y[0] = predict(m, x[0], &state);
    for (int l = 0; l < layers; l++) {
        y[1 + l] = state.h[l];
        if (lstm) y[1 + layers + l] = state.c[l];
    }
}

static void export_model(model *m, const char *path, wg_tape *tape)
{
    const int layers = m->rnn.options.layers, n = m->rnn.options.cell == WG_LSTM ? 2 * layers : layers;
    char text[4 * WG_RNN_MAX_CELLS][16];
    const char *in[1 + 2 * WG_RNN_MAX_CELLS] = {"character"}, *out[1 + 2 * WG_RNN_MAX_CELLS] = {"logits"};
    for (int i = 0; i < n; i++) {
        snprintf(text[2 * i], sizeof text[0], "%c%d", i < layers ? 'h' : 'c', i % layers);
        snprintf(text[2 * i + 1], sizeof text[0], "%c%d_next", i < layers ? 'h' : 'c', i % layers);
        in[1 + i] = text[2 * i], out[1 + i] = text[2 * i + 1];
    }
    const app_model program = {in, out, 1 + n, 1 + n, record_step, m};
    app_export(path, tape, &program);
}

/* ---- commands ---- */

static void print_final(run *r, double rate)
{
    double loss = validate_and_note(r);
    size_t peak = wg_tape_memory(r->tape).peak + wg_params_memory(r->m.params).peak;
    app_result("training loss: %.4f nats, validation loss: %.4f nats, bits per character: %.4f, speed: %.0f "
               "characters/s, parameters: %lld, peak memory: %.1f MiB",
               r->smooth, loss, loss / log(2), rate, (long long)wg_params_trainable(r->m.params),
               (double)peak / (1 << 20));
    app_print_results();
}

/* train, or demo: with a time limit, and a sample at the end. */
static int train(int argc, char **argv, bool demo)
{
    run r = {.s = demo ? demo_settings() : settings_defaults()};
    settings_table(&r.s, r.options);
    app_parse(argc, argv, demo ? "charlm demo [options] [FILE...]" : "charlm train [options] [FILE...]",
              "Learns a text, character by character. Without a FILE: the start of Pride and Prejudice.",
              r.options);
    if (r.s.tiny) app_preset(r.options, "layers=1 hidden=32 batch=16 unroll=25 steps=300 lr=0.01");
    if (r.s.resume && r.s.init_from) app_usage("--resume and --init-from exclude each other");
    run_begin(&r);
    if (demo) demo_begin(&r);
    wg_signal_catch();
    learn(&r);
    double rate = wg_progress_rate(&r.progress, r.step);
    wg_progress_clear();
    run_save(&r);
    int signal_number = r.step < r.s.steps && r.stop != RANKS_TIMEOUT ? r.stop : 0;
    if (signal_number)
        app_note("stopped after step %lld; %s is saved, --resume goes on", (long long)r.step, r.s.out);
    else
        print_final(&r, rate);
    run_write_curve(&r);
    app_watch_sample_begin();
    if (demo && !signal_number) write_text(&r.m, &r.v, r.tape, default_prime(&r.v, (char[2]){0}), 600, 0.7, 0);
    app_watch_sample_end(r.step);
    if (demo && !signal_number) demo_end(&r);
    run_end(&r);
    app_check_output();
    return signal_number ? 128 + signal_number : 0;
}

static int sample(int argc, char **argv)
{
    const char *path = "charlm.safetensors", *prime = NULL, *precision = "f32", *export = NULL;
    int64_t length = 500, seed = 0, threads = 1;
    double temperature = 1;
    app_option options[] = {
        {APP_TEXT, "model", &path, "FILE", "a model that charlm train made"},
        APP_EXPORT(&export),
        {APP_TEXT, "prime", &prime, "TEXT", "how the text begins"},
        {APP_INT, "length", &length, "N", "characters to write", 0, 1e12},
        {APP_REAL, "temperature", &temperature, "X", "below 1: sharper; 0: the most probable", 0, 100},
        {APP_INT, "seed", &seed, "N", "of the choices", 0, 9e18},
        APP_THREADS(&threads),
        APP_PRECISION(&precision, false),
        {APP_END}};
    app_parse(argc, argv, "charlm sample [options]", "Writes text with a trained model.", options);
    vocabulary v;
    char one[2];
    model m = model_load(path, &v);
    if (!prime || !*prime) prime = default_prime(&v, one);
    for (const char *p = prime; *p; p++)
        if (v.number[(unsigned char)*p] < 0)
            app_fail("--prime holds a character (0x%02x) that the model has never seen", (unsigned char)*p);
    wg_pool *pool;
    wg_tape *tape = app_tape_new(threads, seed, precision, &pool);
    if (export) export_model(&m, export, tape);
    write_text(&m, &v, tape, prime, length, temperature, 0);
    wg_tape_free(tape);
    wg_pool_free(pool);
    wg_params_free(m.params);
    app_check_output();
    return 0;
}

int main(int argc, char **argv)
{
    app_name("charlm");
    ranks_open(&argc, &argv);
    const char *command = argc > 1 ? argv[1] : "";
    if (strcmp(command, "train") == 0) return train(argc - 1, argv + 1, false);
    if (strcmp(command, "demo") == 0) return train(argc - 1, argv + 1, true);
    if (strcmp(command, "sample") == 0) return sample(argc - 1, argv + 1);
    if (strcmp(command, "--help") != 0 && strcmp(command, "--version") != 0 && strncmp(command, "--", 2) == 0)
        return train(argc, argv, false);
    app_option none[] = {{APP_END}};
    app_parse(argc, argv, "charlm train|sample|demo [options]",
              "A character-level language model. 'charlm train --help' and so on say more.", none);
    app_usage("say 'charlm train', 'charlm sample' or 'charlm demo'; --help says more");
}
