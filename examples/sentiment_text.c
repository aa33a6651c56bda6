/* sentiment: sentences, generated or from files, and as numbers. */
#include "sentiment.h"

#include <stdlib.h>
#include <string.h>

/* ---- generated sentences: number 2 k and 2 k + 1 are a pair ---- */

/* The word of the last digit of the number, which is removed. */
#define PICK(number, ...) pick(&(number), (const char *const[]){__VA_ARGS__}, sizeof((const char *[]){__VA_ARGS__}))
static const char *pick(int64_t *number, const char *const *list, size_t size)
{
    int64_t n = (int64_t)(size / sizeof *list), digit = *number % n;
    *number /= n;
    return list[digit];
}

#define THINGS "plot", "cast", "music", "ending", "script", "camera", "humor", "hero"
static const int64_t review_pairs = 6 * 8 * 8 * 6 * 6;
static void write_review(FILE *out, int64_t number)
{
    bool good = number & 1;
    number >>= 1;
    int64_t form = number % 6;
    number /= 6;
    const char *x = PICK(number, THINGS), *y = PICK(number, THINGS);
    int64_t same = number; /* opposites have the same index */
    const char *a = PICK(number, "good", "great", "fine", "clever", "funny", "warm");
    const char *b = PICK(number, "strong", "fresh", "smart", "lovely", "bright", "moving");
    const char *not_a = PICK(same, "bad", "awful", "poor", "stupid", "sad", "cold");
    const char *not_b = PICK(same, "weak", "stale", "dumb", "ugly", "dull", "boring");
    const char *p = good ? a : not_a, *q = good ? b : not_b, *not_p = good ? not_a : a, *not_q = good ? not_b : b;
    if (form == 0) fprintf(out, "everybody can say that in it the %s is %s and the %s is %s\n", x, p, y, q);
    if (form == 1) fprintf(out, "the %s is not %s and the %s is not %s\n", x, not_p, y, not_q);
    if (form == 2) fprintf(out, "the %s is %s , not %s , as is the %s\n", x, p, not_p, y);
    if (form == 3) fprintf(out, "it is not %s but %s , the %s and the %s\n", not_q, q, x, y);
    if (form == 4) fprintf(out, "before the %s i thought %s , after the %s i say %s\n", x, not_p, y, p);
    if (form == 5) fprintf(out, "nobody can say that in it the %s is %s and the %s is %s\n", x, not_p, y, not_q);
}

static const int64_t order_pairs = 10 * 10 * 15;
static void write_order(FILE *out, int64_t number)
{
    bool first = number & 1;
    number >>= 1;
    const char *when = PICK(number, "yesterday", "today", "once", "again", "then", "so", "at dawn", "at night",
                            "on monday", "in may");
    const char *did =
        PICK(number, "KILLED", "SAW", "MET", "CALLED", "FOUND", "LEFT", "FOUGHT", "KNEW", "HEARD", "TOLD");
    const char *where = PICK(number, "here", "there", "outside", "at home", "in the garden", "in the snow",
                             "in the church", "in tokyo", "in texas", "in mexico", "by the sea", "on the roof",
                             "near the bar", "behind the house", "in the desert");
    fprintf(out, "%s %s %s %s %s\n", when, first ? "BEATRIX" : "BILL", did, first ? "BILL" : "BEATRIX", where);
}

static const int64_t far_pairs = 6 * 6 * 6 * 6 * 6;
static void write_far(FILE *out, int64_t number)
{
    static const char *const filler[] = {"well", "now", "oh", "yes", "so", "then"};
    const char *who[] = {number & 1 ? "BEATRIX" : "BILL", "KILLED", number & 1 ? "BILL" : "BEATRIX", ""};
    for (int i = 0; i < 4; i++) { /* the same five words around each of the three */
        int64_t digits = number >> 1;
        for (int k = 0; k < 5; k++, digits /= 6) fprintf(out, "%s ", filler[digits % 6]);
        fprintf(out, "%s%c", who[i], i < 3 ? ' ' : '\n');
    }
}

const task task_reviews = {"reviews", {"negative", "positive"}, review_pairs, write_review},
           task_order = {"order", {"BILL did it", "BEATRIX did it"}, order_pairs, write_order},
           task_far = {"far", {"BILL did it", "BEATRIX did it"}, far_pairs, write_far},
           task_files = {"files", {"negative", "positive"}, 0, NULL};

/* ---- sentences as numbers ---- */

/* The dictionary of the first `train` of these lines. */
static dictionary training_dictionary(const words *text, const int64_t *line, int64_t train, size_t minimum)
{
    char *bytes = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&bytes, &size);
    if (!out) app_fail("out of memory");
    for (int64_t i = 0; i < train; i++) {
        const char *const *word = words_line(text, (size_t)line[i]);
        for (size_t k = 0; k < words_count(text, (size_t)line[i]); k++) fprintf(out, "%s ", word[k]);
    }
    if (fclose(out) != 0) app_fail("out of memory");
    words training = words_of(bytes, size, 0);
    free(bytes);
    dictionary d = dictionary_of((const words *[]){&training}, 1, minimum, 0);
    words_fini(&training);
    return d;
}

/* Sequence i is a line; words past the width are cut. */
static void encode(sequences *s, int64_t i, const dictionary *d, const words *text, size_t line)
{
    int32_t tokens[MOST_WORDS];
    sequences_set(s, i, tokens, (int32_t)dictionary_encode(d, text, line, tokens, (size_t)s->width));
}

/* The lines of a text in this order; the last two tenths are not for training. */
static corpus corpus_of(const task *what, const words *text, const int64_t *line, const int32_t *labels, int64_t n,
                        size_t minimum)
{
    corpus c = {.task = what, .n = n, .held = n / 20 * 2};
    const int64_t longest = (int64_t)words_longest(text);
    c.train = n - 2 * c.held;
    if (c.held == 0) app_fail("%lld sentences are too few: at least 20", (long long)n);
    c.dictionary = training_dictionary(text, line, c.train, minimum);
    c.text = sequences_new(n, longest < MOST_WORDS ? longest : MOST_WORDS);
    c.labels = app_room(n, sizeof *c.labels);
    for (int64_t i = 0; i < n; i++) {
        encode(&c.text, i, &c.dictionary, text, (size_t)line[i]);
        c.labels[i] = labels[line[i]];
    }
    return c;
}

void corpus_fini(corpus *c)
{
    dictionary_fini(&c->dictionary);
    sequences_fini(&c->text);
    free(c->labels);
}

corpus corpus_generate(const task *what, int64_t n, uint64_t seed)
{
    char *bytes = NULL;
    size_t size = 0;
    int64_t *pair = app_shuffled(what->pairs, seed), *line = app_room(n, sizeof *line);
    int32_t *labels = app_room(n, sizeof *labels);
    FILE *out = open_memstream(&bytes, &size);
    if (!out) app_fail("out of memory");
    if (n > 2 * what->pairs) n = 2 * what->pairs;
    for (int64_t i = 0; i < n; i++) {
        what->write(out, 2 * pair[i / 2] + i % 2);
        line[i] = i;
        labels[i] = (int32_t)(i % 2);
    }
    if (fclose(out) != 0) app_fail("out of memory");
    words text = words_of(bytes, size, 0);
    corpus c = corpus_of(what, &text, line, labels, n, 1);
    words_fini(&text);
    free(bytes);
    free(pair);
    free(line);
    free(labels);
    return c;
}

/* The non-empty lines of both texts, as one text. */
static words join(const words *text, int n, int32_t **labels, int64_t *lines)
{
    char *bytes = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&bytes, &size);
    if (!out) app_fail("out of memory");
    *lines = 0;
    *labels = app_room((int64_t)(text[0].lines + text[1].lines), sizeof **labels);
    for (int k = 0; k < n; k++)
        for (size_t i = 0; i < text[k].lines; i++) {
            size_t count = words_count(&text[k], i);
            for (size_t j = 0; j < count; j++)
                fprintf(out, "%s%c", words_line(&text[k], i)[j], j + 1 < count ? ' ' : '\n');
            if (count > 0) (*labels)[(*lines)++] = k;
        }
    if (fclose(out) != 0) app_fail("out of memory");
    words all = words_of(bytes, size, 0);
    free(bytes);
    return all;
}

corpus corpus_read(const char *negative, const char *positive, uint64_t seed)
{
    words text[CLASSES] = {words_read(negative, WORDS_LOWER | WORDS_LATIN1),
                           words_read(positive, WORDS_LOWER | WORDS_LATIN1)};
    int32_t *labels;
    int64_t n;
    words all = join(text, CLASSES, &labels, &n);
    int64_t *line = app_shuffled(n, seed);
    corpus c = corpus_of(&task_files, &all, line, labels, n, 2);
    words_fini(&text[0]);
    words_fini(&text[1]);
    words_fini(&all);
    free(labels);
    free(line);
    return c;
}

corpus corpus_look_at(const char *lines, unsigned flags, const dictionary *known)
{
    words text = words_of(lines, strlen(lines), flags);
    const int64_t longest = (int64_t)words_longest(&text);
    corpus c = {.n = (int64_t)text.lines};
    dictionary own = known ? (dictionary){0} : dictionary_of((const words *[]){&text}, 1, 1, 0);
    c.text = sequences_new(c.n, longest < MOST_WORDS ? longest : MOST_WORDS);
    c.labels = app_room(c.n, sizeof *c.labels);
    for (int64_t i = 0; i < c.n; i++) encode(&c.text, i, known ? known : &own, &text, (size_t)i);
    words_fini(&text);
    c.dictionary = own;
    return c;
}

/* ---- a file for comparison ---- */

void write_order_file(const char *path, const corpus *c, int64_t epochs, int64_t batch, int64_t seed)
{
    wg_loader *loader = app_loader_new(c->train, batch, seed, c->text.lengths);
    int64_t steps = epochs * wg_loader_batches(loader);
    int32_t *numbers = app_room(steps * batch, sizeof *numbers), parts[2] = {(int32_t)c->train, (int32_t)c->held};
    for (int64_t step = 0; step < steps; step++) {
        const int64_t *samples;
        int64_t n = wg_loader_batch(loader, (uint64_t)step, &samples);
        for (int64_t i = 0; i < batch; i++) numbers[step * batch + i] = i < n ? (int32_t)samples[i] : -1;
    }
    wg_entry entries[] = {
        {.name = "tokens", .dtype = WG_I32, .shape = WG_DIMS(c->n, c->text.width), .data = c->text.tokens},
        {.name = "lengths", .dtype = WG_I32, .shape = WG_DIMS(c->n), .data = c->text.lengths},
        {.name = "labels", .dtype = WG_I32, .shape = WG_DIMS(c->n), .data = c->labels},
        {.name = "order", .dtype = WG_I32, .shape = WG_DIMS(steps, batch), .data = numbers},
        {.name = "parts", .dtype = WG_I32, .shape = WG_DIMS(2), .data = parts}};
    wg_error error = {0};
    if (wg_safetensors_write(path, entries, sizeof entries / sizeof *entries, NULL, 0, &error) != WG_OK)
        app_fail("%s", error.text);
    free(numbers);
    wg_loader_free(loader);
}
