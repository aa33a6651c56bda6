/* Internal to io/: a strict JSON reader that needs no memory.
 *
 * It walks over the text as its caller expects it to be, and decodes strings in place: a decoded string is
 * never longer than its text. The first mistake is stored; every later call then does nothing. */
#ifndef WG_JSON_H
#define WG_JSON_H

#include "file.h"

typedef struct wg__json {
    char *start, *at, *end;
    const char *path; /* for messages */
    wg_error *error;
    bool failed;
} wg__json;

/* Text [start, start + size), which must be UTF-8. */
wg__json wg__json_over(char *start, size_t size, const char *path, wg_error *error);

/* Stores "path: header, byte N: reason". Always false. */
bool wg__json_fail(wg__json *json, const char *reason);

/* Skips white space and one character, which must be this one. */
bool wg__json_expect(wg__json *json, char c);
/* The same where the character need not be there: false, and no mistake, if another one is. */
bool wg__json_accept(wg__json *json, char c);
/* Before each member of an object or array: true if another one follows. Skips the comma, and the closing
 * character after the last. *first starts true. */
bool wg__json_more(wg__json *json, char close, bool *first);

/* A string, decoded in place and ended by NUL; it may not hold U+0000. */
bool wg__json_string(wg__json *json, char **string);
/* A whole number from 0 to 2^63 - 1. */
bool wg__json_number(wg__json *json, int64_t *number);
/* Nothing but white space is left. */
bool wg__json_end(wg__json *json);

/* Writes a string with its quotes and escapes to out; returns its length. out NULL: only the length. */
size_t wg__json_quote(const char *string, char *out);

#endif
