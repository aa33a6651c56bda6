/* Text as character numbers. */
#include "chars.h"

#include <stdlib.h>
#include <string.h>

static vocabulary number_symbols(const bool seen[256])
{
    vocabulary v = {0};
    for (int c = 0; c < 256; c++) {
        v.number[c] = seen[c] ? (int16_t)v.size : -1;
        if (seen[c]) v.symbol[v.size++] = (unsigned char)c;
    }
    return v;
}

vocabulary vocabulary_of(const char *text, size_t size)
{
    bool seen[256] = {false};
    for (size_t i = 0; i < size; i++) seen[(unsigned char)text[i]] = true;
    return number_symbols(seen);
}

uint64_t text_hash(const char *text, size_t size)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < size; i++) hash = (hash ^ (unsigned char)text[i]) * 0x100000001b3u;
    return hash;
}

const char *vocabulary_text(const vocabulary *v, char text[513])
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < v->size; i++) {
        text[2 * i] = digits[v->symbol[i] >> 4];
        text[2 * i + 1] = digits[v->symbol[i] & 15];
    }
    text[2 * v->size] = 0;
    return text;
}

static int digit(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }

bool vocabulary_read(vocabulary *v, const char *text)
{
    bool seen[256] = {false};
    size_t length = strlen(text);
    int last = -1;
    if (length < 4 || length > 512 || length % 2) return false;
    for (size_t i = 0; i < length; i += 2) {
        int high = digit(text[i]), low = digit(text[i + 1]), c = high * 16 + low;
        const bool control =
            c == 127 || (c < 32 && c != '\t' && c != '\n' && c != '\f' && c != '\r'); /* no text has one */
        if (high < 0 || low < 0 || c <= last || control) return false;
        seen[last = c] = true;
    }
    *v = number_symbols(seen);
    return true;
}

bool streams_init(streams *s, const char *text, size_t size, const vocabulary *v, int batch, int unroll)
{
    *s = (streams){.text = (const unsigned char *)text, .vocabulary = v, .batch = batch, .unroll = unroll};
    s->length = size / (size_t)batch;
    s->windows = s->length > 0 ? (s->length - 1) / (size_t)unroll : 0;
    if (s->windows == 0) return true;
    size_t n = (size_t)batch * (size_t)unroll;
    s->x = malloc(n * sizeof *s->x);
    s->y = malloc(n * sizeof *s->y);
    if (s->x && s->y) return true;
    streams_fini(s);
    return false;
}

void streams_fini(streams *s)
{
    free(s->x);
    free(s->y);
    *s = (streams){0};
}

void streams_window(streams *s, size_t window)
{
    for (int t = 0; t < s->unroll; t++)
        for (int b = 0; b < s->batch; b++) {
            const unsigned char *at = s->text + (size_t)b * s->length + window * (size_t)s->unroll + (size_t)t;
            s->x[t * s->batch + b] = s->vocabulary->number[at[0]];
            s->y[t * s->batch + b] = s->vocabulary->number[at[1]];
        }
}
