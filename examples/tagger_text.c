/* tagger: sentences and their tags, generated or from a file, as numbers. */
#include "tagger.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- the generated language: lines "word tag", a blank line after each sentence ---- */

typedef struct writer {
    FILE *out;
    uint64_t random;
} writer;

/* Writes a random word of a list with this tag. */
#define PUT(w, tag, ...) put(w, tag, (const char *const[]){__VA_ARGS__}, sizeof((const char *[]){__VA_ARGS__}))
static void put(writer *w, const char *tag, const char *const *list, size_t size)
{
    fprintf(w->out, "%s\t%s\n", list[app_draw(&w->random, (int64_t)(size / sizeof *list))], tag);
}

#define QUALITIES "old", "young", "poor", "rich", "sick", "blind", "brave", "wise"       /* adjectives, and nouns */
#define CREWS     "man", "fish", "guard", "watch", "cook", "guide", "paint", "pilot"     /* nouns, and verbs */
#define THINGS    "boats", "river", "garden", "dog", "house", "walls", "bridge", "horse" /* nouns only */
#define ACTS      "sleeps", "barks", "helps", "falls", "waits", "smiles"                 /* verbs only */

static void write_where(writer *w)
{
    switch (app_draw(&w->random, 4)) {
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
    switch (app_draw(&w->random, 6)) {
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

/* The caller frees it. */
static char *generate(int64_t sentences, uint64_t seed, size_t *size)
{
    char *bytes = NULL;
    writer w = {open_memstream(&bytes, size), seed};
    if (!w.out) app_fail("out of memory");
    for (int64_t i = 0; i < sentences; i++) {
        int64_t clauses = 1 + app_draw(&w.random, 3);
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

/* The first line and the length of every sentence. name: of the file, for messages. */
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
        for (int64_t k = i * c->tokens.width; k < i * c->tokens.width + c->tokens.lengths[i]; k++) {
            int32_t word = c->tokens.tokens[k], tag = c->tags_of.tokens[k];
            if (seen[word] == 0) seen[word] = tag + 1;
            c->ambiguous[word] |= seen[word] != tag + 1;
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
    if (c.words.size == WORD_FIRST) app_fail("%s: no word occurs twice", name);
    const int tags = (int)c.tags.size - WORD_FIRST;
    if (tags > MOST_TAGS) app_fail("%s: %d different tags: at most %d", name, tags, MOST_TAGS);
    int64_t width = 0;
    for (int64_t i = 0; i < c.n; i++)
        if (list[i].length > width) width = list[i].length;
    c.tokens = sequences_new(c.n, width);
    c.tags_of = sequences_new(c.n, width);
    for (int64_t i = 0; i < c.n; i++) {
        span s = list[order[i]];
        int32_t tokens[MOST_WORDS], tag[MOST_WORDS];
        for (int32_t k = 0; k < s.length; k++) {
            const char *const *pair = words_line(lines, s.line + (size_t)k);
            tokens[k] = dictionary_find(&c.words, pair[0]);
            tag[k] = dictionary_find(&c.tags, pair[1]) - WORD_FIRST;
            if (tag[k] < 0) app_fail("%s: '%s' cannot be a tag", name, pair[1]);
        }
        sequences_set(&c.tokens, i, tokens, s.length);
        sequences_set(&c.tags_of, i, tag, s.length);
    }
    find_ambiguous(&c);
    free(order);
    free(list);
    return c;
}

corpus corpus_new(const char *path, int64_t sentences, uint64_t seed)
{
    size_t size = 0;
    char *bytes = path ? NULL : generate(sentences, seed, &size);
    words lines = path ? words_read(path, 0) : words_of(bytes, size, 0);
    corpus c = corpus_of(&lines, path ? path : "the language", seed, path ? 2 : 1);
    words_fini(&lines);
    free(bytes);
    return c;
}

void corpus_fini(corpus *c)
{
    dictionary_fini(&c->words);
    dictionary_fini(&c->tags);
    sequences_fini(&c->tokens);
    sequences_fini(&c->tags_of);
    free(c->ambiguous);
}
