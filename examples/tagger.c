/* Part-of-speech tags: a bidirectional LSTM against one that reads forward only.
 *
 *     tagger                                       on a small generated language
 *     tagger --data train.tsv                      a word, a tab and its tag a line; a blank line after each sentence
 *     tagger --sentence "the old man the boats ."
 *
 * Embeddings, an LSTM layer (bidirectional: with a second one that starts at the end of each sentence, and concatenated
 * outputs), and a linear layer to the tags of every word (Graves and Schmidhuber 2005; Huang et al. 2015). Loss and
 * accuracy are means over the words, without padding. Unknown words are <unk>; training replaces random words by it.
 *
 * In the generated language a tag often depends on later words: "the old man sleeps ." (old is an adjective), "the old
 * man the boats ." (old is a noun, man a verb); "we saw her dog .", "we saw her yesterday ."; "that dog barks .", "that
 * helps ."; "to the river", "to swim". A forward net can only guess there.
 *
 * After a shuffle by the seed, the last tenth of the sentences is held out. Both nets have the same total number of
 * units.
 *
 * Expected (default settings): an accuracy above 0.995 on words of held-out sentences (bidirectional), below 0.95
 * (forward). Another last word changes the logits of the first word in the bidirectional net, and no bit of them in the
 * forward net. */
#include "tagger.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct settings {
    const char *data, *sentence, *export;
    int64_t sentences, epochs, batch, embedding, hidden, seed, threads;
    double unknown, dropout, lr;
    bool tiny;
} settings;

/* ---- the model ---- */

static int32_t n_tags(const corpus *c) { return c->tags.size - WORD_FIRST; }

typedef struct model {
    wg_params *params;
    wg_embedding_layer embedding;
    wg_rnn rnn;
    wg_linear_layer head;
    double dropout, unknown;
} model;

static model model_new(const corpus *c, const settings *s, bool bidirectional)
{
    model m = {.dropout = s->dropout, .unknown = s->unknown};
    m.params = wg_params_new_with(WG_F32, (wg_allocator){0}, (uint64_t)s->seed);
    wg_rnn_options options = wg_rnn_defaults();
    options.cell = WG_LSTM;
    options.bidirectional = bidirectional;
    wg_embedding_init(&m.embedding, m.params, "embedding", c->words.size, s->embedding, WORD_PAD);
    wg_rnn_init(&m.rnn, m.params, "rnn", s->embedding, bidirectional ? s->hidden : 2 * s->hidden, options);
    wg_linear_init(&m.head, m.params, "head", 2 * s->hidden, n_tags(c), wg_linear_defaults());
    if (wg_params_status(m.params) != WG_OK) app_fail("%s", wg_params_message(m.params));
    return m;
}

/* The logits of the tags of every word, [B, T, tags], from tokens i32 [B, T] and lengths i32 [B]. */
static wg_tensor predict(const model *m, wg_tensor tokens, wg_tensor lengths)
{
    wg_tensor x[MOST_WORDS], h[MOST_WORDS];
    wg_tape *tape = tokens.tape;
    const int64_t B = wg_size(tokens, 0), T = wg_size(tokens, 1);
    if (wg_is_training(tape)) { /* some words become unknown */
        wg_tensor hide = wg_bernoulli(tape, WG_DIMS(B, T), m->unknown);
        tokens = wg_masked_fill(tokens, hide, WORD_UNKNOWN);
    }
    wg_tensor embedded = wg_dropout(wg_embedding_apply(&m->embedding, wg_t(tokens)), m->dropout); /* [T, B, ...] */
    for (int64_t t = 0; t < T; t++) x[t] = wg_select(embedded, 0, t);
    wg_rnn_state state = wg_rnn_zero_state(&m->rnn, tape, B);
    wg_rnn_unroll(&m->rnn, x, (int)T, lengths, &state, h);
    return wg_linear_apply(&m->head, wg_dropout(wg_stack(h, (int)T, 1), m->dropout));
}

/* ---- training ---- */

/* A model that learns from a corpus. */
typedef struct learner {
    const model *model;
    const corpus *corpus;
} learner;

static wg_tensor loss_of(void *context, const wg_fit_batch *batch)
{
    const learner *l = context;
    sequence_batch x = sequences_batch(&l->corpus->tokens, batch->tape, batch->sample, batch->n, 0),
                   y = sequences_batch(&l->corpus->tags_of, batch->tape, batch->sample, batch->n, 0);
    return wg_cross_entropy_lengths(predict(l->model, x.tokens, x.lengths), y.tokens, x.lengths);
}

typedef struct score {
    double words, ambiguous, sentences; /* fractions right: of words, of ambiguous words, of sentences */
} score;

static score evaluate(const model *m, wg_tape *tape, const corpus *c, int64_t size)
{
    double right = 0, all = 0, right_ambiguous = 0, ambiguous = 0, whole = 0;
    bool training = wg_set_training(tape, false);
    int64_t *samples = app_room(size, sizeof *samples);
    for (int64_t i = c->train; i < c->n; i += size) {
        int64_t n = c->n - i < size ? c->n - i : size;
        for (int64_t k = 0; k < n; k++) samples[k] = i + k;
        wg_no_grad_begin(tape);
        sequence_batch x = sequences_batch(&c->tokens, tape, samples, n, 0);
        const int32_t *best = wg_value(wg_argmax(predict(m, x.tokens, x.lengths), -1, false));
        for (int64_t k = 0; best && k < n; k++) {
            const int64_t row = (i + k) * c->tokens.width;
            int32_t length = c->tokens.lengths[i + k], hits = 0;
            for (int32_t t = 0; t < length; t++) {
                bool hit = best[k * x.T + t] == c->tags_of.tokens[row + t];
                bool unsure = c->ambiguous[c->tokens.tokens[row + t]];
                hits += hit;
                ambiguous += unsure;
                right_ambiguous += unsure && hit;
            }
            right += hits;
            all += length;
            whole += hits == length;
        }
        wg_no_grad_end(tape);
        app_end_step(tape);
    }
    free(samples);
    wg_set_training(tape, training);
    return (score){right / all, ambiguous > 0 ? right_ambiguous / ambiguous : 1, whole / (double)(c->n - c->train)};
}

static score train(const model *m, wg_tape *tape, const corpus *c, const settings *s, const char *name)
{
    learner l = {m, c};
    wg_adam_options adam = wg_adam_defaults();
    adam.lr = s->lr;
    wg_fit_options fit = wg_fit_defaults();
    fit.params = m->params;
    fit.optimizer = wg_adam_new(m->params, adam);
    fit.loss = loss_of, fit.context = &l;
    fit.samples = c->train, fit.lengths = c->tokens.lengths;
    fit.batch = s->batch, fit.epochs = s->epochs;
    fit.seed = (uint64_t)s->seed;
    fit.clip = 5;
    app_fit(fit, tape, (wg_progress){.unit = "sentences", .units = (double)s->batch, .label = name});
    wg_optimizer_free(fit.optimizer);
    return evaluate(m, tape, c, s->batch);
}

/* ---- export ---- */

static void record_model(void *context, wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    const sequence_exported *e = context;
    const model *m = e->model;
    const sequence_batch b = sequences_export(tape, batch, e->T, &m->embedding, x);
    y[0] = predict(m, b.tokens, b.lengths);
}

static void export_model(const model *m, const corpus *c, const char *path, wg_tape *tape)
{
    static const char *const in[] = {"words", "lengths"}, *const out[] = {"logits"};
    sequence_exported e = {m, sequences_longest(&c->tokens)};
    const app_model program = {in, out, 2, 1, record_model, &e};
    app_export(path, tape, &program);
}

/* ---- one sentence ---- */

/* The logits [length, tags] of the words of a sentence; the caller frees them. */
static float *logits_of(const model *m, wg_tape *tape, const corpus *c, const int32_t *tokens, int32_t length)
{
    float *logits = app_room(length * n_tags(c), sizeof *logits);
    bool training = wg_set_training(tape, false);
    wg_tensor x = wg_data(tape, WG_I32, WG_DIMS(1, length), tokens);
    wg_status status = wg_read(predict(m, x, wg_data(tape, WG_I32, WG_DIMS(1), &length)), logits,
                               (size_t)(length * n_tags(c)) * sizeof *logits);
    wg_set_training(tape, training);
    app_end_step(tape);
    if (status != WG_OK) app_fail("cannot read the logits");
    return logits;
}

static void print_tagged(const model *m, wg_tape *tape, const corpus *c, const char *sentence)
{
    words line = words_of(sentence, strlen(sentence), 0);
    int32_t tokens[MOST_WORDS], length = (int32_t)dictionary_encode(&c->words, &line, 0, tokens, MOST_WORDS);
    float *logits = logits_of(m, tape, c, tokens, length);
    for (int32_t t = 0; t < length; t++) {
        const float *row = logits + t * n_tags(c);
        int32_t best = 0;
        for (int32_t k = 1; k < n_tags(c); k++)
            if (row[k] > row[best]) best = k;
        bool known = dictionary_find(&c->words, line.word[t]) != WORD_UNKNOWN;
        putchar(' ');
        app_print(line.word[t]);
        printf("%s/", known ? "" : "?");
        app_print(c->tags.word[WORD_FIRST + best]);
    }
    printf("\n");
    words_fini(&line);
    free(logits);
}

/* The change of the logits of the first word of a held-out sentence if the last word is replaced; 0 if all are of one
 * word, which has no later ones. */
static double dependence(const model *m, wg_tape *tape, const corpus *c)
{
    int64_t i = c->train;
    while (i < c->n && c->tokens.lengths[i] < 2) i++;
    if (i == c->n) return 0;
    const int32_t *held = c->tokens.tokens + i * c->tokens.width, length = c->tokens.lengths[i];
    int32_t tokens[MOST_WORDS];
    memcpy(tokens, held, (size_t)length * sizeof *tokens);
    tokens[length - 1] = held[length - 1] == WORD_FIRST ? WORD_UNKNOWN : WORD_FIRST;
    float *a = logits_of(m, tape, c, held, length), *b = logits_of(m, tape, c, tokens, length);
    double largest = 0;
    for (int32_t k = 0; k < n_tags(c); k++) {
        /* No fmax: by GCC 12 for aarch64, its reduction ends in an internal compiler error. */
        double change = fabs((double)a[k] - (double)b[k]);
        if (change > largest) largest = change;
    }
    free(a);
    free(b);
    return largest;
}

/* ---- the program ---- */

static void check_sentence(const char *sentence)
{
    words line = words_of(sentence, strlen(sentence), 0);
    if (line.lines != 1 || line.total == 0 || line.total > MOST_WORDS)
        app_usage("--sentence: one line of 1 to %d words", MOST_WORDS);
    words_fini(&line);
}

static const char *const direction[2] = {"forward", "bidirectional"};

static void print_result(const settings *s, const corpus *c, wg_tape *tape, const model models[2],
                         const score scores[2], const double depends[2])
{
    const char *garden_path[] = {"the old man sleeps .", "the old man the boats .", "we saw her dog yesterday .",
                                 "we saw her yesterday ."};
    printf("%lld sentences to learn from, %lld held out, %d words, %d tags\n\n", (long long)c->train,
           (long long)(c->n - c->train), (int)c->words.size - WORD_FIRST, (int)n_tags(c));
    printf("%-14s %-8s %-16s %s\n", "right", "words", "ambiguous words", "sentences");
    for (int k = 0; k < 2; k++)
        printf("%-14s %-8.4f %-16.4f %.3f\n", direction[k], scores[k].words, scores[k].ambiguous,
               scores[k].sentences);
    for (int k = 0; k < 2; k++) {
        printf("\n%s (? not seen in training)\n", direction[k]);
        if (s->sentence) print_tagged(&models[k], tape, c, s->sentence);
        for (int i = 0; !s->sentence && !s->data && i < 4; i++) print_tagged(&models[k], tape, c, garden_path[i]);
    }
    putchar('\n');
    for (int k = 0; k < 2; k++) {
        app_result("%s: %.4f, %s on ambiguous words: %.4f, %s change by later words: %.3g", direction[k],
                   scores[k].words, direction[k], scores[k].ambiguous, direction[k], depends[k]);
    }
}

static void run(wg_tape *tape, const settings *s)
{
    corpus c = corpus_new(s->data, s->sentences, (uint64_t)s->seed);
    score scores[2] = {0};
    double depends[2] = {0};
    model models[2];
    for (int k = 0; k < 2; k++) {
        models[k] = model_new(&c, s, k == 1);
        scores[k] = train(&models[k], tape, &c, s, direction[k]);
        depends[k] = dependence(&models[k], tape, &c);
    }
    print_result(s, &c, tape, models, scores, depends);
    if (s->export) export_model(&models[1], &c, s->export, tape);
    for (int k = 0; k < 2; k++) wg_params_free(models[k].params);
    corpus_fini(&c);
}

int main(int argc, char **argv)
{
    settings s = {.sentences = 2000, .epochs = 5, .batch = 32, .embedding = 32, .hidden = 32, .threads = 1};
    s.unknown = 0.02;
    s.dropout = 0.1;
    s.lr = 5e-3;
    app_option options[] = {
        {APP_TEXT, "data", &s.data, "FILE", "lines of a word, a tab and its tag; a blank line after each sentence"},
        {APP_TEXT, "sentence", &s.sentence, "TEXT",
         "tag this sentence at the end; blanks separate words and punctuation"},
        APP_EXPORT(&s.export),
        {APP_INT, "sentences", &s.sentences, "N", "to generate", 10, 1e6},
        {APP_INT, "epochs", &s.epochs, "N", "passes over the data", 1, 1e4},
        {APP_INT, "batch", &s.batch, "N", "sentences per step", 1, 4096},
        {APP_INT, "embedding", &s.embedding, "N", "size of the word embeddings", 1, 4096},
        {APP_INT, "hidden", &s.hidden, "N", "units per direction; the forward net has twice as many", 1, 4096},
        {APP_REAL, "unknown", &s.unknown, "X", "probability of replacing a word by <unk> in training", 0, 1},
        {APP_REAL, "dropout", &s.dropout, "X", "on embeddings and outputs", 0, 0.95},
        {APP_REAL, "lr", &s.lr, "X", "Adam's learning rate", 0, 10},
        {APP_FLAG, "tiny", &s.tiny, NULL, "400 sentences, 16 units"},
        {APP_INT, "seed", &s.seed, "N", "of data, weights, order and dropout", 0, 9e18},
        APP_THREADS(&s.threads),
        {APP_END}};
    app_name("tagger");
    app_parse(argc, argv, "tagger [options]",
              "Tags words: a bidirectional LSTM against one that reads forward only.\n"
              "Expected: bidirectional above 0.995 of the words, forward below 0.95.",
              options);
    if (s.tiny) app_preset(options, "sentences=400 hidden=16 embedding=16 lr=0.02");
    if (s.sentence) check_sentence(s.sentence);
    if (s.export) app_check_place(s.export);
    wg_signal_catch();
    wg_pool *pool;
    wg_tape *tape = app_tape_new(s.threads, s.seed, NULL, &pool);
    run(tape, &s);
    if (wg_signal_number()) app_note("stopped");
    wg_tape_free(tape);
    wg_pool_free(pool);
    return app_end();
}
