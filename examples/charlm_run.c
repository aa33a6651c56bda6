/* charlm: settings, checkpoints and files of a training run. The model is in charlm.c. */
#include "charlm.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- settings ---- */

settings settings_defaults(void)
{
    return (settings){.cell = "lstm",
                      .optimizer = "rmsprop",
                      .precision = "f32",
                      .out = "charlm.safetensors",
                      .layers = 2,
                      .hidden = 128,
                      .batch = 50,
                      .unroll = 50,
                      .steps = 1000,
                      .eval_every = 500,
                      .save_every = 500,
                      .lr = 2e-3,
                      .decay = 0.95,
                      .clip = 5};
}

void settings_table(settings *s, app_option table[N_OPTIONS])
{
    static const char *const cells[] = {"rnn", "lstm", "gru", NULL};
    static const char *const optimizers[] = {"sgd", "rmsprop", "adam", NULL};
    const double many = 1e9, most = 9e18;
    const app_option options[] = {
        {APP_LIST, "data", &s->data, "FILE", "text to learn from, plain or .gz; several are joined"},
        {APP_CHOICE, "cell", &s->cell, "KIND", "the recurrent cell", 0, 0, cells, true, true},
        {APP_INT, "layers", &s->layers, "N", "layers of cells", 1, WG_RNN_MAX_CELLS, NULL, true, true},
        {APP_INT, "hidden", &s->hidden, "N", "size of a layer's state", 1, 1 << 16, NULL, true, true},
        {APP_INT, "batch", &s->batch, "N", "parallel streams of text", 1, 1 << 16, NULL, true, true},
        {APP_INT, "unroll", &s->unroll, "N", "characters of each stream per step", 1, 1 << 16, NULL, true, true},
        RANKS_SHARDS(&s->shards, true),
        {APP_INT, "steps", &s->steps, "N", "steps of training in all", 1, many},
        {APP_REAL, "seconds", &s->seconds, "X", "time limit of training, in seconds; 0: none", 0, 1e9},
        {APP_CHOICE, "optimizer", &s->optimizer, "KIND", "optimizer", 0, 0, optimizers, true, true},
        {APP_REAL, "lr", &s->lr, "X", "learning rate", 0, 1e3, NULL, true},
        {APP_REAL, "decay", &s->decay, "X", "decay of RMSprop's running mean", 0, 1, NULL, true},
        {APP_REAL, "clip", &s->clip, "X", "largest norm of the gradient; 0: any", 0, 1e9, NULL, true},
        {APP_REAL, "dropout", &s->dropout, "X", "dropout between layers", 0, 0.99, NULL, true},
        {APP_INT, "seed", &s->seed, "N", "of initial values and dropout", 0, most, NULL, true, true},
        APP_THREADS(&s->threads),
        APP_PRECISION(&s->precision, true),
        {APP_TEXT, "out", &s->out, "FILE", "write the model, and the loss curve as .svg"},
        {APP_FLAG, "resume", &s->resume, NULL, "continue the run of the model in --out, bit for bit"},
        {APP_TEXT, "init-from", &s->init_from, "FILE", "initial weights, from safetensors"},
        {APP_FLAG, "lenient", &s->lenient, NULL, "report where --init-from differs from the model, and go on"},
        {APP_TEXT, "losses", &s->losses, "FILE", "write the loss of every step, one a line"},
        APP_LOGDIR(&s->logdir),
        {APP_INT, "sample-every", &s->sample_every, "N", "print 200 characters every N steps; 0: never", 0, many},
        {APP_REAL, "sample-seconds", &s->sample_seconds, "X", "... and every X seconds; 0: never", 0, 1e9},
        {APP_INT, "eval-every", &s->eval_every, "N", "validate every N steps; 0: at the end", 0, many},
        {APP_INT, "save-every", &s->save_every, "N", "save every N steps; 0: at the end", 0, many},
        {APP_FLAG, "tiny", &s->tiny, NULL, "a small model, for a few seconds"},
        {APP_END}};
    _Static_assert(sizeof options / sizeof *options <= N_OPTIONS, "the table has room");
    memcpy(table, options, sizeof options);
}

static wg_cell cell_of(const char *name)
{
    return strcmp(name, "lstm") == 0 ? WG_LSTM : strcmp(name, "gru") == 0 ? WG_GRU : WG_RNN_TANH;
}

/* Parameters "rnn.weight_ih_l0", ..., "decoder.weight", "decoder.bias", initialised as PyTorch does. file: where the
 * settings are from, or NULL. */
static model model_new(const settings *s, int vocabulary_size, const wg_safetensors *file)
{
    model m = {.params = app_params_new(file, NULL, s->seed), .vocabulary = vocabulary_size};
    wg_rnn_options options = wg_rnn_defaults();
    options.cell = cell_of(s->cell);
    options.layers = (int)s->layers;
    options.dropout = s->dropout;
    wg_rnn_init(&m.rnn, m.params, "rnn", vocabulary_size, s->hidden, options);
    wg_linear_init(&m.decoder, m.params, "decoder", s->hidden, vocabulary_size, wg_linear_defaults());
    app_check_params(m.params, file ? wg_safetensors_path(file) : "");
    return m;
}

static wg_optimizer *optimizer_new(const settings *s, wg_params *params)
{
    wg_sgd_options sgd = wg_sgd_defaults();
    wg_rmsprop_options rmsprop = wg_rmsprop_defaults();
    wg_adam_options adam = wg_adam_defaults();
    sgd.lr = rmsprop.lr = adam.lr = s->lr;
    rmsprop.alpha = s->decay;
    wg_optimizer *o = strcmp(s->optimizer, "sgd") == 0    ? wg_sgd_new(params, sgd)
                      : strcmp(s->optimizer, "adam") == 0 ? wg_adam_new(params, adam)
                                                          : wg_rmsprop_new(params, rmsprop);
    if (!o) app_fail("out of memory");
    if (wg_optimizer_status(o) != WG_OK) app_fail("%s", wg_optimizer_message(o));
    return o;
}

/* ---- checkpoints ---- */

enum { N_PAIRS = N_OPTIONS + 4 };

/* The library stores model, optimizer, carried state, step and seed; the program adds the vocabulary, the settings, an
 * id of the text, and the running loss. */
void run_save(run *r)
{
    wg_pair pairs[N_PAIRS];
    char digits[513], numbers[N_OPTIONS][64], text[64], loss[64];
    size_t n = 0;
    snprintf(text, sizeof text, "%zu bytes, hash %016llx", r->text.size,
             (unsigned long long)text_hash(r->text.bytes, r->text.size));
    snprintf(loss, sizeof loss, "%.17g", r->smooth);
    pairs[n++] = (wg_pair){"program", "charlm"};
    pairs[n++] = (wg_pair){"vocabulary", vocabulary_text(&r->v, digits)};
    pairs[n++] = (wg_pair){"text", text};
    pairs[n++] = (wg_pair){"loss", loss};
    for (int i = 0; r->options[i].type != APP_END; i++)
        if (r->options[i].saved)
            pairs[n++] = (wg_pair){r->options[i].name, app_option_text(&r->options[i], numbers[i])};
    wg_checkpoint c = {.step = (uint64_t)r->step, .seed = (uint64_t)r->s.seed, .metadata = pairs, .n_metadata = n};
    wg_error error = {0};
    if (r->losses) app_sync(r->losses, r->s.losses);
    run_write_curve(r);
    if (wg_dist_save(r->dist, r->s.out, &c, &error) != WG_OK) app_fail("%s", error.text);
}

static wg_safetensors *open_model(const char *path, vocabulary *v)
{
    wg_error error = {0};
    wg_safetensors *file = wg_safetensors_open(path, &error);
    if (!file) app_fail("%s", error.text);
    const char *program = wg_safetensors_metadata(file, "program"),
               *symbols = wg_safetensors_metadata(file, "vocabulary");
    if (!program || strcmp(program, "charlm") != 0 || !symbols || !vocabulary_read(v, symbols))
        app_fail("%s: not a model of charlm's", path);
    return file;
}

/* Takes the settings of a checkpoint, except those that the command line overrides and may override. */
static void adopt_settings(const wg_safetensors *file, app_option *table)
{
    for (app_option *o = table; o->type != APP_END; o++) {
        const char *text = o->saved ? wg_safetensors_metadata(file, o->name) : NULL;
        char ours[64];
        if (!text) continue;
        if (o->given && o->fixed && strcmp(app_option_text(o, ours), text) != 0)
            app_fail("%s: made with --%s %s, not %s", wg_safetensors_path(file), o->name, text, ours);
        if (!o->given && !app_option_set(o, text))
            app_fail("%s: --%s cannot be '%s'", wg_safetensors_path(file), o->name, text);
    }
}

/* model.svg for model.safetensors; false if the path is too long. */
static bool curve_path(const run *r, char path[4096])
{
    const char *name = strrchr(r->s.out, '/') ? strrchr(r->s.out, '/') + 1 : r->s.out, *dot = strrchr(name, '.');
    size_t stem = dot && dot > name ? (size_t)(dot - r->s.out) : strlen(r->s.out);
    return snprintf(path, 4096, "%.*s.svg", (int)stem, r->s.out) < 4096;
}

static void resume(run *r, const wg_safetensors *file, const vocabulary *theirs)
{
    char text[64], path[4096];
    const char *loss = wg_safetensors_metadata(file, "loss"), *was = wg_safetensors_metadata(file, "text");
    snprintf(text, sizeof text, "%zu bytes, hash %016llx", r->text.size,
             (unsigned long long)text_hash(r->text.bytes, r->text.size));
    if (memcmp(theirs, &r->v, sizeof r->v) != 0 || !was || strcmp(was, text) != 0)
        app_fail("%s: was trained on another text", r->s.out);
    wg_checkpoint c = {0};
    wg_error error = {0};
    if (wg_dist_load(r->dist, r->s.out, &c, &error) != WG_OK) app_fail("%s", error.text);
    if (c.step > INT64_MAX) app_fail("%s: step %llu is too large", r->s.out, (unsigned long long)c.step);
    r->step = (int64_t)c.step;
    r->smooth = loss ? strtod(loss, NULL) : 0;
    if (curve_path(r, path)) app_curve_read(path, (double)r->step, &r->training_curve, &r->validation_curve);
    app_watch_resume(r->step, &r->training_curve, &r->validation_curve);
}

/* For --init-from: a carried state may be missing from the file, or have another shape. */
static bool tolerate(void *context, const wg_difference *difference)
{
    bool lenient = *(const bool *)context;
    if (strncmp(difference->name, "state.", 6) == 0) return true;
    if (lenient) app_note("%s", difference->text);
    return lenient;
}

static void init_from(run *r)
{
    wg_error error = {0};
    wg_safetensors *file = wg_safetensors_open(r->s.init_from, &error);
    wg_checkpoint c = {.params = r->m.params};
    if (!file || wg_checkpoint_load(file, &c, tolerate, &r->s.lenient, &error) != WG_OK) app_fail("%s", error.text);
    wg_safetensors_close(file);
}

/* The carried state of the training run is unused. */
static bool tolerate_state(void *context, const wg_difference *difference)
{
    return difference->kind == WG_UNEXPECTED && strncmp(difference->name, "state.", 6) == 0;
}

model model_load(const char *path, vocabulary *v)
{
    settings saved = settings_defaults();
    app_option table[N_OPTIONS];
    wg_error error = {0};
    settings_table(&saved, table);
    wg_safetensors *file = open_model(path, v);
    adopt_settings(file, table);
    model m = model_new(&saved, v->size, file);
    wg_checkpoint c = {.params = m.params};
    if (wg_checkpoint_load(file, &c, tolerate_state, NULL, &error) != WG_OK) app_fail("%s", error.text);
    wg_safetensors_close(file);
    return m;
}

/* ---- a run ---- */

/* Joins all files. A single file is mapped, since it may be larger than the memory. */
static void read_texts(const app_list *files, wg_text *all)
{
    const char *shipped[] = {CHARLM_TEXT}, **paths = files->n ? files->items : shipped;
    int n = files->n ? files->n : 1;
    for (int i = 0; i < n; i++) {
        wg_text text;
        wg_error error = {0};
        if (wg_text_map(paths[i], &text, &error) != WG_OK) app_fail("%s", error.text);
        if (text.size == 0) app_fail("%s: the file is empty", paths[i]);
        if (n == 1) {
            *all = text;
            return;
        }
        char *joined = realloc(all->bytes, all->size + text.size);
        if (!joined) app_fail("out of memory");
        memcpy(joined + all->size, text.bytes, text.size);
        *all = (wg_text){.bytes = joined, .size = all->size + text.size};
        wg_text_fini(&text);
    }
}

/* All shards have the same number of streams. */
static void cut_batch(run *r)
{
    const int64_t asked = r->s.batch;
    r->s.shards = ranks_shards(r->s.shards);
    r->rows = (asked + r->s.shards - 1) / r->s.shards;
    r->s.batch = r->rows * r->s.shards;
    if (r->s.batch != asked)
        app_note("a batch of %lld instead of %lld, for %lld shards", (long long)r->s.batch, (long long)asked,
                 (long long)r->s.shards);
}

/* 90 % to train on, the rest to validate, in streams of the same shape if it is long enough. */
static void cut_text(run *r)
{
    size_t size = r->text.size, n_train = size / 10 * 9 + size % 10 * 9 / 10, n_valid = size - n_train;
    size_t batch = (size_t)r->s.batch, unroll = (size_t)r->s.unroll, window = unroll + 1;
    r->v = vocabulary_of(r->text.bytes, size);
    if (r->v.size < 2) app_fail("the text has one distinct character: there is nothing to learn");
    if (n_train / batch < window || n_valid < 2)
        app_fail("the text has %zu characters: too few for --batch %zu --unroll %zu", size, batch, unroll);
    if (n_valid / batch < window) batch = n_valid / window;
    if (batch == 0) batch = 1, unroll = n_valid - 1;
    if (!streams_init(&r->training, r->text.bytes, n_train, &r->v, (int)r->s.batch, (int)r->s.unroll) ||
        !streams_init(&r->validation, r->text.bytes + n_train, n_valid, &r->v, (int)batch, (int)unroll))
        app_fail("out of memory");
}

/* A resumed run continues after the line of its first step: a killed run may have written more lines. */
static void continue_losses(run *r)
{
    struct stat info;
    int64_t lines = 0;
    if (fstat(fileno(r->losses), &info) != 0 || !S_ISREG(info.st_mode)) return;
    rewind(r->losses);
    for (int c; lines < r->step && (c = getc(r->losses)) != EOF;) lines += c == '\n';
    if (lines < r->step && info.st_size > 0)
        app_fail("%s: has %lld lines, but %s is at step %lld: not the losses of this run", r->s.losses,
                 (long long)lines, r->s.out, (long long)r->step);
    if (lines < r->step) app_note("%s: begins after step %lld", r->s.losses, (long long)r->step);
    if (ftruncate(fileno(r->losses), ftell(r->losses)) != 0 || fseek(r->losses, 0, SEEK_END) != 0)
        app_fail("%s: cannot cut: %s", r->s.losses, strerror(errno));
}

static void open_losses(run *r)
{
    if (!r->s.losses || !ranks_first()) return;
    r->losses = fopen(r->s.losses, r->s.resume ? "a+" : "w");
    if (!r->losses) app_fail("%s: cannot open: %s", r->s.losses, strerror(errno));
    if (r->s.resume) continue_losses(r);
}

void run_begin(run *r)
{
    vocabulary theirs;
    if (ranks_first()) app_check_place(r->s.out);
    wg_safetensors *file = r->s.resume ? open_model(r->s.out, &theirs) : NULL;
    if (file) adopt_settings(file, r->options);
    read_texts(&r->s.data, &r->text);
    cut_batch(r);
    cut_text(r);
    r->m = model_new(&r->s, r->v.size, file);
    wg_rnn_carry_init(&r->carry, &r->m.rnn, r->m.params, "state", r->rows);
    app_check_params(r->m.params, r->s.out);
    if (r->s.init_from) init_from(r);
    r->optimizer = optimizer_new(&r->s, r->m.params);
    r->dist = ranks_begin(r->m.params, r->optimizer, r->s.shards, r->s.seed, r->s.clip);
    app_watch_begin(r->s.logdir, NULL, r->options);
    if (file) resume(r, file, &theirs);
    wg_safetensors_close(file);
    r->tape = app_tape_new(r->s.threads, r->s.seed, r->s.precision, &r->pool);
    open_losses(r);
}

void run_end(run *r)
{
    bool failed = r->losses && ferror(r->losses);
    if ((r->losses && fclose(r->losses) != 0) || failed) app_fail("%s: cannot write", r->s.losses);
    app_points_fini(&r->training_curve);
    app_points_fini(&r->validation_curve);
    wg_tape_free(r->tape);
    wg_pool_free(r->pool);
    wg_dist_free(r->dist);
    wg_optimizer_free(r->optimizer);
    wg_params_free(r->m.params);
    streams_fini(&r->training);
    streams_fini(&r->validation);
    wg_text_fini(&r->text);
    free(r->s.data.items);
}

void run_write_curve(const run *r)
{
    char path[4096], title[128];
    wg_error error = {0};
    if (!ranks_first() || !curve_path(r, path)) return;
    snprintf(title, sizeof title, "%s, %lld x %lld: nats per character", r->s.cell, (long long)r->s.layers,
             (long long)r->s.hidden);
    if (app_curve_write(path, title, &r->training_curve, &r->validation_curve, &error) != WG_OK)
        app_fail("%s", error.text);
}
