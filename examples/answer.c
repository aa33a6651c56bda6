/* Questions about a story: where is Mary?
 *
 *     answer                                        stories of two facts, generated
 *     answer --facts 5                              longer ones
 *     answer --data qa1_single-supporting-fact_train.txt
 *     answer --story "Mary moved to the bathroom. John went to the hallway. Where is Mary?"
 *
 * Two encoders of the same words: an LSTM reads the story, another the question; their last states side by side go
 * through a layer of relu units to the answers, which are single words. Stories and questions are of any length:
 * padding changes nothing.
 *
 * The format is that of the bAbI tasks (Weston et al. 2015): a line is a number and a fact, or a number, a question, a
 * tab, the answer, and the numbers of the facts behind it, which are not used here; number 1 begins a story. Generated
 * are stories of its first task: four people go to six places, in five ways of saying so. Whoever moves twice is where
 * he or she went last. The last tenth of the stories is held out; what stands word for word among those that are learnt
 * from is left out of it.
 *
 * Expected (default settings): above 0.95 of the questions of held-out stories; the likeliest answer is right in about
 * 0.17. */
#include "app.h"
#include "words.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_WORDS = 512 };

typedef struct settings {
    const char *data, *story;
    int64_t stories, facts, epochs, batch, embedding, hidden, seed, threads;
    double lr;
    bool tiny;
} settings;

/* ---- generated stories ---- */

static int64_t draw(uint64_t *random, int64_t n)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return (int64_t)((*random >> 33) % (uint64_t)n);
}

/* To be freed. */
static char *generate(int64_t stories, int64_t facts, uint64_t seed, size_t *size)
{
    static const char *const people[] = {"Mary", "John", "Sandra", "Daniel"};
    static const char *const ways[] = {"moved to", "went to", "journeyed to", "travelled to", "went back to"};
    static const char *const places[] = {"bathroom", "hallway", "kitchen", "garden", "office", "bedroom"};
    char *bytes = NULL;
    FILE *out = open_memstream(&bytes, size);
    if (!out) app_fail("out of memory");
    for (int64_t i = 0; i < stories; i++) {
        int64_t place[4] = {-1, -1, -1, -1}, asked;
        for (int64_t fact = 1; fact <= facts; fact++) {
            int64_t who = draw(&seed, 4);
            place[who] = draw(&seed, 6);
            fprintf(out, "%lld %s %s the %s.\n", (long long)fact, people[who], ways[draw(&seed, 5)],
                    places[place[who]]);
        }
        do asked = draw(&seed, 4);
        while (place[asked] < 0);
        fprintf(out, "%lld Where is %s?\t%s\n", (long long)facts + 1, people[asked], places[place[asked]]);
    }
    if (fclose(out) != 0) app_fail("out of memory");
    return bytes;
}

/* ---- questions as numbers ---- */

/* Sequences of numbers, padded to one width. */
typedef struct sequences {
    int64_t width;
    int32_t *tokens, *lengths; /* [n, width], [n] */
} sequences;

typedef struct corpus {
    dictionary words, answers;
    int64_t n, train; /* questions; 0 .. train - 1 to learn from, the others held out */
    sequences story, question;
    int32_t *answer; /* [n] */
} corpus;

static int32_t n_answers(const corpus *c) { return c->answers.size - WORD_FIRST; }

static bool is_number(const char *word)
{
    while (isdigit((unsigned char)*word)) word++;
    return *word == 0;
}

/* Where the question's mark stands; 0 in a fact. */
static size_t find_mark(const words *text, size_t line)
{
    size_t at = words_count(text, line);
    while (at > 0 && strcmp(words_line(text, line)[at - 1], "?") != 0) at--;
    return at > 0 ? at - 1 : 0;
}

static void check_line(const words *text, size_t line, bool first, const char *name)
{
    size_t n = words_count(text, line), mark = find_mark(text, line);
    const char *const *word = words_line(text, line);
    if (!is_number(word[0])) app_fail("%s: line %zu: no number at the beginning", name, line + 1);
    if (first && strcmp(word[0], "1") != 0) app_fail("%s: line %zu: not number 1", name, line + 1);
    if (n < 2) app_fail("%s: line %zu: only a number", name, line + 1);
    if (mark == 0) return;
    if (strcmp(word[0], "1") == 0) app_fail("%s: line %zu: a question before any fact", name, line + 1);
    if (mark == 1 || mark + 1 == n) app_fail("%s: line %zu: a question without words or answer", name, line + 1);
    for (size_t i = mark + 2; i < n; i++)
        if (!is_number(word[i])) app_fail("%s: line %zu: an answer of more than one word", name, line + 1);
}

/* Adds the words first .. last - 1 of a line, full stops left out. */
static int32_t add_words(const dictionary *d, const words *text, size_t line, size_t first, size_t last,
                         int32_t *tokens, int32_t n)
{
    for (size_t i = first; i < last && n < MOST_WORDS; i++) {
        const char *word = words_line(text, line)[i];
        if (strcmp(word, ".") != 0) tokens[n++] = dictionary_find(d, word);
    }
    return n;
}

static void sequences_init(sequences *s, int64_t n, int64_t width)
{
    s->width = width;
    s->tokens = app_room(n * width, sizeof *s->tokens);
    s->lengths = app_room(n, sizeof *s->lengths);
}

static void sequences_set(sequences *s, int64_t i, const int32_t *tokens, int32_t length)
{
    memcpy(s->tokens + i * s->width, tokens, (size_t)length * sizeof *tokens);
    s->lengths[i] = length;
}

static bool sequences_equal(const sequences *s, int64_t i, int64_t j)
{
    return s->lengths[i] == s->lengths[j] && memcmp(s->tokens + i * s->width, s->tokens + j * s->width,
                                                    (size_t)s->lengths[i] * sizeof *s->tokens) == 0;
}

/* Checks all lines; counts stories and questions, and finds the width of the longest story. */
static void measure(const words *text, const char *name, int64_t *stories, int64_t *questions, int64_t *width)
{
    int64_t now = 0;
    *stories = *questions = *width = 0;
    for (size_t i = 0; i < text->lines; i++) {
        if (words_count(text, i) == 0) continue;
        check_line(text, i, *stories == 0, name);
        if (strcmp(words_line(text, i)[0], "1") == 0) now = 0, ++*stories;
        if (find_mark(text, i))
            ++*questions;
        else
            now += (int64_t)words_count(text, i) - 1;
        if (now > MOST_WORDS) app_fail("%s: line %zu: a story of more than %d words", name, i + 1, MOST_WORDS);
        if (now > *width) *width = now;
    }
    if (*stories < 10 || *questions < 10)
        app_fail("%s: %lld stories and %lld questions are too few: at least 10", name, (long long)*stories,
                 (long long)*questions);
}

/* The answers, and the words of the training stories. */
static void make_dictionaries(corpus *c, const words *text, int64_t training_stories)
{
    char *bytes[2] = {NULL, NULL};
    size_t size[2] = {0, 0};
    FILE *out[2] = {open_memstream(&bytes[0], &size[0]), open_memstream(&bytes[1], &size[1])};
    if (!out[0] || !out[1]) app_fail("out of memory");
    int64_t story = 0;
    for (size_t i = 0; i < text->lines; i++) {
        if (words_count(text, i) == 0) continue;
        const char *const *word = words_line(text, i);
        size_t mark = find_mark(text, i), end = mark ? mark : words_count(text, i);
        story += strcmp(word[0], "1") == 0;
        for (size_t k = 1; k < end && story <= training_stories; k++) fprintf(out[0], "%s ", word[k]);
        if (mark) fprintf(out[1], "%s ", word[mark + 1]);
    }
    if (fclose(out[0]) != 0 || fclose(out[1]) != 0) app_fail("out of memory");
    for (int k = 0; k < 2; k++) {
        words all = words_of(bytes[k], size[k], 0);
        *(k ? &c->answers : &c->words) = dictionary_of((const words *[]){&all}, 1, 1, 0);
        words_fini(&all);
        free(bytes[k]);
    }
}

/* Takes out what is held out but stands, word for word, among what is learnt from. */
static void drop_known(corpus *c)
{
    int64_t kept = c->train;
    for (int64_t i = c->train; i < c->n; i++) {
        int64_t j = 0;
        while (j < c->train && !(sequences_equal(&c->story, i, j) && sequences_equal(&c->question, i, j))) j++;
        if (j < c->train) continue;
        sequences_set(&c->story, kept, c->story.tokens + i * c->story.width, c->story.lengths[i]);
        sequences_set(&c->question, kept, c->question.tokens + i * c->question.width, c->question.lengths[i]);
        c->answer[kept++] = c->answer[i];
    }
    c->n = kept;
}

static corpus corpus_of(const words *text, const char *name)
{
    corpus c = {0};
    int64_t stories, width, story = 0;
    int32_t tokens[MOST_WORDS], question[MOST_WORDS], length = 0;
    measure(text, name, &stories, &c.n, &width);
    make_dictionaries(&c, text, stories - stories / 10);
    sequences_init(&c.story, c.n, width);
    sequences_init(&c.question, c.n, (int64_t)words_longest(text));
    c.answer = app_room(c.n, sizeof *c.answer);
    int64_t n = 0;
    for (size_t i = 0; i < text->lines; i++) {
        if (words_count(text, i) == 0) continue;
        const char *const *word = words_line(text, i);
        size_t mark = find_mark(text, i);
        if (strcmp(word[0], "1") == 0) length = 0, story++;
        if (!mark) {
            length = add_words(&c.words, text, i, 1, words_count(text, i), tokens, length);
            continue;
        }
        sequences_set(&c.story, n, tokens, length);
        sequences_set(&c.question, n, question, add_words(&c.words, text, i, 1, mark, question, 0));
        c.answer[n++] = dictionary_find(&c.answers, word[mark + 1]) - WORD_FIRST;
        if (story <= stories - stories / 10) c.train = n;
    }
    drop_known(&c);
    if (c.train == 0) app_fail("%s: no question in the first nine tenths of the stories", name);
    if (c.n == c.train) app_fail("%s: no question in the last tenth that is not among the others", name);
    return c;
}

static corpus get_corpus(const settings *s)
{
    size_t size = 0;
    char *bytes = s->data ? NULL : generate(s->stories, s->facts, (uint64_t)s->seed, &size);
    const unsigned flags = WORDS_LOWER | WORDS_PUNCTUATION;
    words text = s->data ? words_read(s->data, flags) : words_of(bytes, size, flags);
    corpus c = corpus_of(&text, s->data ? s->data : "the stories");
    words_fini(&text);
    free(bytes);
    return c;
}

static void corpus_fini(corpus *c)
{
    dictionary_fini(&c->words);
    dictionary_fini(&c->answers);
    free(c->story.tokens);
    free(c->story.lengths);
    free(c->question.tokens);
    free(c->question.lengths);
    free(c->answer);
}

/* ---- the model ---- */

typedef struct model {
    wg_params *params;
    wg_embedding_layer embedding;
    wg_rnn story, question;
    wg_linear_layer joined, head;
} model;

static model model_new(const corpus *c, const settings *s)
{
    model m = {.params = wg_params_new_with(WG_F32, (wg_allocator){0}, (uint64_t)s->seed)};
    wg_rnn_options options = wg_rnn_defaults();
    options.cell = WG_LSTM;
    options.forget_bias = 1;
    wg_embedding_init(&m.embedding, m.params, "embedding", c->words.size, s->embedding, WORD_PAD);
    wg_rnn_init(&m.story, m.params, "story", s->embedding, s->hidden, options);
    wg_rnn_init(&m.question, m.params, "question", s->embedding, s->hidden, options);
    wg_linear_init(&m.joined, m.params, "joined", 2 * s->hidden, 2 * s->hidden, wg_linear_defaults());
    wg_linear_init(&m.head, m.params, "head", 2 * s->hidden, n_answers(c), wg_linear_defaults());
    if (wg_params_status(m.params) != WG_OK) app_fail("%s", wg_params_message(m.params));
    return m;
}

/* Sequences as tensors. */
typedef struct read_text {
    wg_tensor tokens, lengths; /* i32 [B, T], [B] */
} read_text;

/* The state after the last word: [B, hidden]. */
static wg_tensor encode(const model *m, const wg_rnn *rnn, read_text text)
{
    wg_tensor embedded = wg_embedding_apply(&m->embedding, wg_t(text.tokens)), x[MOST_WORDS + 4], h[MOST_WORDS + 4];
    const int64_t B = wg_size(text.tokens, 0), T = wg_size(text.tokens, 1);
    for (int64_t t = 0; t < T; t++) x[t] = wg_select(embedded, 0, t);
    wg_rnn_state state = wg_rnn_zero_state(rnn, text.tokens.tape, B);
    wg_rnn_unroll(rnn, x, (int)T, text.lengths, &state, h);
    return state.h[0];
}

/* The logits of the answers: [B, answers]. */
static wg_tensor predict(const model *m, read_text story, read_text question)
{
    wg_tensor both[2] = {encode(m, &m->story, story), encode(m, &m->question, question)};
    wg_tensor joined = wg_relu(wg_linear_apply(&m->joined, wg_concat(both, 2, 1)));
    return wg_linear_apply(&m->head, joined);
}

/* Padded to a multiple of four words, so that there are fewer shapes. */
static read_text sequences_batch(wg_tape *tape, const sequences *s, const int64_t *sample, int64_t n)
{
    int64_t T = 0;
    for (int64_t i = 0; i < n; i++)
        if (s->lengths[sample[i]] > T) T = s->lengths[sample[i]];
    T = (T + 3) / 4 * 4;
    int32_t *tokens = app_room(n * T, sizeof *tokens), *lengths = app_room(n, sizeof *lengths);
    for (int64_t i = 0; i < n; i++) {
        lengths[i] = s->lengths[sample[i]];
        memcpy(tokens + i * T, s->tokens + sample[i] * s->width, (size_t)lengths[i] * sizeof *tokens);
    }
    read_text text = {wg_data(tape, WG_I32, WG_DIMS(n, T), tokens), wg_data(tape, WG_I32, WG_DIMS(n), lengths)};
    free(tokens);
    free(lengths);
    return text;
}

static wg_tensor predict_samples(const model *m, wg_tape *tape, const corpus *c, const int64_t *sample, int64_t n)
{
    return predict(m, sequences_batch(tape, &c->story, sample, n), sequences_batch(tape, &c->question, sample, n));
}

/* ---- training ---- */

static void end_step(wg_tape *tape)
{
    if (wg_tape_reset(tape) != WG_OK) app_fail("%s", wg_tape_message(tape));
}

static double train_step(const model *m, wg_tape *tape, wg_optimizer *optimizer, const corpus *c,
                         const int64_t *samples, int64_t n)
{
    int32_t *answers = app_room(n, sizeof *answers);
    for (int64_t i = 0; i < n; i++) answers[i] = c->answer[samples[i]];
    wg_tensor labels = wg_data(tape, WG_I32, WG_DIMS(n), answers);
    wg_tensor loss = wg_keep(wg_cross_entropy(predict_samples(m, tape, c, samples, n), labels));
    free(answers);
    wg_zero_grad(m->params);
    wg_backward(loss);
    double value = wg_item(loss);
    end_step(tape);
    wg_clip_grad_norm(m->params, 1, NULL);
    if (wg_optimizer_step(optimizer) != WG_OK) app_fail("%s", wg_optimizer_message(optimizer));
    return value;
}

/* How many of the questions first .. last - 1 are answered right; the answers in given, unless that is NULL. */
static double accuracy(const model *m, wg_tape *tape, const corpus *c, int64_t first, int64_t last, int32_t *given)
{
    enum { AT_ONCE = 100 };
    int64_t samples[AT_ONCE], right = 0;
    bool training = wg_set_training(tape, false);
    for (int64_t i = first; i < last; i += AT_ONCE) {
        int64_t n = last - i < AT_ONCE ? last - i : AT_ONCE;
        for (int64_t k = 0; k < n; k++) samples[k] = i + k;
        wg_no_grad_begin(tape);
        const int32_t *best = wg_value(wg_argmax(predict_samples(m, tape, c, samples, n), -1, false));
        for (int64_t k = 0; best && k < n; k++) {
            right += best[k] == c->answer[i + k];
            if (given) given[i + k - first] = best[k];
        }
        wg_no_grad_end(tape);
        end_step(tape);
    }
    wg_set_training(tape, training);
    return (double)right / (double)(last - first);
}

/* The mean loss of the last steps. */
static double train(const model *m, wg_tape *tape, const corpus *c, const settings *s)
{
    wg_adam_options adam = wg_adam_defaults();
    wg_loader_options options = wg_loader_defaults();
    wg_error error = {0};
    adam.lr = s->lr;
    options.batch = s->batch;
    options.seed = (uint64_t)s->seed;
    options.lengths = c->story.lengths;
    wg_optimizer *optimizer = wg_adam_new(m->params, adam);
    wg_loader *loader = wg_loader_new(c->train, options, &error);
    if (!optimizer || !loader) app_fail("%s", loader ? "out of memory" : error.text);
    int64_t steps = s->epochs * wg_loader_batches(loader);
    double smooth = log(n_answers(c));
    app_progress progress;
    app_progress_begin(&progress, 0, 0, steps, "questions", (double)s->batch);
    for (int64_t step = 0; step < steps && !app_signal(); step++) {
        const int64_t *samples;
        int64_t n = wg_loader_batch(loader, (uint64_t)step, &samples);
        wg_set_step(tape, (uint64_t)step);
        wg_optimizer_set_lr(optimizer, wg_schedule_cosine(s->lr, s->lr / 20, (uint64_t)step, (uint64_t)steps));
        smooth += 0.05 * (train_step(m, tape, optimizer, c, samples, n) - smooth);
        app_progress_show(&progress, step + 1, smooth);
    }
    app_progress_end(&progress);
    wg_loader_free(loader);
    wg_optimizer_free(optimizer);
    return smooth;
}

/* ---- asking ---- */

/* The accuracy of always giving the answer that is most frequent in training. */
static double chance(const corpus *c)
{
    int64_t *count = app_room(n_answers(c), sizeof *count), right = 0;
    int32_t best = 0;
    for (int64_t i = 0; i < c->train; i++) count[c->answer[i]]++;
    for (int32_t k = 1; k < n_answers(c); k++)
        if (count[k] > count[best]) best = k;
    for (int64_t i = c->train; i < c->n; i++) right += c->answer[i] == best;
    free(count);
    return (double)right / (double)(c->n - c->train);
}

static void print_words(const dictionary *d, const sequences *s, int64_t i)
{
    for (int32_t k = 0; k < s->lengths[i]; k++) printf("%s ", d->word[s->tokens[i * s->width + k]]);
}

static void print_some(const model *m, wg_tape *tape, const corpus *c)
{
    int32_t given[3];
    int64_t n = c->n - c->train < 3 ? c->n - c->train : 3;
    accuracy(m, tape, c, c->train, c->train + n, given);
    for (int64_t i = 0; i < n; i++) {
        print_words(&c->words, &c->story, c->train + i);
        printf("| ");
        print_words(&c->words, &c->question, c->train + i);
        printf("? %s (%s)\n", c->answers.word[WORD_FIRST + given[i]],
               c->answers.word[WORD_FIRST + c->answer[c->train + i]]);
    }
}

/* A story and its question, as a corpus of one question with the dictionaries of another. */
static corpus told(const corpus *c, const char *story)
{
    words text = words_of(story, strlen(story), WORDS_LOWER | WORDS_PUNCTUATION);
    size_t mark = text.lines == 1 ? find_mark(&text, 0) : 0, stop = mark;
    int32_t tokens[MOST_WORDS], length, known = 0;
    while (stop > 0 && strcmp(text.word[stop - 1], ".") != 0) stop--;
    if (mark + 1 != text.total || stop < 2 || stop == mark || text.total > MOST_WORDS)
        app_usage("--story: facts that end with '.', then a question that ends with '?'; at most %d words",
                  MOST_WORDS);
    corpus one = {.n = 1};
    sequences_init(&one.story, 1, MOST_WORDS);
    sequences_init(&one.question, 1, MOST_WORDS);
    one.answer = app_room(1, sizeof *one.answer);
    length = add_words(&c->words, &text, 0, 0, stop, tokens, 0);
    for (int32_t i = 0; i < length; i++) known += tokens[i] != WORD_UNKNOWN;
    if (length == 0 || known == 0) app_usage("--story: none of its words is known from training");
    sequences_set(&one.story, 0, tokens, length);
    sequences_set(&one.question, 0, tokens, add_words(&c->words, &text, 0, stop, mark, tokens, 0));
    words_fini(&text);
    return one;
}

/* ---- the program ---- */

static void run(wg_tape *tape, const settings *s)
{
    corpus c = get_corpus(s), asked = {0};
    if (s->story) asked = told(&c, s->story);
    model m = model_new(&c, s);
    double loss = train(&m, tape, &c, s);
    if (!app_signal()) {
        double right = accuracy(&m, tape, &c, c.train, c.n, NULL);
        printf("%lld questions to learn from, %lld held out, %d words, %d answers\n\n", (long long)c.train,
               (long long)(c.n - c.train), (int)c.words.size - WORD_FIRST, (int)n_answers(&c));
        print_some(&m, tape, &c);
        if (s->story) {
            int32_t given = 0;
            accuracy(&m, tape, &asked, 0, 1, &given);
            printf("%s %s\n", s->story, c.answers.word[WORD_FIRST + given]);
        }
        printf("\nfinal: accuracy=%.4f chance=%.4f train_loss=%.4f\n", right, chance(&c), loss);
    }
    wg_params_free(m.params);
    corpus_fini(&c);
    corpus_fini(&asked);
}

int main(int argc, char **argv)
{
    settings s = {
        .stories = 10000, .facts = 2, .epochs = 12, .batch = 32, .embedding = 32, .hidden = 48, .threads = 1};
    s.lr = 1e-2;
    app_option options[] = {
        {APP_TEXT, "data", &s.data, "FILE", "a bAbI task with answers of one word"},
        {APP_TEXT, "story", &s.story, "TEXT", "facts and a question to answer at the end"},
        {APP_INT, "stories", &s.stories, "N", "generated ones", 10, 1e6},
        {APP_INT, "facts", &s.facts, "N", "of a generated story", 1, 60},
        {APP_INT, "epochs", &s.epochs, "N", "times through the data", 1, 1e4},
        {APP_INT, "batch", &s.batch, "N", "questions of a step", 1, 4096},
        {APP_INT, "embedding", &s.embedding, "N", "numbers of a word", 1, 4096},
        {APP_INT, "hidden", &s.hidden, "N", "units of an encoder", 1, 4096},
        {APP_REAL, "lr", &s.lr, "X", "Adam's learning rate at the beginning; falls to a twentieth", 0, 10},
        {APP_FLAG, "tiny", &s.tiny, NULL, "3000 stories, 32 units, 24 epochs"},
        {APP_INT, "seed", &s.seed, "N", "of stories, weights and order", 0, 9e18},
        {APP_INT, "threads", &s.threads, "N", "0: all there are", 0, 1024},
        {APP_END}};
    app_name("answer");
    app_parse(argc, argv, "answer [options]",
              "Answers questions about stories: one LSTM reads the story, one the question.\n"
              "Expected: accuracy above 0.95 on held-out stories, chance about 0.17.",
              options);
    if (s.tiny) app_preset(options, "stories=3000 epochs=24 embedding=16 hidden=32 lr=0.01");
    app_catch_signals();
    wg_pool *pool;
    wg_tape *tape = app_tape_new(s.threads, s.seed, &pool);
    run(tape, &s);
    if (app_signal()) app_note("stopped");
    wg_tape_free(tape);
    wg_pool_free(pool);
    return app_end();
}
