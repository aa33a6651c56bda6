/* answer: stories and questions, generated or from a file, as numbers. */
#include "answer.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- generated stories ---- */

/* The caller frees it. */
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
            int64_t who = app_draw(&seed, 4);
            place[who] = app_draw(&seed, 6);
            fprintf(out, "%lld %s %s the %s.\n", (long long)fact, people[who], ways[app_draw(&seed, 5)],
                    places[place[who]]);
        }
        do asked = app_draw(&seed, 4);
        while (place[asked] < 0);
        fprintf(out, "%lld Where is %s?\t%s\n", (long long)facts + 1, people[asked], places[place[asked]]);
    }
    if (fclose(out) != 0) app_fail("out of memory");
    return bytes;
}

/* ---- questions as numbers ---- */

static bool is_number(const char *word)
{
    while (isdigit((unsigned char)*word)) word++;
    return *word == 0;
}

/* The index of the question mark; 0 in a fact. */
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
    if (n < 2) app_fail("%s: line %zu: nothing after the number", name, line + 1);
    if (mark == 0) return;
    if (strcmp(word[0], "1") == 0) app_fail("%s: line %zu: a question before any fact", name, line + 1);
    if (mark == 1 || mark + 1 == n) app_fail("%s: line %zu: a question without words or answer", name, line + 1);
    for (size_t i = mark + 2; i < n; i++)
        if (!is_number(word[i])) app_fail("%s: line %zu: an answer of more than one word", name, line + 1);
}

/* Appends the words first .. last - 1 of a line, without full stops; returns the new length. */
static int32_t add_words(const dictionary *d, const words *text, size_t line, size_t first, size_t last,
                         int32_t *tokens, int32_t n)
{
    for (size_t i = first; i < last && n < MOST_WORDS; i++) {
        const char *word = words_line(text, line)[i];
        if (strcmp(word, ".") != 0) tokens[n++] = dictionary_find(d, word);
    }
    return n;
}

/* Checks all lines, counts stories and questions, finds the length of the longest story. */
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

/* Dictionaries of the answers, and of the words of the training stories. */
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

/* A story with its question. */
typedef struct asked {
    const corpus *c;
    int64_t i;
} asked;

static int by_words(const void *a, const void *b)
{
    const asked *x = a, *y = b;
    const int order = sequences_compare(&x->c->story, x->i, y->i);
    return order ? order : sequences_compare(&x->c->question, x->i, y->i);
}

/* Removes held-out questions that also occur, word for word, in the training stories. */
static void drop_known(corpus *c)
{
    int64_t kept = c->train;
    const size_t n = (size_t)c->train;
    asked *known = app_room(c->train, sizeof *known);
    for (int64_t i = 0; i < c->train; i++) known[i] = (asked){c, i};
    qsort(known, n, sizeof *known, by_words);
    for (int64_t i = c->train; i < c->n; i++) {
        if (bsearch(&(asked){c, i}, known, n, sizeof *known, by_words)) continue;
        sequences_set(&c->story, kept, c->story.tokens + i * c->story.width, c->story.lengths[i]);
        sequences_set(&c->question, kept, c->question.tokens + i * c->question.width, c->question.lengths[i]);
        c->answer[kept++] = c->answer[i];
    }
    free(known);
    c->n = kept;
}

static corpus corpus_of(const words *text, const char *name)
{
    corpus c = {0};
    int64_t stories, width, story = 0;
    int32_t tokens[MOST_WORDS], question[MOST_WORDS], length = 0;
    measure(text, name, &stories, &c.n, &width);
    make_dictionaries(&c, text, stories - stories / 10);
    c.story = sequences_new(c.n, width);
    const int64_t longest = (int64_t)words_longest(text); /* a question of more words is cut by add_words */
    c.question = sequences_new(c.n, longest < MOST_WORDS ? longest : MOST_WORDS);
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

corpus corpus_new(const char *path, int64_t stories, int64_t facts, uint64_t seed)
{
    size_t size = 0;
    char *bytes = path ? NULL : generate(stories, facts, seed, &size);
    const unsigned flags = WORDS_LOWER | WORDS_PUNCTUATION;
    words text = path ? words_read(path, flags) : words_of(bytes, size, flags);
    corpus c = corpus_of(&text, path ? path : "the stories");
    words_fini(&text);
    free(bytes);
    return c;
}

corpus corpus_of_question(const corpus *c, const char *story)
{
    words text = words_of(story, strlen(story), WORDS_LOWER | WORDS_PUNCTUATION);
    size_t mark = text.lines == 1 ? find_mark(&text, 0) : 0, stop = mark;
    int32_t tokens[MOST_WORDS], length, known = 0;
    while (stop > 0 && strcmp(text.word[stop - 1], ".") != 0) stop--;
    if (mark + 1 != text.total || stop < 2 || stop == mark || text.total > MOST_WORDS)
        app_usage("--story: facts that end with '.', then a question that ends with '?'; at most %d words",
                  MOST_WORDS);
    corpus one = {.n = 1};
    one.story = sequences_new(1, MOST_WORDS);
    one.question = sequences_new(1, MOST_WORDS);
    one.answer = app_room(1, sizeof *one.answer);
    length = add_words(&c->words, &text, 0, 0, stop, tokens, 0);
    for (int32_t i = 0; i < length; i++) known += tokens[i] != WORD_UNKNOWN;
    if (length == 0 || known == 0) app_usage("--story: none of its words is known from training");
    sequences_set(&one.story, 0, tokens, length);
    sequences_set(&one.question, 0, tokens, add_words(&c->words, &text, 0, stop, mark, tokens, 0));
    words_fini(&text);
    return one;
}

void corpus_fini(corpus *c)
{
    dictionary_fini(&c->words);
    dictionary_fini(&c->answers);
    sequences_fini(&c->story);
    sequences_fini(&c->question);
    free(c->answer);
}
