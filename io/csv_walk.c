/* The grammar of CSV: from one field to the next. */
#include "csv_walk.h"

#include <string.h>

wg__csv_walk wg__csv_walk_begin(const char *text, size_t size, char separator, bool trim)
{
    const char *const end = text + size;
    if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) text += 3;
    return (wg__csv_walk){
        .at = text, .end = end, .separator = separator, .trim = trim, .row = -1, .ends_row = true, .next_line = 1};
}

/* The length of the end of the line at p: 0 if there is none, also at the end of the text. */
static size_t line_end(const char *p, const char *end)
{
    if (p == end) return 0;
    if (*p == '\n') return 1;
    if (*p != '\r') return 0;
    return end - p > 1 && p[1] == '\n' ? 2 : end - p == 1;
}

/* Passes empty lines. */
static void skip_empty(wg__csv_walk *w)
{
    for (size_t n; (n = line_end(w->at, w->end)) > 0; w->at += n) w->next_line++;
}

static bool broken(wg__csv_walk *w, const char *why)
{
    w->why = why;
    return false;
}

/* From behind the opening quote to behind the closing one. */
static bool take_quoted(wg__csv_walk *w)
{
    const char *p = ++w->at;
    w->field = (wg__csv_field){.text = p, .quoted = true};
    for (;; p++) {
        if (p == w->end) return broken(w, "a quote that is not closed");
        if (*p == '\n') w->next_line++;
        if (*p != '"') continue;
        if (p + 1 == w->end || p[1] != '"') break;
        w->field.doubled = true;
        p++;
    }
    w->field.size = (size_t)(p - w->at);
    w->at = p + 1;
    return true;
}

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

static bool take_plain(wg__csv_walk *w)
{
    const char *first = w->at, *p = first;
    for (; p < w->end && *p != w->separator && !line_end(p, w->end); p++) {
        if (*p == '"') return broken(w, "a quote inside of a field that is not quoted");
        if (*p == '\r') return broken(w, "a carriage return inside of a field that is not quoted");
    }
    w->at = p;
    while (w->trim && first < p && is_blank(*first)) first++;
    while (w->trim && first < p && is_blank(p[-1])) p--;
    w->field = (wg__csv_field){.text = first, .size = (size_t)(p - first)};
    return true;
}

bool wg__csv_walk_next(wg__csv_walk *w)
{
    if (w->ends_row) {
        skip_empty(w);
        if (w->at == w->end) return false;
        w->row++;
        w->column = -1;
    }
    w->column++;
    w->line = w->next_line;
    if (!(w->at < w->end && *w->at == '"' ? take_quoted(w) : take_plain(w))) return false;
    const size_t n = line_end(w->at, w->end);
    w->ends_row = n > 0 || w->at == w->end;
    if (!w->ends_row && *w->at != w->separator) return broken(w, "text behind a closing quote");
    w->next_line += n > 0;
    w->at += w->ends_row ? n : 1;
    return true;
}

/* ---- the text of a field ---- */

size_t wg__csv_copy(const wg__csv_field *field, char *to)
{
    size_t n = 0;
    for (size_t i = 0; i < field->size; i++) {
        to[n++] = field->text[i];
        i += field->doubled && field->text[i] == '"';
    }
    to[n] = 0;
    return n;
}

int wg__csv_compare(const wg__csv_field *a, const wg__csv_field *b)
{
    size_t i = 0, k = 0;
    for (; i < a->size && k < b->size; i++, k++) {
        const unsigned char x = (unsigned char)a->text[i], y = (unsigned char)b->text[k];
        if (x != y) return x < y ? -1 : 1;
        i += a->doubled && x == '"';
        k += b->doubled && y == '"';
    }
    return (i < a->size) - (k < b->size);
}

wg__csv_field wg__csv_field_of(const char *text) { return (wg__csv_field){.text = text, .size = strlen(text)}; }
