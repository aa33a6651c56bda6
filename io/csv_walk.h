/* Internal to io/: the grammar of CSV (RFC 4180). A walk visits the fields of a table one by one, in the text as it is:
 * a table takes no memory but its text, and each question walks through it. */
#ifndef WG_CSV_WALK_H
#define WG_CSV_WALK_H

#include "csv.h"

/* A field, without its quotes. `doubled`: each quote inside of it stands twice. */
typedef struct wg__csv_field {
    const char *text;
    size_t size : 62, quoted : 1, doubled : 1;
} wg__csv_field;

typedef struct wg__csv_walk {
    const char *at, *end;
    char separator;
    bool trim;
    /* The field of the last call. */
    wg__csv_field field;
    uint64_t line;   /* in which it begins, from 1 */
    int64_t row;     /* from 0, the header included */
    int64_t column;  /* from 0 */
    bool ends_row;   /* it is the last of its row */
    const char *why; /* after false: the violated rule, or NULL at the end of the text */
    /* Of the next one. */
    uint64_t next_line;
} wg__csv_walk;

wg__csv_walk wg__csv_walk_begin(const char *text, size_t size, char separator, bool trim);
/* Visits the next field. False at the end, or with the reason why the text breaks the grammar. */
bool wg__csv_walk_next(wg__csv_walk *walk);

/* Copies the field, each doubled quote once, and a NUL, to at least size + 1 bytes. Returns its length. */
size_t wg__csv_copy(const wg__csv_field *field, char *to);
/* By bytes, as strcmp. */
int wg__csv_compare(const wg__csv_field *a, const wg__csv_field *b);
/* A string as a field. */
wg__csv_field wg__csv_field_of(const char *text);

#endif
