/* Text as words, and words as numbers. */
#include "words.h"

#include "app.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void *room_for(size_t n, size_t size)
{
    void *memory = n < SIZE_MAX / 2 / size ? malloc(n * size + 1) : NULL;
    if (!memory) app_fail("out of memory");
    return memory;
}

/* ---- lines of words ---- */

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static bool stands_alone(char c, unsigned flags)
{
    return (flags & WORDS_PUNCTUATION) && (unsigned char)c < 128 && !isalnum((unsigned char)c) && c != '\'' &&
           c != '-' && c != '_';
}

/* The end of the word that begins at `at`. */
static const char *word_end(const char *at, const char *end, unsigned flags)
{
    if (stands_alone(*at, flags)) return at + 1;
    while (at < end && !is_space(*at) && !stands_alone(*at, flags)) at++;
    return at;
}

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c; }

words words_of(const char *text, size_t size, unsigned flags)
{
    size_t lines = 1, total = 0;
    const char *end = text + size;
    for (const char *p = text; p < end;) {
        if (is_space(*p)) {
            lines += *p++ == '\n';
        } else {
            p = word_end(p, end, flags);
            total++;
        }
    }
    words w = {.word = room_for(total, sizeof *w.word), .begin = room_for(lines + 1, sizeof *w.begin)};
    char *out = w.bytes = room_for(size + total, 1);
    for (const char *p = text; p < end;) {
        if (is_space(*p)) {
            if (*p++ == '\n') { w.begin[++w.lines] = w.total; }
            continue;
        }
        w.word[w.total++] = out;
        for (const char *stop = word_end(p, end, flags); p < stop; p++)
            *out++ = flags & WORDS_LOWER ? lower(*p) : *p;
        *out++ = 0;
    }
    w.begin[0] = 0;
    if (size > 0 && text[size - 1] != '\n') w.begin[++w.lines] = w.total;
    return w;
}

/* Converts an ISO-8859-1 file to UTF-8; false if it has control characters, is missing or is empty, or is a pipe, which
 * cannot be read again. */
static bool read_latin1(const char *path, wg_text *text)
{
    struct stat info;
    FILE *file = stat(path, &info) == 0 && S_ISREG(info.st_mode) ? fopen(path, "rb") : NULL;
    char *bytes = NULL;
    size_t size = 0;
    bool good = file != NULL;
    FILE *out = good ? open_memstream(&bytes, &size) : NULL;
    for (int c; out && good && (c = fgetc(file)) != EOF;) {
        good = c >= ' ' ? c != 127 : is_space((char)c);
        if (c < 128)
            fputc(c, out);
        else
            fprintf(out, "%c%c", 0xC0 | c >> 6, 0x80 | (c & 63));
    }
    if (file) good = !ferror(file) && fclose(file) == 0 && good;
    good = out && fclose(out) == 0 && good;
    if (good) *text = (wg_text){bytes, size};
    if (!good) free(bytes);
    return good;
}

words words_read(const char *path, unsigned flags)
{
    wg_text text;
    wg_error error = {0};
    wg_status status = wg_text_read(path, &text, &error);
    if (status == WG_ERR_FORMAT && (flags & WORDS_LATIN1) && read_latin1(path, &text)) status = WG_OK;
    if (status != WG_OK) app_fail("%s", error.text);
    if (text.size == 0) app_fail("%s: the file is empty", path);
    words w = words_of(text.bytes, text.size, flags);
    wg_text_fini(&text);
    if (w.total == 0) app_fail("%s: there is no word in the file", path);
    return w;
}

void words_fini(words *w)
{
    free(w->bytes);
    free(w->word);
    free(w->begin);
    *w = (words){0};
}

size_t words_count(const words *w, size_t line) { return w->begin[line + 1] - w->begin[line]; }
const char *const *words_line(const words *w, size_t line) { return w->word + w->begin[line]; }

size_t words_longest(const words *w)
{
    size_t longest = 0;
    for (size_t i = 0; i < w->lines; i++)
        if (words_count(w, i) > longest) longest = words_count(w, i);
    return longest;
}

/* ---- dictionary ---- */

static uint64_t hash(const char *word)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (; *word; word++) h = (h ^ (unsigned char)*word) * 0x100000001b3u;
    return h ^ h >> 32;
}

/* The slot of a word, or the free slot for it. */
static uint64_t slot_of(const dictionary *d, const char *word)
{
    uint64_t i = hash(word) & (d->slots - 1);
    while (d->table[i] >= 0 && strcmp(d->word[d->table[i]], word) != 0) i = (i + 1) & (d->slots - 1);
    return i;
}

/* An empty table for n words. */
static void make_table(dictionary *d, size_t n)
{
    for (d->slots = 16; d->slots < 2 * n;) d->slots *= 2;
    free(d->table);
    d->table = room_for(d->slots, sizeof *d->table);
    memset(d->table, 255, d->slots * sizeof *d->table);
}

static bool add(dictionary *d, const char *word)
{
    uint64_t slot = slot_of(d, word);
    if (d->table[slot] >= 0) return false;
    d->table[slot] = d->size;
    d->word[d->size++] = word;
    return true;
}

/* A dictionary of the special words, with room for n more. */
static dictionary begin(size_t n)
{
    static const char *const special[WORD_FIRST] = {"<pad>", "<unk>", "<start>", "<end>"};
    if (n > INT32_MAX / 4) app_fail("too many different words");
    dictionary d = {.word = room_for(n + WORD_FIRST, sizeof *d.word)};
    make_table(&d, n + WORD_FIRST);
    for (int i = 0; i < WORD_FIRST; i++) add(&d, special[i]);
    return d;
}

typedef struct counted {
    const char *word;
    size_t count;
} counted;

static int by_count(const void *a, const void *b)
{
    const counted *x = a, *y = b;
    if (x->count != y->count) return x->count < y->count ? 1 : -1;
    return strcmp(x->word, y->word);
}

/* Copies the words into memory of the dictionary. */
static void own_words(dictionary *d)
{
    size_t size = 0;
    for (int32_t i = 0; i < d->size; i++) size += strlen(d->word[i]) + 1;
    char *out = d->bytes = room_for(size, 1);
    for (int32_t i = 0; i < d->size; i++) {
        size_t length = strlen(d->word[i]) + 1;
        memcpy(out, d->word[i], length);
        d->word[i] = out;
        out += length;
    }
}

dictionary dictionary_of(const words *const *texts, int n, size_t minimum, int32_t most)
{
    size_t total = 0;
    for (int t = 0; t < n; t++) total += texts[t]->total;
    dictionary seen = begin(total);
    counted *counts = room_for(total + WORD_FIRST, sizeof *counts);
    memset(counts, 0, (total + WORD_FIRST) * sizeof *counts);
    for (int t = 0; t < n; t++)
        for (size_t i = 0; i < texts[t]->total; i++) {
            add(&seen, texts[t]->word[i]);
            counts[seen.table[slot_of(&seen, texts[t]->word[i])]].count++;
        }
    for (int32_t i = 0; i < seen.size; i++) counts[i].word = seen.word[i];
    counted *real = counts + WORD_FIRST;
    size_t different = (size_t)(seen.size - WORD_FIRST);
    qsort(real, different, sizeof *real, by_count);
    if (most > 0 && different > (size_t)most) different = (size_t)most;
    dictionary d = begin(different);
    for (size_t i = 0; i < different && real[i].count >= minimum; i++) add(&d, real[i].word);
    own_words(&d);
    free(counts);
    dictionary_fini(&seen);
    return d;
}

void dictionary_fini(dictionary *d)
{
    free(d->bytes);
    free(d->word);
    free(d->table);
    *d = (dictionary){0};
}

int32_t dictionary_find(const dictionary *d, const char *word)
{
    int32_t number = d->table[slot_of(d, word)];
    return number >= 0 ? number : WORD_UNKNOWN;
}

size_t dictionary_encode(const dictionary *d, const words *w, size_t line, int32_t *numbers, size_t room)
{
    size_t n = words_count(w, line) < room ? words_count(w, line) : room;
    for (size_t i = 0; i < n; i++) numbers[i] = dictionary_find(d, words_line(w, line)[i]);
    return n;
}

char *dictionary_text(const dictionary *d)
{
    size_t size = 0;
    for (int32_t i = WORD_FIRST; i < d->size; i++) size += strlen(d->word[i]) + 1;
    char *text = room_for(size, 1), *out = text;
    for (int32_t i = WORD_FIRST; i < d->size; i++) {
        size_t length = strlen(d->word[i]);
        memcpy(out, d->word[i], length);
        out[length] = '\n';
        out += length + 1;
    }
    *out = 0;
    return text;
}

dictionary dictionary_read(const char *text, const char *path)
{
    words w = words_of(text, strlen(text), 0);
    dictionary d = begin(w.total);
    for (size_t i = 0; i < w.lines; i++)
        if (words_count(&w, i) != 1 || !add(&d, words_line(&w, i)[0])) app_fail("%s: not a dictionary", path);
    own_words(&d);
    words_fini(&w);
    return d;
}
