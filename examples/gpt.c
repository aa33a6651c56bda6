/* A character-level language model with attention: a decoder-only transformer that learns a text and writes text.
 *
 *     gpt --data shakespeare.txt --nano --out gpt.safetensors
 *     gpt sample --model gpt.safetensors --prime "ROMEO:" --length 500 --top-k 20
 *
 * Without --data it learns the start of Pride and Prejudice. Expected: a validation loss of 2.02 after the 1000 steps,
 * half a minute on two threads. With --nano (nanoGPT's setting for a CPU) on tinyshakespeare: 1.90, in one to three
 * minutes.
 *
 * A character is its embedding plus the embedding of its position. Layers of masked self-attention and feed-forward
 * nets (Vaswani et al. 2017; Radford et al. 2018) map them to the logits of the next character, at all positions at
 * once. A training step takes random windows. Sampling feeds one character at a time; keys and values of earlier
 * characters are cached. */
#include "app.h"
#include "chars.h"
#include "ranks.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct settings {
    const char *data, *out, *export, *model, *prime, *position, *precision, *storage, *logdir, *report;
    int64_t layers, heads, width, context, batch, shards, steps, warmup, eval_every, seed, threads, length, top_k;
    double lr, dropout, temperature, top_p;
    bool untied, nano, tiny;
} settings;

typedef struct gpt {
    wg_params *params;
    wg_lm lm;
    vocabulary v;
    wg_pool *pool;
    wg_tape *tape;
} gpt;

/* ---- the model ---- */

/* file: where the settings are from, or NULL. */
static void gpt_init(gpt *g, const settings *s, const wg_safetensors *file)
{
    wg_lm_options o = wg_lm_defaults();
    o.layer.heads = s->heads;
    o.layer.dropout = s->dropout;
    o.position = strcmp(s->position, "learned") == 0 ? WG_POSITION_LEARNED : WG_POSITION_SINUSOID;
    o.tied = !s->untied;
    g->params = app_params_new(file, s->storage, s->seed);
    g->tape = app_tape_new(s->threads, s->seed, s->precision, &g->pool);
    wg_lm_init(&g->lm, g->params, "", g->v.size, s->context, s->width, (int)s->layers, o);
    app_check_params(g->params, s->model);
}

static void gpt_fini(gpt *g)
{
    wg_tape_free(g->tape);
    wg_pool_free(g->pool);
    wg_params_free(g->params);
}

/* The mean cross entropy of windows x[batch, context] with the next characters y, in nats per character. */
static wg_tensor loss_of(gpt *g, const int32_t *x, const int32_t *y, int64_t batch, int64_t context)
{
    wg_tensor logits = wg_lm_apply(&g->lm, wg_data(g->tape, WG_I32, WG_DIMS(batch, context), x));
    return wg_cross_entropy(logits, wg_data(g->tape, WG_I32, WG_DIMS(batch, context), y));
}

/* ---- windows of a text ---- */

typedef struct stretch {
    const int32_t *at; /* characters as numbers */
    size_t size;
} stretch;

typedef struct windows {
    int64_t batch, context;
    int32_t *x, *y; /* [batch, context] */
} windows;

static windows windows_new(int64_t batch, int64_t context)
{
    const size_t n = (size_t)(batch * context);
    windows w = {batch, context, malloc(n * sizeof *w.x), malloc(n * sizeof *w.y)};
    if (!w.x || !w.y) app_fail("out of memory");
    return w;
}

static void windows_put(windows *w, int64_t b, const int32_t *at)
{
    memcpy(w->x + b * w->context, at, (size_t)w->context * sizeof *at);
    memcpy(w->y + b * w->context, at + 1, (size_t)w->context * sizeof *at);
}

/* Windows first to first + n - 1 of the step's batch. */
static void windows_at_random(windows *w, stretch text, uint64_t seed, uint64_t step, int64_t first, int64_t n)
{
    for (int64_t b = 0; b < n; b++) {
        uint64_t bits = app_random(seed, step, (uint64_t)(first + b));
        windows_put(w, b, text.at + bits % (text.size - (size_t)w->context));
    }
}

/* ---- training ---- */

typedef struct trainer {
    gpt *g;
    const settings *s;
    wg_optimizer *optimizer;
    wg_dist *dist;
    windows w;
    stretch text;
    int stop; /* a signal that a rank has noted */
} trainer;

/* The loss of a shard: some of the batch's windows. */
static wg_tensor shard_loss(void *context, wg_tape *tape, int64_t step, int64_t shard, int64_t *rows)
{
    trainer *t = context;
    windows *w = &t->w;
    const int64_t shards = t->s->shards, first = w->batch * shard / shards;
    (void)tape;
    *rows = w->batch * (shard + 1) / shards - first;
    if (*rows == 0) return WG_NONE;
    windows_at_random(w, t->text, (uint64_t)t->s->seed, (uint64_t)step, first, *rows);
    return loss_of(t->g, w->x, w->y, *rows, w->context);
}

static double train_step(trainer *t, int64_t step)
{
    const settings *s = t->s;
    double lr = wg_schedule_cosine(s->lr, s->lr / 10, (uint64_t)step, (uint64_t)s->steps);
    wg_optimizer_set_lr(t->optimizer, wg_schedule_warmup(lr, (uint64_t)step, (uint64_t)s->warmup));
    return ranks_step(t->dist, t->g->tape, step, shard_loss, t, false, &t->stop);
}

/* The mean loss over adjacent windows, at most 1000 of them. */
static double validate(gpt *g, windows *w, stretch text)
{
    const size_t all = (text.size - 1) / (size_t)w->context, n = all < 1000 ? all : 1000;
    double sum = 0;
    wg_set_training(g->tape, false);
    for (size_t i = 0; i < n;) {
        int64_t b = 0;
        for (; b < w->batch && i < n; b++, i++) windows_put(w, b, text.at + i * (size_t)w->context);
        wg_no_grad_begin(g->tape);
        sum += wg_item(loss_of(g, w->x, w->y, b, w->context)) * (double)b;
        wg_no_grad_end(g->tape);
        app_end_step(g->tape);
    }
    wg_set_training(g->tape, true);
    return sum / (double)n;
}

static wg_optimizer *optimizer_new(gpt *g, double lr)
{
    wg_adamw_options o = wg_adamw_defaults();
    o.lr = lr;
    o.beta2 = 0.99;
    o.weight_decay = 0.1;
    wg_optimizer *optimizer = wg_adamw_new(g->params, o);
    if (!optimizer || wg_optimizer_no_decay(optimizer) != WG_OK) app_fail("out of memory");
    return optimizer;
}

typedef struct outcome {
    double train_loss, val_loss, rate;
    int64_t step;
    int stop;
} outcome;

static outcome learn(gpt *g, const settings *s, stretch training, stretch validation)
{
    trainer t = {.g = g, .s = s, .optimizer = optimizer_new(g, s->lr), .text = training};
    t.dist = ranks_begin(g->params, t.optimizer, s->shards, s->seed, 1);
    t.w = windows_new(s->batch, s->context);
    outcome end = {0};
    int64_t step = 0;
    wg_progress progress = ranks_progress("chars", (double)(s->batch * s->context));
    wg_progress_begin(&progress, 0, s->steps);
    while (step < s->steps && t.stop == 0) {
        double loss = train_step(&t, step++);
        app_watch_step(g->tape, g->params, step, loss);
        end.train_loss += (loss - end.train_loss) / (double)(step < 50 ? step : 50);
        wg_progress_show(&progress, step, end.train_loss);
        if (s->eval_every > 0 && step % s->eval_every == 0 && step < s->steps) {
            double before = wg_seconds(), val = validate(g, &t.w, validation);
            wg_progress_pause(&progress, wg_seconds() - before);
            app_watch_test(g->params, "loss", "validation", step, val);
            app_note("step %lld: training loss %.4f nats, validation loss %.4f nats", (long long)step,
                     end.train_loss, val);
        }
    }
    end.rate = wg_progress_rate(&progress, step);
    wg_progress_clear();
    if (t.stop) app_note("stopped after step %lld", (long long)step);
    end.stop = t.stop;
    end.step = step;
    end.val_loss = validate(g, &t.w, validation);
    app_watch_test(g->params, "loss", "validation", step, end.val_loss);
    wg_dist_free(t.dist);
    wg_optimizer_free(t.optimizer);
    free(t.w.x);
    free(t.w.y);
    return end;
}

/* ---- sampling ---- */

typedef struct writer {
    gpt *g;
    wg_kv_cache cache;
    wg_params *scratch;
    int32_t *history; /* all characters so far */
    int64_t written;
    int64_t fed;       /* of the rows of the cache */
    float logits[256]; /* of the next character */
} writer;

static void feed(writer *w, int32_t c)
{
    wg_tape *tape = w->g->tape;
    wg_no_grad_begin(tape);
    wg_tensor logits = wg_lm_step(&w->g->lm, wg_data(tape, WG_I32, WG_DIMS(1), &c), &w->cache, w->fed++, WG_NONE);
    wg_status status = wg_read(logits, w->logits, (size_t)w->g->v.size * sizeof *w->logits);
    wg_no_grad_end(tape);
    if (wg_tape_reset(tape) != WG_OK || status != WG_OK) app_fail("%s", wg_tape_message(tape));
}

/* Feeds character c. When all positions are used, the later half moves to the front. */
static void take(writer *w, int32_t c)
{
    const int64_t context = w->g->lm.context, half = context / 2;
    w->history[w->written++] = c;
    if (w->fed == context) {
        w->fed = 0;
        for (int64_t i = half; i > 0; i--) feed(w, w->history[w->written - 1 - i]);
    }
    feed(w, c);
}

/* Begins with --prime, or a newline. */
static void write_text(gpt *g, const settings *s)
{
    writer w = {.g = g, .scratch = wg_params_new(WG_F32)};
    const wg_sampling sampling = {.temperature = s->temperature, .top_k = s->top_k, .top_p = s->top_p};
    const size_t primed = s->prime ? strlen(s->prime) : 0;
    /* The rows that the text needs: the context of a model from a stranger may be much larger than the model. */
    const int64_t all = (int64_t)(primed ? primed : 1) + s->length, room = all < s->context ? all : s->context;
    const int32_t newline = g->v.number['\n'] >= 0 ? g->v.number['\n'] : 0;
    w.history = malloc((primed + (size_t)s->length + 1) * sizeof *w.history);
    if (!w.scratch || !w.history ||
        wg_kv_cache_init(&w.cache, &g->lm.stack, w.scratch, "cache", 1, room, 0) != WG_OK)
        app_fail("out of memory");
    wg_set_training(g->tape, false);
    if (primed == 0) take(&w, newline);
    for (size_t i = 0; i < primed; i++) {
        if (g->v.number[(unsigned char)s->prime[i]] < 0)
            app_fail("--prime holds a character (0x%02x) that the model has never seen",
                     (unsigned char)s->prime[i]);
        take(&w, g->v.number[(unsigned char)s->prime[i]]);
    }
    for (const char *p = s->prime; p && *p; p++) app_put_byte(*p);
    for (int64_t i = 0; i < s->length && !wg_signal_number(); i++) {
        int64_t c = wg_choose(w.logits, g->v.size, sampling, (uint64_t)s->seed, (uint64_t)i);
        if (c < 0) app_fail("the model's logits are not finite");
        app_put_byte((char)g->v.symbol[c]);
        if (i + 1 < s->length) take(&w, (int32_t)c);
    }
    app_put_byte('\n');
    free(w.history);
    wg_params_free(w.scratch);
}

/* ---- files ---- */

static int32_t *read_text(gpt *g, const settings *s, size_t *size)
{
    const char *path = s->data ? s->data : EXAMPLES_DATA "/pride_and_prejudice.txt";
    wg_text text;
    wg_error error = {0};
    if (wg_text_read(path, &text, &error) != WG_OK) app_fail("%s", error.text);
    if (text.size == 0) app_fail("%s: the file is empty", path);
    g->v = vocabulary_of(text.bytes, text.size);
    if (g->v.size < 2) app_fail("%s: one distinct character: there is nothing to learn", path);
    if (text.size / 10 < (size_t)s->context + 2)
        app_fail("%s: %zu characters are too few for --context %lld", path, text.size, (long long)s->context);
    int32_t *numbers = malloc(text.size * sizeof *numbers);
    if (!numbers) app_fail("out of memory");
    for (size_t i = 0; i < text.size; i++) numbers[i] = g->v.number[(unsigned char)text.bytes[i]];
    *size = text.size;
    wg_text_fini(&text);
    return numbers;
}

enum { MOST_PAIRS = 16 };

static void save(const gpt *g, const settings *s, int64_t step, const app_option *options)
{
    wg_pair pairs[MOST_PAIRS];
    char digits[513], numbers[MOST_PAIRS][64];
    size_t n = 0;
    pairs[n++] = (wg_pair){"program", "gpt"};
    pairs[n++] = (wg_pair){"vocabulary", vocabulary_text(&g->v, digits)};
    for (const app_option *o = options; o->type != APP_END; o++)
        if (o->saved) pairs[n] = (wg_pair){o->name, app_option_text(o, numbers[n])}, n++;
    wg_checkpoint c = {.params = g->params, .step = (uint64_t)step, .seed = (uint64_t)s->seed, .metadata = pairs};
    c.n_metadata = n;
    wg_error error = {0};
    if (wg_checkpoint_save(s->out, &c, &error) != WG_OK) app_fail("%s", error.text);
}

static void load(gpt *g, settings *s, app_option *options)
{
    wg_error error = {0};
    wg_safetensors *file = wg_safetensors_open(s->model, &error);
    if (!file) app_fail("%s", error.text);
    const char *program = wg_safetensors_metadata(file, "program"),
               *symbols = wg_safetensors_metadata(file, "vocabulary");
    if (!program || strcmp(program, "gpt") != 0 || !symbols || !vocabulary_read(&g->v, symbols))
        app_fail("%s: not a model of gpt's", s->model);
    for (app_option *o = options; o->type != APP_END; o++) {
        const char *text = o->saved ? wg_safetensors_metadata(file, o->name) : NULL;
        if (o->saved && (!text || !app_option_set(o, text))) app_fail("%s: --%s is wrong", s->model, o->name);
    }
    s->dropout = 0;
    gpt_init(g, s, file);
    wg_checkpoint c = {.params = g->params};
    if (wg_checkpoint_load(file, &c, NULL, NULL, &error) != WG_OK) app_fail("%s", error.text);
    wg_safetensors_close(file);
}

/* characters [batch, context] -> logits [batch, context, vocabulary] */
static void record_model(void *context, wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    const gpt *g = context;
    *x = app_export_integers(tape, WG_DIMS(batch, g->lm.context), 0, g->lm.vocabulary - 1);
    *y = wg_lm_apply(&g->lm, *x);
}

static void export_model(gpt *g, const char *path)
{
    const char *in = "characters", *out = "logits";
    const app_model program = {&in, &out, 1, 1, record_model, g};
    app_export(path, g->tape, &program);
}

/* ---- commands ---- */

static const char *const positions[] = {"learned", "sinusoid", NULL};

#define MODEL_OPTIONS(s)                                                                                            \
    {APP_INT, "layers", &(s)->layers, "N", "layers", 1, WG_TRANSFORMER_MAX_LAYERS, NULL, true},                     \
        {APP_INT, "heads", &(s)->heads, "N", "heads of attention", 1, 1024, NULL, true},                            \
        {APP_INT, "width", &(s)->width, "N", "size of the model, a multiple of the heads", 1, 1 << 14, NULL, true}, \
        {APP_INT, "context", &(s)->context, "N", "characters that the model sees", 2, 1 << 14, NULL, true},         \
        {APP_CHOICE, "position", &(s)->position, "KIND", "embedding of positions", 0, 0, positions, true},          \
    {                                                                                                               \
        APP_FLAG, "untied", &(s)->untied, NULL, "the output has a matrix of its own", 0, 0, NULL, true              \
    }
#define SAMPLE_OPTIONS(s)                                                                                            \
    {APP_TEXT, "prime", &(s)->prime, "TEXT", "how the text begins"},                                                 \
        {APP_INT, "length", &(s)->length, "N", "characters to write", 0, 1e7},                                       \
        {APP_REAL, "temperature", &(s)->temperature, "X", "below 1: sharper; 0: the most probable", 0, 100},         \
        {APP_INT, "top-k", &(s)->top_k, "N", "sample from the N most probable; 0: all", 0, 256},                     \
        {APP_REAL, "top-p", &(s)->top_p, "X", "sample from the most probable with this total probability", 1e-6, 1}, \
        {APP_INT, "seed", &(s)->seed, "N", "of initial values and choices", 0, 9e18}, APP_THREADS(&(s)->threads),    \
        APP_PRECISION(&(s)->precision, false)

static settings settings_defaults(void)
{
    return (settings){.position = "learned",
                      .precision = "f32",
                      .storage = "f32",
                      .report = "gpt.html",
                      .layers = 3,
                      .heads = 4,
                      .width = 96,
                      .context = 64,
                      .batch = 12,
                      .steps = 1000,
                      .warmup = 100,
                      .eval_every = 250,
                      .threads = 2,
                      .length = 500,
                      .lr = 1e-3,
                      .temperature = 0.8,
                      .top_p = 1};
}

static void add_results(const gpt *g, outcome end)
{
    app_result("training loss: %.4f nats, validation loss: %.4f nats, bits per character: %.4f, speed: %.0f "
               "characters/s, parameters: %lld",
               end.train_loss, end.val_loss, end.val_loss / log(2), end.rate,
               (long long)wg_params_trainable(g->params));
}

static int train(int argc, char **argv)
{
    settings s = settings_defaults();
    app_option options[] = {
        {APP_TEXT, "data", &s.data, "FILE", "text to learn from, plain or .gz; default: Pride and Prejudice"},
        {APP_FLAG, "nano", &s.nano, NULL, "nanoGPT's setting for a CPU: 4 layers, 4 heads, width 128, 2000 steps"},
        {APP_FLAG, "tiny", &s.tiny, NULL, "a small model, for a few seconds"},
        MODEL_OPTIONS(&s),
        {APP_INT, "batch", &s.batch, "N", "windows per step", 1, 1 << 14},
        RANKS_SHARDS(&s.shards, false),
        {APP_INT, "steps", &s.steps, "N", "steps of training", 1, 1e9},
        {APP_REAL, "lr", &s.lr, "X", "largest learning rate (AdamW, cosine to a tenth)", 0, 10},
        {APP_INT, "warmup", &s.warmup, "N", "steps of warmup", 0, 1e9},
        {APP_REAL, "dropout", &s.dropout, "X", "dropout", 0, 0.99},
        {APP_INT, "eval-every", &s.eval_every, "N", "validate every N steps; 0: at the end", 0, 1e9},
        {APP_TEXT, "out", &s.out, "FILE", "write the model"},
        APP_EXPORT(&s.export),
        APP_LOGDIR(&s.logdir),
        APP_REPORT(&s.report),
        SAMPLE_OPTIONS(&s),
        {APP_END}};
    app_parse(
        argc, argv, "gpt [options]",
        "Learns a text, character by character, with a decoder-only transformer, and writes some. 'gpt sample'\n"
        "samples from a model written with --out. Expected: a validation loss of 2.02; with --nano on "
        "tinyshakespeare 1.90.",
        options);
    if (s.nano && s.tiny) app_usage("--nano and --tiny exclude each other");
    if (s.nano) app_preset(options, "layers=4 heads=4 width=128 context=64 batch=12 steps=2000");
    if (s.tiny)
        app_preset(options, "layers=2 heads=2 width=32 context=32 batch=8 steps=600 warmup=50 lr=0.005 length=100");
    if (s.width % s.heads != 0) app_usage("--width must be a multiple of --heads");
    if (s.out && ranks_first()) app_check_place(s.out);
    if (s.export && ranks_first()) app_check_place(s.export);
    s.shards = ranks_shards(s.shards);
    gpt g = {0};
    size_t size;
    int32_t *text = read_text(&g, &s, &size);
    const size_t cut = size / 10 * 9;
    gpt_init(&g, &s, NULL);
    app_watch_begin(s.logdir, s.report, options);
    wg_signal_catch();
    outcome end = learn(&g, &s, (stretch){text, cut}, (stretch){text + cut, size - cut});
    free(text);
    if (s.out && ranks_first()) save(&g, &s, end.step, options);
    if (s.export && ranks_first()) export_model(&g, s.export);
    app_watch_sample_begin();
    write_text(&g, &s);
    app_watch_sample_end(end.step);
    if (!end.stop) add_results(&g, end);
    gpt_fini(&g);
    const int code = app_end();
    return end.stop ? 128 + end.stop : code;
}

static int sample(int argc, char **argv)
{
    settings s = settings_defaults(), saved = s;
    app_option options[] = {{APP_TEXT, "model", &s.model, "FILE", "a model that gpt wrote with --out"},
                            SAMPLE_OPTIONS(&s),
                            APP_STORAGE(&s.storage),
                            {APP_END}};
    app_option of_model[] = {MODEL_OPTIONS(&saved), {APP_END}};
    app_parse(argc, argv, "gpt sample --model FILE [options]", "Writes text with a trained model.", options);
    if (!s.model) app_usage("--model FILE is needed");
    saved.model = s.model;
    saved.threads = s.threads;
    saved.precision = s.precision;
    saved.storage = s.storage;
    gpt g = {0};
    load(&g, &saved, of_model);
    s.context = saved.context;
    wg_signal_catch();
    write_text(&g, &s);
    gpt_fini(&g);
    return app_end();
}

int main(int argc, char **argv)
{
    app_name("gpt");
    ranks_open(&argc, &argv);
    return argc > 1 && strcmp(argv[1], "sample") == 0 ? sample(argc - 1, argv + 1) : train(argc, argv);
}
