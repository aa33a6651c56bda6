/* WordPiece: a binary search for the longest piece. */
#include "wordpiece.h"

#include "../app.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST = 100 }; /* bytes of a word; longer ones are unknown */

typedef struct token {
    const char *text;
    int32_t number;
} token;

struct wordpiece {
    char *bytes;   /* the vocabulary, with an end after each token */
    token *sorted; /* [n] by text */
    int64_t n;
    int32_t unknown, begin, end;
};

static int by_text(const void *a, const void *b)
{
    return strcmp(((const token *)a)->text, ((const token *)b)->text);
}

static int32_t find(const wordpiece *w, const char *text)
{
    const token *found = bsearch(&(token){.text = text}, w->sorted, (size_t)w->n, sizeof *w->sorted, by_text);
    return found ? found->number : -1;
}

wordpiece *wordpiece_open(const char *path)
{
    wg_error error = {0};
    wg_text text;
    wordpiece *w = app_room(1, sizeof *w);
    if (wg_text_read(path, &text, &error) != WG_OK)
        app_fail("%s (examples/zoo/fetch.py gets the models)", error.text);
    w->bytes = app_room((int64_t)text.size + 1, 1);
    memcpy(w->bytes, text.bytes, text.size);
    wg_text_fini(&text);
    for (const char *c = w->bytes; *c; c++) w->n += *c == '\n' || !c[1]; /* the last may have no end */
    w->sorted = app_room(w->n + 1, sizeof *w->sorted);
    char *line = w->bytes;
    for (int64_t i = 0; i < w->n; i++) {
        char *end = line + strcspn(line, "\n");
        *end = 0;
        w->sorted[i] = (token){line, (int32_t)i};
        line = end + 1;
    }
    qsort(w->sorted, (size_t)w->n, sizeof *w->sorted, by_text);
    w->unknown = find(w, "[UNK]"), w->begin = find(w, "[CLS]"), w->end = find(w, "[SEP]");
    if (w->unknown < 0 || w->begin < 0 || w->end < 0) app_fail("%s: has no [UNK], [CLS] or [SEP]", path);
    return w;
}

void wordpiece_close(wordpiece *w)
{
    free(w->bytes);
    free(w->sorted);
    free(w);
}

/* The pieces of a word [size], from the left; the longest one each time. Returns how many. */
static int pieces(const wordpiece *w, const char *word, int size, int32_t *out)
{
    char piece[LONGEST + 3];
    int n = 0;
    for (int at = 0; at < size && size <= LONGEST;) {
        int32_t number = -1;
        int length = size - at;
        for (; length > 0; length--) {
            snprintf(piece, sizeof piece, "%s%.*s", at ? "##" : "", length, word + at);
            if ((number = find(w, piece)) >= 0) break;
        }
        if (number < 0) break;
        out[n++] = number;
        at += length;
        if (at == size) return n;
    }
    out[0] = w->unknown;
    return 1;
}

int wordpiece_tokens(const wordpiece *w, const char *text, int32_t *tokens, int most)
{
    int n = 0;
    int32_t found[LONGEST + 1];
    char word[LONGEST + 2];
    tokens[n++] = w->begin;
    for (const unsigned char *c = (const unsigned char *)text; *c;) {
        int size = 0;
        const bool apart = ispunct(*c);
        if (isspace(*c)) {
            c++;
            continue;
        }
        do {
            if (size <= LONGEST) word[size++] = (char)tolower(*c);
            c++;
        } while (!apart && *c && !isspace(*c) && !ispunct(*c));
        const int count = pieces(w, word, size, found);
        for (int i = 0; i < count && n < most - 1; i++) tokens[n++] = found[i];
    }
    tokens[n++] = w->end;
    return n;
}
