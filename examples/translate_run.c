/* translate: settings, sentences and files. The models are in translate.c. */
#include "translate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the model's parameters ---- */

static const char *const models[] = {"plain", "bahdanau", "luong", "transformer", NULL}; /* by kind */

static void init_recurrent(translator *m, const settings *s)
{
    const bool bahdanau = m->kind == BAHDANAU;
    wg_rnn_options o = wg_rnn_defaults();
    wg_score_options score = wg_score_defaults();
    o.cell = bahdanau ? WG_GRU : WG_LSTM;
    o.layers = (int)s->layers;
    o.dropout = s->dropout;
    o.forget_bias = bahdanau ? 0 : 1;
    o.bidirectional = bahdanau;
    const int64_t states = bahdanau ? 2 * s->size : s->size;
    wg_rnn_init(&m->encoder, m->params, "encoder", s->size, s->size, o);
    o.bidirectional = false;
    wg_rnn_init(&m->decoder, m->params, "decoder", m->kind == PLAIN ? s->size : s->size + states, s->size, o);
    if (m->kind == PLAIN) return;
    score.kind = bahdanau                           ? WG_SCORE_ADDITIVE
                 : strcmp(s->score, "dot") == 0     ? WG_SCORE_DOT
                 : strcmp(s->score, "general") == 0 ? WG_SCORE_GENERAL
                                                    : WG_SCORE_CONCAT;
    wg_score_init(&m->score, m->params, "score", s->size, states, score);
    wg_linear_init(&m->combine, m->params, "combine", s->size + states, s->size, wg_linear_defaults());
    if (bahdanau) wg_linear_init(&m->bridge, m->params, "bridge", s->size, s->size, wg_linear_defaults());
}

static void init_transformer(translator *m, const settings *s)
{
    wg_transformer_options o = wg_transformer_defaults();
    o.heads = s->heads;
    o.norm_first = true;
    o.dropout = s->dropout;
    wg_transformer_init(&m->transformer, m->params, "", s->size, (int)s->layers, (int)s->layers, o);
    wg_position_init(&m->position, m->params, "position", WG_POSITION_SINUSOID, 0, s->size, 0);
}

static void translator_init(translator *m, const settings *s, int32_t source_words, int32_t target_words)
{
    *m = (translator){.size = s->size, .window = s->window, .dropout = s->dropout};
    while (strcmp(models[m->kind], s->model) != 0) m->kind++;
    m->params = wg_params_new_with(WG_F32, (wg_allocator){0}, (uint64_t)s->seed);
    if (!m->params) app_fail("out of memory");
    wg_embedding_init(&m->source, m->params, "source", source_words, s->size, WORD_PAD);
    wg_embedding_init(&m->target, m->params, "target", target_words, s->size, WORD_PAD);
    if (m->kind == TRANSFORMER)
        init_transformer(m, s);
    else
        init_recurrent(m, s);
    wg_linear_init(&m->output, m->params, "output", s->size, target_words, wg_linear_defaults());
    if (wg_params_status(m->params) != WG_OK) app_fail("%s", wg_params_message(m->params));
}

/* ---- sentences ---- */

enum {
    LONGEST = 8,
    BEYOND = 12
}; /* digits in a sentence of the built-in task: in training, and in the longest test */

/* n lines of `least` to `most` digits in English, and in German in reverse order. */
static void make_digits(words *source, words *target, size_t n, uint64_t seed, int least, int most)
{
    static const char *const english[] = {"zero", "one", "two",   "three", "four",
                                          "five", "six", "seven", "eight", "nine"};
    static const char *const german[] = {"null",  "eins",  "zwei",   "drei", "vier",
                                         "fuenf", "sechs", "sieben", "acht", "neun"};
    char *from = NULL, *to = NULL;
    size_t from_size, to_size;
    FILE *a = open_memstream(&from, &from_size), *b = open_memstream(&to, &to_size);
    if (!a || !b) app_fail("out of memory");
    for (size_t i = 0; i < n; i++) {
        uint64_t bits = app_random(seed, i, 0);
        int digits[BEYOND], count = least + (int)(bits % (uint64_t)(most - least + 1));
        for (int k = 0; k < count; k++) digits[k] = (int)(app_random(seed, i, (uint64_t)k + 1) % 10);
        for (int k = 0; k < count; k++) fprintf(a, "%s ", english[digits[k]]);
        for (int k = count - 1; k >= 0; k--) fprintf(b, "%s ", german[digits[k]]);
        fputc('\n', a);
        fputc('\n', b);
    }
    if (ferror(a) + ferror(b) + fclose(a) + fclose(b) != 0) app_fail("out of memory");
    *source = words_of(from, from_size, 0);
    *target = words_of(to, to_size, 0);
    free(from);
    free(to);
}

static void read_pair(const char *source_path, const char *target_path, words *source, words *target)
{
    *source = words_read(source_path, 0);
    *target = words_read(target_path, 0);
    if (source->lines != target->lines)
        app_fail("%s has %zu lines, %s has %zu: they must correspond line by line", source_path, source->lines,
                 target_path, target->lines);
}

/* Keeps the first n lines. */
static void cut(words *w, int64_t n)
{
    if (n > 0 && w->lines > (size_t)n) {
        w->lines = (size_t)n;
        w->total = w->begin[n];
    }
}

static const run *sorting; /* of by_length */

static int by_length(const void *a, const void *b)
{
    const size_t x = *(const size_t *)a, y = *(const size_t *)b;
    size_t tx = words_count(&sorting->train_target, x), ty = words_count(&sorting->train_target, y);
    size_t sx = words_count(&sorting->train_source, x), sy = words_count(&sorting->train_source, y);
    if (tx != ty) return tx < ty ? -1 : 1;
    if (sx != sy) return sx < sy ? -1 : 1;
    return x < y ? -1 : x > y;
}

/* Orders the training lines by length, without empty and too long ones. */
static void order_lines(run *r)
{
    const size_t most = (size_t)r->s.max_words;
    r->order = malloc((r->train_source.lines + 1) * sizeof *r->order);
    if (!r->order) app_fail("out of memory");
    for (size_t i = 0; i < r->train_source.lines; i++) {
        size_t s = words_count(&r->train_source, i), t = words_count(&r->train_target, i);
        if (s > 0 && t > 0 && s <= most && t <= most) r->order[r->n++] = i;
    }
    if (r->n == 0) app_fail("no pair of sentences has 1 to %lld words on both sides", (long long)r->s.max_words);
    if (r->n < r->train_source.lines)
        app_note("%zu of %zu pairs are empty or longer than --max-words and are left out",
                 r->train_source.lines - r->n, r->train_source.lines);
    sorting = r;
    qsort(r->order, r->n, sizeof *r->order, by_length);
}

int64_t encode_source(const run *r, const words *source, size_t line, int32_t *numbers)
{
    size_t n = dictionary_encode(&r->source, source, line, numbers, (size_t)r->s.max_words);
    for (size_t i = 0; r->s.reverse && i < n / 2; i++) {
        int32_t swapped = numbers[i];
        numbers[i] = numbers[n - 1 - i];
        numbers[n - 1 - i] = swapped;
    }
    return (int64_t)n;
}

static batch batch_with(int64_t size, int64_t longest)
{
    const size_t n = (size_t)(size * (longest + 1)) * sizeof(int32_t);
    batch b = {.size = size, .source = malloc(n), .lengths = malloc(n), .in = malloc(n), .out = malloc(n)};
    if (!b.source || !b.lengths || !b.in || !b.out) app_fail("out of memory");
    return b;
}

batch batch_new(const settings *s) { return batch_with(s->batch, s->max_words); }

void batch_free(batch *b)
{
    free(b->source);
    free(b->lengths);
    free(b->in);
    free(b->out);
}

/* Puts a line into the batch, whose S and T are set. */
static void put_line(batch *b, const run *r, const words *source, const words *target, size_t line, int64_t at)
{
    int32_t *from = b->source + at * b->S, *in = b->in + at * b->T, *out = b->out + at * b->T;
    memset(from, 0, (size_t)b->S * sizeof *from); /* WORD_PAD */
    memset(in, 0, (size_t)b->T * sizeof *in);
    memset(out, 0, (size_t)b->T * sizeof *out);
    b->lengths[at] = (int32_t)encode_source(r, source, line, from);
    size_t n = dictionary_encode(&r->target, target, line, out, (size_t)b->T - 1);
    in[0] = WORD_START;
    memcpy(in + 1, out, n * sizeof *in);
    out[n] = WORD_END;
}

static size_t batch_size(const run *r) { return r->n < (size_t)r->s.batch ? r->n : (size_t)r->s.batch; }

/* The index in r->order of the first sentence of a step. */
static size_t batch_first(const run *r, int64_t step)
{
    return app_random((uint64_t)r->s.seed, (uint64_t)step, 0) % (r->n - batch_size(r) + 1);
}

void batch_fill(batch *b, const run *r, int64_t step)
{
    const size_t size = batch_size(r), first = batch_first(r, step);
    b->size = (int64_t)size;
    b->S = b->T = 1;
    for (size_t i = 0; i < size; i++) {
        int64_t s = (int64_t)words_count(&r->train_source, r->order[first + i]),
                t = (int64_t)words_count(&r->train_target, r->order[first + i]) + 1;
        if (s > b->S) b->S = s;
        if (t > b->T) b->T = t;
    }
    for (size_t i = 0; i < size; i++)
        put_line(b, r, &r->train_source, &r->train_target, r->order[first + i], (int64_t)i);
}

batch batch_of(const run *r, const words *source, const words *target, size_t line)
{
    batch b = batch_with(1, r->s.max_words);
    int64_t s = (int64_t)words_count(source, line), t = (int64_t)words_count(target, line);
    b.S = s < 1 ? 1 : s < r->s.max_words ? s : r->s.max_words;
    b.T = 1 + (t < r->s.max_words ? t : r->s.max_words);
    put_line(&b, r, source, target, line, 0);
    return b;
}

/* ---- files with which bench/peers/translate.py repeats the training ---- */

enum { PARTS = 4 }; /* source, target, test.source, test.target */

/* Sentences as word numbers, contiguous. */
typedef struct numbered {
    const char *name, *name_lengths;
    int32_t *numbers, *lengths;
    int64_t total, lines;
} numbered;

/* Training lines and test sources as in batches. Test targets are complete; words that are not in the dictionary are
 * -1, which no translation contains. */
static numbered number_lines(const run *r, int part)
{
    static const char *const names[PARTS][2] = {{"source", "source_lengths"},
                                                {"target", "target_lengths"},
                                                {"test_source", "test_source_lengths"},
                                                {"test_target", "test_target_lengths"}};
    const words *const texts[PARTS] = {&r->train_source, &r->train_target, &r->test_source, &r->test_target},
                       *w = texts[part];
    numbered all = {.name = names[part][0], .name_lengths = names[part][1], .lines = (int64_t)w->lines};
    all.numbers = app_room((int64_t)w->total + 1, sizeof *all.numbers);
    all.lengths = app_room(all.lines, sizeof *all.lengths);
    for (size_t i = 0; i < w->lines; i++) {
        int32_t *at = all.numbers + all.total;
        const size_t most = part == 3 ? SIZE_MAX : (size_t)r->s.max_words;
        int64_t n =
            part % 2 == 0 ? encode_source(r, w, i, at) : (int64_t)dictionary_encode(&r->target, w, i, at, most);
        for (int64_t k = 0; part == 3 && k < n; k++)
            if (at[k] == WORD_UNKNOWN && strcmp(words_line(w, i)[k], r->target.word[WORD_UNKNOWN]) != 0) at[k] = -1;
        all.lengths[i] = (int32_t)n;
        all.total += n;
    }
    return all;
}

static void write_order(const char *path, const run *r)
{
    const int64_t steps = r->s.steps, size = (int64_t)batch_size(r);
    int32_t *order = app_room(steps * size, sizeof *order);
    for (int64_t i = 0; i < steps * size; i++)
        order[i] = (int32_t)r->order[batch_first(r, i / size) + (size_t)(i % size)];
    wg_entry entries[2 * PARTS + 1] = {
        {.name = "order", .dtype = WG_I32, .shape = WG_DIMS(steps, size), .data = order}};
    numbered parts[PARTS];
    for (int i = 0; i < PARTS; i++) {
        parts[i] = number_lines(r, i);
        entries[2 * i + 1] = (wg_entry){
            .name = parts[i].name, .dtype = WG_I32, .shape = WG_DIMS(parts[i].total), .data = parts[i].numbers};
        entries[2 * i + 2] = (wg_entry){.name = parts[i].name_lengths,
                                        .dtype = WG_I32,
                                        .shape = WG_DIMS(parts[i].lines),
                                        .data = parts[i].lengths};
    }
    wg_error error = {0};
    if (wg_safetensors_write(path, entries, 2 * PARTS + 1, NULL, 0, &error) != WG_OK) app_fail("%s", error.text);
    for (int i = 0; i < PARTS; i++) {
        free(parts[i].numbers);
        free(parts[i].lengths);
    }
    free(order);
}

/* ---- output ---- */

static void print_words(const char *what, const char *const *text, size_t n)
{
    app_print(what);
    for (size_t i = 0; i < n; i++) app_print(" "), app_print(text[i]);
    app_put_byte('\n');
}

void show_pair(const words *source, const words *target, size_t line, const char *const *text, size_t n)
{
    print_words("source:    ", words_line(source, line), words_count(source, line));
    print_words("reference: ", words_line(target, line), words_count(target, line));
    print_words("model:     ", text, n);
}

void write_matrix(const run *r, const words *source, const words *target, size_t line, const batch *b,
                  const float *weights)
{
    const char *rows[MOST_WORDS + 1], *cols[MOST_WORDS];
    const int T = (int)b->T, S = (int)b->S;
    for (int i = 0; i < S; i++)
        cols[i] = i < b->lengths[0] ? words_line(source, line)[r->s.reverse ? S - 1 - i : i] : "";
    for (int i = 0; i < T; i++) rows[i] = i + 1 < T ? words_line(target, line)[i] : "<end>";
    char title[64];
    wg_error error = {0};
    snprintf(title, sizeof title, "%s: attention weights", r->s.model);
    if (r->s.picture && app_matrix_write(r->s.picture, title, T, S, rows, cols, weights, &error) != WG_OK)
        app_fail("%s", error.text);
    app_watch_matrix("Attention", "A row for each word of the translation, a column for each word of the source.",
                     T, S, rows, cols, weights);
    if (r->s.weights && app_matrix_write_csv(r->s.weights, T, S, rows, cols, weights, &error) != WG_OK)
        app_fail("%s", error.text);
}

/* ---- a run ---- */

static void run_begin(run *r)
{
    settings *s = &r->s;
    const bool given = s->source;
    if (given)
        read_pair(s->source, s->target, &r->train_source, &r->train_target);
    else
        make_digits(&r->train_source, &r->train_target, 20000, 1, 1, LONGEST);
    if (s->test_source)
        read_pair(s->test_source, s->test_target, &r->test_source, &r->test_target);
    else if (!given)
        make_digits(&r->test_source, &r->test_target, 2000, 2, 1, LONGEST);
    cut(&r->test_source, s->tests);
    cut(&r->test_target, s->tests);
    const words *sources[] = {&r->train_source}, *targets[] = {&r->train_target};
    r->source = dictionary_of(sources, 1, (size_t)s->minimum, 0);
    r->target = dictionary_of(targets, 1, (size_t)s->minimum, 0);
    order_lines(r);
    translator_init(&r->m, s, r->source.size, r->target.size);
    r->tape = app_tape_new(s->threads, s->seed, s->precision, &r->pool);
}

static void run_end(run *r)
{
    wg_tape_free(r->tape);
    wg_pool_free(r->pool);
    wg_params_free(r->m.params);
    dictionary_fini(&r->source);
    dictionary_fini(&r->target);
    words_fini(&r->train_source);
    words_fini(&r->train_target);
    words_fini(&r->test_source);
    words_fini(&r->test_target);
    free(r->order);
}

/* Tests sentences longer than those of the training. */
static void test_lengths(const run *r)
{
    for (int n = LONGEST - 1; n <= BEYOND && !wg_signal_number(); n++) {
        words source, target;
        make_digits(&source, &target, 50, (uint64_t)(100 + n), n, n);
        quality q = test(r, &source, &target, 0);
        printf("length %d%s: exact %.2f\n", n, n > LONGEST ? ", never seen" : "",
               (double)q.exact / (double)q.lines);
        words_fini(&source);
        words_fini(&target);
    }
}

static void check(const settings *s)
{
    if (!s->source != !s->target) app_usage("--source and --target belong together");
    if (!s->test_source != !s->test_target) app_usage("--test-source and --test-target belong together");
    if (s->source && !s->test_source) app_usage("--source needs --test-source and --test-target");
    if (!s->source && s->test_source) app_usage("--test-source needs --source and --target");
    if (strcmp(s->model, "transformer") == 0 && s->size % s->heads != 0)
        app_usage("--size must be a multiple of --heads");
    if ((s->picture || s->weights) && strcmp(s->model, "plain") == 0)
        app_usage("--picture and --weights need a model with attention");
}

static const char *const scores[] = {"dot", "general", "concat", NULL};

static void parse(int argc, char **argv, settings *s)
{
    *s = (settings){.model = "luong",
                    .score = "general",
                    .size = 64,
                    .layers = 1,
                    .heads = 4,
                    .window = -1,
                    .batch = 64,
                    .steps = 1000,
                    .warmup = 100,
                    .beam = 4,
                    .max_words = 50,
                    .minimum = 2,
                    .tests = 200,
                    .show = 3,
                    .threads = 2,
                    .precision = "f32",
                    .lr = 3e-3};
    app_option options[] = {
        {APP_CHOICE, "model", &s->model, "KIND", "the model", 0, 0, models},
        {APP_TEXT, "source", &s->source, "FILE", "sentences to translate, one per line, words separated by blanks"},
        {APP_TEXT, "target", &s->target, "FILE", "their translations, line by line"},
        {APP_TEXT, "test-source", &s->test_source, "FILE", "sentences to test with"},
        {APP_TEXT, "test-target", &s->test_target, "FILE", "their translations"},
        {APP_FLAG, "reverse-input", &s->reverse, NULL, "the encoder reads the last word first"},
        {APP_CHOICE, "score", &s->score, "KIND", "luong's score", 0, 0, scores},
        {APP_INT, "window", &s->window, "N", "half width of local attention; -1: global", -1, 1e6},
        {APP_INT, "size", &s->size, "N", "of embeddings and states", 1, 1 << 14},
        {APP_INT, "layers", &s->layers, "N", "of encoder and decoder", 1, 16},
        {APP_INT, "heads", &s->heads, "N", "of the transformer's attention", 1, 1024},
        {APP_INT, "batch", &s->batch, "N", "sentences per step", 1, 1 << 14},
        {APP_INT, "steps", &s->steps, "N", "steps of training", 1, 1e9},
        {APP_REAL, "seconds", &s->seconds, "X", "time limit of training, in seconds; 0: none", 0, 1e9},
        {APP_REAL, "lr", &s->lr, "X", "largest learning rate (Adam, cosine to a tenth)", 0, 10},
        {APP_INT, "warmup", &s->warmup, "N", "steps of warmup", 0, 1e9},
        {APP_REAL, "dropout", &s->dropout, "X", "dropout", 0, 0.99},
        {APP_INT, "beam", &s->beam, "N", "width of the beam; 1: greedy", 1, 256},
        {APP_REAL, "length-power", &s->length_power, "X", "scores are divided by length^X", 0, 4},
        {APP_INT, "max-words", &s->max_words, "N", "longest sentence; longer ones are cut or left out", 1,
         MOST_WORDS},
        {APP_INT, "minimum", &s->minimum, "N", "rarer words are unknown", 1, 1e9},
        {APP_INT, "tests", &s->tests, "N", "test sentences; 0: all", 0, 1e9},
        {APP_INT, "show", &s->show, "N", "translations to print", 0, 1e9},
        {APP_TEXT, "picture", &s->picture, "FILE.svg", "draw the attention weights of the first test sentence"},
        {APP_TEXT, "weights", &s->weights, "FILE.csv", "... and write them as numbers"},
        {APP_TEXT, "init-out", &s->init_out, "FILE", "write the initial weights (safetensors)"},
        APP_EXPORT(&s->export),
        {APP_TEXT, "order-out", &s->order_out, "FILE", "write the sentences as numbers, and the batches"},
        APP_LOGDIR(&s->logdir),
        {APP_FLAG, "tiny", &s->tiny, NULL, "a small model, for a few seconds"},
        {APP_INT, "seed", &s->seed, "N", "of initial values, batches and dropout", 0, 9e18},
        APP_THREADS(&s->threads),
        APP_PRECISION(&s->precision, false),
        {APP_END}};
    app_parse(
        argc, argv, "translate [options]",
        "Learns to translate sentences with an encoder and a decoder; without files: digits to German, backwards.\n"
        "Expected of that: exact 1.0000 with luong, bahdanau and transformer, at least 0.9 with plain.",
        options);
    if (s->tiny) app_preset(options, "size=32 batch=32 steps=600 tests=50 show=1");
    check(s);
    app_watch_begin(s->logdir, NULL, options);
}

int main(int argc, char **argv)
{
    run r = {0};
    settings *s = &r.s;
    app_name("translate");
    parse(argc, argv, s);
    if (s->picture) app_check_place(s->picture);
    if (s->weights) app_check_place(s->weights);
    if (s->export) app_check_place(s->export);
    run_begin(&r);
    if (s->init_out) app_save(s->init_out, r.m.params, 0, s->seed);
    if (s->order_out) write_order(s->order_out, &r);
    wg_signal_catch();
    wg_fit_result end = learn(&r);
    quality q = test(&r, &r.test_source, &r.test_target, s->show);
    if (!s->source && !s->tiny) test_lengths(&r);
    if (s->picture || s->weights || (s->logdir && strcmp(s->model, "plain") != 0))
        write_weights(&r, &r.test_source, &r.test_target, 0);
    if (s->export) {
        const int64_t S = (int64_t)words_longest(&r.train_source), T = (int64_t)words_longest(&r.train_target);
        export_model(&r, s->export, S < s->max_words ? S : s->max_words, (T < s->max_words ? T : s->max_words) + 1);
    }
    app_result("model: %s, training loss: %.4f nats, exact: %.4f, BLEU: %.4f, beam: %lld, sentences: %zu, "
               "parameters: %lld, time: %.1f s",
               s->model, end.mean_loss, q.lines ? (double)q.exact / (double)q.lines : 0, wg_bleu_score(&q.bleu),
               (long long)s->beam, q.lines, (long long)wg_params_trainable(r.m.params), end.seconds);
    run_end(&r);
    return app_end();
}
