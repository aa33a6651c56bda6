/* Internal to io/: a strict pull parser for JSON that does not allocate.
 *
 * The caller names the token that it expects next. Strings are decoded in place, since a decoded string is never longer
 * than its source. The first error is sticky: every later call does nothing. */
#ifndef WG_JSON_H
#define WG_JSON_H

#include "file.h"

typedef struct wg__json {
    char *start, *at, *end;
    const char *path; /* for messages */
    wg_error *error;
    bool failed;
} wg__json;

/* A parser of the text [start, start + size), which must be UTF-8 and is modified. */
wg__json wg__json_parse(char *start, size_t size, const char *path, wg_error *error);

/* Stores "path: header, byte N: reason". Returns false. */
bool wg__json_fail(wg__json *json, const char *reason);

/* Skips white space and the character c; anything else is an error. */
bool wg__json_expect(wg__json *json, char c);
/* The same, but returns false without an error if the next character is not c. */
bool wg__json_accept(wg__json *json, char c);
/* Advances to the next member of an object or array: skips the comma before it, or the closing character after the
 * last. Returns whether there is a member. Set *first to true before the first call. */
bool wg__json_next(wg__json *json, char close, bool *first);

/* A string, decoded in place and NUL-terminated; U+0000 is an error. */
bool wg__json_string(wg__json *json, char **string);
/* An integer from 0 to 2^63 - 1. */
bool wg__json_number(wg__json *json, int64_t *number);
/* Whether only white space is left; else an error. */
bool wg__json_end(wg__json *json);

/* Writes a string with quotes and escapes to out unless out is NULL. Returns the length. */
size_t wg__json_quote(const char *string, char *out);

#endif
