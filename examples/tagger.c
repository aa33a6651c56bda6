/* What is each word of a sentence? An LSTM that reads both ways, against one that reads forward only.
 *
 *     tagger                                       on a small generated language
 *     tagger --data train.tsv                      a word, a tab and its tag a line; a blank line after each sentence
 *     tagger --sentence "the old man the boats ."
 *
 * Embeddings, one layer of LSTM (bidirectional: a second one that starts at each sentence's own end; the outputs of the
 * two side by side), and a linear layer to the tags at every word (Graves and Schmidhuber 2005; Huang et al. 2015).
 * The loss and the accuracy are means over the words; padding counts nothing. Words that are not known are one, <unk>,
 * which a word becomes now and then in training.
 *
 * In the generated language a tag often hangs on words that come later: "the old man sleeps ." (old is an adjective),
 * "the old man the boats ." (old is a noun, man a verb); "we saw her dog .", "we saw her yesterday ."; "that dog
 * barks .", "that helps ."; "to the river", "to swim". What reads forward can only guess there.
 *
 * A tenth of the sentences, the last after a shuffle by the seed, is held out. Both nets have the same number of units
 * in all.
 *
 * Expected (default settings): bidirectional above 0.995 of the words of held-out sentences, forward below 0.95.
 * Another word at the end changes the first word's logits with the one and no bit of them with the other. */
#include "app.h"
#include "words.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_WORDS = 256, MOST_TAGS = 512 };

typedef struct settings {
    const char *data, *sentence;
    int64_t sentences, epochs, batch, embedding, hidden, seed, threads;
    double unknown, dropout, lr;
    bool tiny;
} settings;

/* ---- the generated language: lines "word tag", a blank line after each sentence ---- */

typedef struct writer {
    FILE *out;
    uint64_t random;
} writer;

static int64_t draw(writer *w, int64_t n)
{
    w->random = w->random * 6364136223846793005u + 1442695040888963407u;
    return (int64_t)((w->random >> 33) % (uint64_t)n);
}

/* One word of a list, with this tag. */
#define PUT(w, tag, ...) put(w, tag, (const char *const[]){__VA_ARGS__}, sizeof((const char *[]){__VA_ARGS__}))
static void put(writer *w, const char *tag, const char *const *list, size_t size)
{
    fprintf(w->out, "%s\t%s\n", list[draw(w, (int64_t)(size / sizeof *list))], tag);
}

#define QUALITIES "old", "young", "poor", "rich", "sick", "blind", "brave", "wise"       /* adjectives, and nouns */
#define CREWS     "man", "fish", "guard", "watch", "cook", "guide", "paint", "pilot"     /* nouns, and verbs */
#define THINGS    "boats", "river", "garden", "dog", "house", "walls", "bridge", "horse" /* nouns only */
#define ACTS      "sleeps", "barks", "helps", "falls", "waits", "smiles"                 /* verbs only */

static void write_where(writer *w)
{
    switch (draw(w, 4)) {
    case 0: PUT(w, "ADV", "here", "often", "yesterday", "again"); break;
    case 1:
        PUT(w, "ADP", "to");
        PUT(w, "DET", "the");
        PUT(w, "NOUN", THINGS);
        break;
    case 2:
        PUT(w, "PART", "to");
        PUT(w, "VERB", "swim", "rest", "eat", "learn");
        break;
    }
}

static void write_clause(writer *w)
{
    switch (draw(w, 6)) {
    case 0: /* the old man sleeps */
        PUT(w, "DET", "the");
        PUT(w, "ADJ", QUALITIES);
        PUT(w, "NOUN", CREWS);
        PUT(w, "VERB", ACTS);
        break;
    case 1: /* the old man the boats */
        PUT(w, "DET", "the");
        PUT(w, "NOUN", QUALITIES);
        PUT(w, "VERB", CREWS);
        PUT(w, "DET", "the");
        PUT(w, "NOUN", THINGS);
        break;
    case 2: /* that dog barks */
        PUT(w, "DET", "that");
        PUT(w, "NOUN", THINGS, CREWS);
        PUT(w, "VERB", ACTS);
        break;
    case 3: /* that helps */
        PUT(w, "PRON", "that");
        PUT(w, "VERB", ACTS);
        break;
    case 4: /* we saw her dog */
        PUT(w, "PRON", "we", "they", "you");
        PUT(w, "VERB", "saw", "met", "heard", "liked");
        PUT(w, "DET", "her");
        PUT(w, "NOUN", THINGS, CREWS);
        break;
    case 5: /* we saw her */
        PUT(w, "PRON", "we", "they", "you");
        PUT(w, "VERB", "saw", "met", "heard", "liked");
        PUT(w, "PRON", "her");
        break;
    }
    write_where(w);
}

/* To be freed. */
static char *generate(int64_t sentences, uint64_t seed, size_t *size)
{
    char *bytes = NULL;
    writer w = {open_memstream(&bytes, size), seed};
    if (!w.out) app_fail("out of memory");
    for (int64_t i = 0; i < sentences; i++) {
        int64_t clauses = 1 + draw(&w, 3);
        for (int64_t k = 0; k < clauses; k++) {
            if (k > 0) PUT(&w, "CONJ", "and", "but", "or");
            write_clause(&w);
        }
        fprintf(w.out, ".\tPUNCT\n\n");
    }
    if (fclose(w.out) != 0) app_fail("out of memory");
    return bytes;
}

/* ---- sentences as numbers ---- */

typedef struct corpus {
    dictionary words, tags;
    int64_t n, train, width;             /* 0 .. train - 1 to learn from, the others held out */
    int32_t *tokens, *tags_of, *lengths; /* [n, width], [n, width], [n] */
    bool *ambiguous;                     /* [words.size]: has more than one tag in what is learnt from */
} corpus;

static int32_t n_tags(const corpus *c) { return c->tags.size - WORD_FIRST; }

/* Where the sentences begin (a line) and how long they are. name: of the file, for messages. */
typedef struct span {
    size_t line;
    int32_t length;
} span;

static span *find_sentences(const words *lines, const char *name, int64_t *n)
{
    span *list = app_room((int64_t)lines->lines, sizeof *list);
    *n = 0;
    for (size_t i = 0; i < lines->lines; i++) {
        size_t count = words_count(lines, i);
        if (count == 0) continue;
        if (count != 2) app_fail("%s: line %zu: not a word and its tag", name, i + 1);
        if (i == 0 || words_count(lines, i - 1) == 0) list[(*n)++] = (span){.line = i};
        if (++list[*n - 1].length > MOST_WORDS)
            app_fail("%s: line %zu: a sentence of more than %d words", name, i + 1, MOST_WORDS);
    }
    if (*n < 10) app_fail("%s: %lld sentences are too few: at least 10", name, (long long)*n);
    return list;
}

/* Column 0 (words) or 1 (tags) of the first n sentences in this order, as a dictionary. */
static dictionary column(const words *lines, const span *list, const int64_t *order, int64_t n, int which,
                         size_t minimum)
{
    char *bytes = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&bytes, &size);
    if (!out) app_fail("out of memory");
    for (int64_t i = 0; i < n; i++)
        for (int32_t k = 0; k < list[order[i]].length; k++)
            fprintf(out, "%s ", words_line(lines, list[order[i]].line + (size_t)k)[which]);
    if (fclose(out) != 0) app_fail("out of memory");
    words text = words_of(bytes, size, 0);
    dictionary d = dictionary_of((const words *[]){&text}, 1, minimum, 0);
    words_fini(&text);
    free(bytes);
    return d;
}

static void find_ambiguous(corpus *c)
{
    int32_t *seen = app_room(c->words.size, sizeof *seen); /* a word's first tag plus one */
    c->ambiguous = app_room(c->words.size, sizeof *c->ambiguous);
    for (int64_t i = 0; i < c->train; i++)
        for (int64_t k = i * c->width; k < i * c->width + c->lengths[i]; k++) {
            int32_t *first = &seen[c->tokens[k]];
            if (*first == 0) *first = c->tags_of[k] + 1;
            c->ambiguous[c->tokens[k]] |= *first != c->tags_of[k] + 1;
        }
    free(seen);
}

static corpus corpus_of(const words *lines, const char *name, uint64_t seed, size_t minimum)
{
    corpus c = {0};
    span *list = find_sentences(lines, name, &c.n);
    int64_t *order = app_shuffled(c.n, seed);
    c.train = c.n - c.n / 10;
    c.words = column(lines, list, order, c.train, 0, minimum);
    c.tags = column(lines, list, order, c.n, 1, 1);
    if (c.words.size == WORD_FIRST) app_fail("%s: no word is there twice", name);
    if (n_tags(&c) > MOST_TAGS) app_fail("%s: %d different tags: at most %d", name, (int)n_tags(&c), MOST_TAGS);
    for (int64_t i = 0; i < c.n; i++)
        if (list[i].length > c.width) c.width = list[i].length;
    c.tokens = app_room(c.n * c.width, sizeof *c.tokens);
    c.tags_of = app_room(c.n * c.width, sizeof *c.tags_of);
    c.lengths = app_room(c.n, sizeof *c.lengths);
    for (int64_t i = 0; i < c.n; i++) {
        span s = list[order[i]];
        c.lengths[i] = s.length;
        for (int32_t k = 0; k < s.length; k++) {
            const char *const *pair = words_line(lines, s.line + (size_t)k);
            c.tokens[i * c.width + k] = dictionary_find(&c.words, pair[0]);
            c.tags_of[i * c.width + k] = dictionary_find(&c.tags, pair[1]) - WORD_FIRST;
            if (c.tags_of[i * c.width + k] < 0) app_fail("%s: '%s' cannot be a tag", name, pair[1]);
        }
    }
    find_ambiguous(&c);
    free(order);
    free(list);
    return c;
}

static corpus get_corpus(const settings *s)
{
    size_t size = 0;
    char *bytes = s->data ? NULL : generate(s->sentences, (uint64_t)s->seed, &size);
    words lines = s->data ? words_read(s->data, 0) : words_of(bytes, size, 0);
    corpus c = corpus_of(&lines, s->data ? s->data : "the language", (uint64_t)s->seed, s->data ? 2 : 1);
    words_fini(&lines);
    free(bytes);
    return c;
}

static void corpus_fini(corpus *c)
{
    dictionary_fini(&c->words);
    dictionary_fini(&c->tags);
    free(c->tokens);
    free(c->tags_of);
    free(c->lengths);
    free(c->ambiguous);
}

/* ---- the model ---- */

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

/* tokens i32 [B, T], lengths i32 [B]: the logits of every word's tag, [B, T, tags]. */
static wg_tensor predict(const model *m, wg_tensor tokens, wg_tensor lengths)
{
    wg_tensor x[MOST_WORDS], h[MOST_WORDS];
    wg_tape *tape = tokens.tape;
    const int64_t B = wg_size(tokens, 0), T = wg_size(tokens, 1);
    if (wg_is_training(tape)) { /* now and then a word is one that is not known */
        wg_tensor hide = wg_bernoulli(tape, WG_DIMS(B, T), m->unknown);
        tokens = wg_masked_fill(tokens, hide, WORD_UNKNOWN);
    }
    wg_tensor embedded = wg_dropout(wg_embedding_apply(&m->embedding, wg_t(tokens)), m->dropout); /* [T, B, ...] */
    for (int64_t t = 0; t < T; t++) x[t] = wg_select(embedded, 0, t);
    wg_rnn_state state = wg_rnn_zero_state(&m->rnn, tape, B);
    wg_rnn_unroll(&m->rnn, x, (int)T, lengths, &state, h);
    return wg_linear_apply(&m->head, wg_dropout(wg_stack(h, (int)T, 1), m->dropout));
}

typedef struct batch {
    wg_tensor tokens, tags, lengths; /* [B, T], [B, T], [B] */
    int32_t *token;                  /* the numbers of tokens, to be freed */
    int64_t T;
} batch;

/* Padded to a multiple of four words, so that there are fewer shapes. */
static batch batch_of(wg_tape *tape, const corpus *c, const int64_t *sample, int64_t n)
{
    batch b = {0};
    for (int64_t i = 0; i < n; i++)
        if (c->lengths[sample[i]] > b.T) b.T = c->lengths[sample[i]];
    b.T = (b.T + 3) / 4 * 4;
    b.token = app_room(n * b.T, sizeof *b.token);
    int32_t *tags = app_room(n * b.T, sizeof *tags), *lengths = app_room(n, sizeof *lengths);
    for (int64_t i = 0; i < n; i++) {
        lengths[i] = c->lengths[sample[i]];
        memcpy(b.token + i * b.T, c->tokens + sample[i] * c->width, (size_t)lengths[i] * sizeof *tags);
        memcpy(tags + i * b.T, c->tags_of + sample[i] * c->width, (size_t)lengths[i] * sizeof *tags);
    }
    b.tokens = wg_data(tape, WG_I32, WG_DIMS(n, b.T), b.token);
    b.tags = wg_data(tape, WG_I32, WG_DIMS(n, b.T), tags);
    b.lengths = wg_data(tape, WG_I32, WG_DIMS(n), lengths);
    free(tags);
    free(lengths);
    return b;
}

/* ---- training ---- */

static void end_step(wg_tape *tape)
{
    if (wg_tape_reset(tape) != WG_OK) app_fail("%s", wg_tape_message(tape));
}

static double train_step(const model *m, wg_tape *tape, wg_optimizer *optimizer, const corpus *c, wg_loader *loader,
                         uint64_t step)
{
    const int64_t *samples;
    int64_t n = wg_loader_batch(loader, step, &samples);
    wg_set_step(tape, step);
    batch b = batch_of(tape, c, samples, n);
    wg_tensor loss = wg_keep(wg_cross_entropy_lengths(predict(m, b.tokens, b.lengths), b.tags, b.lengths));
    wg_zero_grad(m->params);
    wg_backward(loss);
    double value = wg_item(loss);
    end_step(tape);
    free(b.token);
    wg_clip_grad_norm(m->params, 5, NULL);
    if (wg_optimizer_step(optimizer) != WG_OK) app_fail("%s", wg_optimizer_message(optimizer));
    return value;
}

typedef struct score {
    double words, ambiguous, sentences; /* right of all, of those that can have several tags, as a whole */
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
        batch b = batch_of(tape, c, samples, n);
        const int32_t *best = wg_value(wg_argmax(predict(m, b.tokens, b.lengths), -1, false));
        for (int64_t k = 0; best && k < n; k++) {
            int32_t length = c->lengths[i + k], hits = 0;
            for (int32_t t = 0; t < length; t++) {
                bool hit = best[k * b.T + t] == c->tags_of[(i + k) * c->width + t];
                bool unsure = c->ambiguous[c->tokens[(i + k) * c->width + t]];
                hits += hit;
                ambiguous += unsure;
                right_ambiguous += unsure && hit;
            }
            right += hits;
            all += length;
            whole += hits == length;
        }
        wg_no_grad_end(tape);
        end_step(tape);
        free(b.token);
    }
    free(samples);
    wg_set_training(tape, training);
    return (score){right / all, ambiguous > 0 ? right_ambiguous / ambiguous : 1, whole / (double)(c->n - c->train)};
}

static score train(const model *m, wg_tape *tape, const corpus *c, const settings *s, app_progress *progress,
                   int64_t done)
{
    wg_adam_options adam = wg_adam_defaults();
    wg_loader_options options = wg_loader_defaults();
    wg_error error = {0};
    adam.lr = s->lr;
    options.batch = s->batch;
    options.seed = (uint64_t)s->seed;
    options.lengths = c->lengths;
    wg_optimizer *optimizer = wg_adam_new(m->params, adam);
    wg_loader *loader = wg_loader_new(c->train, options, &error);
    if (!optimizer || !loader) app_fail("%s", loader ? "out of memory" : error.text);
    int64_t steps = s->epochs * wg_loader_batches(loader);
    double smooth = log(n_tags(c));
    for (int64_t step = 0; step < steps && !app_signal(); step++) {
        smooth += 0.05 * (train_step(m, tape, optimizer, c, loader, (uint64_t)step) - smooth);
        app_progress_show(progress, done + step + 1, smooth);
    }
    wg_loader_free(loader);
    wg_optimizer_free(optimizer);
    return evaluate(m, tape, c, s->batch);
}

/* ---- one sentence ---- */

/* logits [length, tags] of a sentence's words, to be freed. */
static float *logits_of(const model *m, wg_tape *tape, const corpus *c, const int32_t *tokens, int32_t length)
{
    float *logits = app_room(length * n_tags(c), sizeof *logits);
    bool training = wg_set_training(tape, false);
    wg_tensor x = wg_data(tape, WG_I32, WG_DIMS(1, length), tokens);
    wg_status status = wg_read(predict(m, x, wg_data(tape, WG_I32, WG_DIMS(1), &length)), logits,
                               (size_t)(length * n_tags(c)) * sizeof *logits);
    wg_set_training(tape, training);
    end_step(tape);
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
        printf(" %s%s/%s", line.word[t], known ? "" : "?", c->tags.word[WORD_FIRST + best]);
    }
    printf("\n");
    words_fini(&line);
    free(logits);
}

/* How much the first word's logits change where the last word is another one, in a sentence that is held out. */
static double dependence(const model *m, wg_tape *tape, const corpus *c)
{
    const int32_t *held = c->tokens + c->train * c->width, length = c->lengths[c->train];
    int32_t tokens[MOST_WORDS];
    memcpy(tokens, held, (size_t)length * sizeof *tokens);
    tokens[length - 1] = held[length - 1] == WORD_FIRST ? WORD_UNKNOWN : WORD_FIRST;
    float *a = logits_of(m, tape, c, held, length), *b = logits_of(m, tape, c, tokens, length);
    double largest = 0;
    for (int32_t k = 0; k < n_tags(c); k++) largest = fmax(largest, fabs((double)a[k] - (double)b[k]));
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

static void run(wg_tape *tape, const settings *s)
{
    corpus c = get_corpus(s);
    score scores[2] = {0};
    double depends[2] = {0};
    app_progress progress;
    int64_t steps = s->epochs * ((c.train + s->batch - 1) / s->batch);
    model models[2];
    app_progress_begin(&progress, 0, 0, 2 * steps, "sentences", (double)s->batch);
    for (int k = 0; k < 2; k++) {
        models[k] = model_new(&c, s, k == 1);
        scores[k] = train(&models[k], tape, &c, s, &progress, k * steps);
        depends[k] = dependence(&models[k], tape, &c);
    }
    app_progress_end(&progress);
    if (!app_signal()) {
        const char *garden_path[] = {"the old man sleeps .", "the old man the boats .",
                                     "we saw her dog yesterday .", "we saw her yesterday ."};
        printf("%lld sentences to learn from, %lld held out, %d words, %d tags\n\n", (long long)c.train,
               (long long)(c.n - c.train), (int)c.words.size - WORD_FIRST, (int)n_tags(&c));
        printf("%-14s %-8s %-16s %s\n", "right", "words", "ambiguous words", "sentences");
        for (int k = 0; k < 2; k++)
            printf("%-14s %-8.4f %-16.4f %.3f\n", direction[k], scores[k].words, scores[k].ambiguous,
                   scores[k].sentences);
        for (int k = 0; k < 2; k++) {
            printf("\n%s (? not seen in training)\n", direction[k]);
            if (s->sentence) print_tagged(&models[k], tape, &c, s->sentence);
            for (int i = 0; !s->sentence && !s->data && i < 4; i++)
                print_tagged(&models[k], tape, &c, garden_path[i]);
        }
        printf("\nfinal:");
        for (int k = 0; k < 2; k++)
            printf(" %s=%.4f ambiguous_%s=%.4f depends_%s=%.3g", direction[k], scores[k].words, direction[k],
                   scores[k].ambiguous, direction[k], depends[k]);
        printf("\n");
    }
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
        {APP_TEXT, "data", &s.data, "FILE", "a word, a tab and its tag a line; a blank line after each sentence"},
        {APP_TEXT, "sentence", &s.sentence, "TEXT",
         "tag this at the end, words and punctuation with blanks between"},
        {APP_INT, "sentences", &s.sentences, "N", "generated ones", 10, 1e6},
        {APP_INT, "epochs", &s.epochs, "N", "times through the data", 1, 1e4},
        {APP_INT, "batch", &s.batch, "N", "sentences of a step", 1, 4096},
        {APP_INT, "embedding", &s.embedding, "N", "numbers of a word", 1, 4096},
        {APP_INT, "hidden", &s.hidden, "N", "units of a direction; forward only has twice as many", 1, 4096},
        {APP_REAL, "unknown", &s.unknown, "X", "how often a word is hidden in training", 0, 1},
        {APP_REAL, "dropout", &s.dropout, "X", "on embeddings and outputs", 0, 0.95},
        {APP_REAL, "lr", &s.lr, "X", "Adam's learning rate", 0, 10},
        {APP_FLAG, "tiny", &s.tiny, NULL, "400 sentences, 16 units"},
        {APP_INT, "seed", &s.seed, "N", "of data, weights, order and dropout", 0, 9e18},
        {APP_INT, "threads", &s.threads, "N", "0: all there are", 0, 1024},
        {APP_END}};
    app_name("tagger");
    app_parse(argc, argv, "tagger [options]",
              "What is each word? An LSTM that reads both ways, against one that reads forward only.\n"
              "Expected: bidirectional above 0.995 of the words, forward below 0.95.",
              options);
    if (s.tiny) app_preset(options, "sentences=400 hidden=16 embedding=16 lr=0.02");
    if (s.sentence) check_sentence(s.sentence);
    app_catch_signals();
    wg_pool *pool;
    wg_tape *tape = app_tape_new(s.threads, s.seed, &pool);
    run(tape, &s);
    if (app_signal()) app_note("stopped");
    wg_tape_free(tape);
    wg_pool_free(pool);
    return app_end();
}
