/* Names by patterns, in which * stands for any characters, none included. Header only: dist, a library of its own,
 * calls no internals of this one. */
#ifndef WG_PATTERN_H
#define WG_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Bytes of a name that a star stands for. */
typedef struct wg__star {
    const char *begin, *end;
} wg__star;

/* Whether pattern[0..n) matches name. `stars`: NULL, or room for one per star of the pattern; set if it matches. Each
 * star but the last one stands for as little as possible, so that it is enough to go back to the last one: at most
 * n * strlen(name) comparisons. */
static inline bool wg__matches(const char *pattern, size_t n, const char *name, wg__star *stars)
{
    const char *p = pattern, *end = pattern + n, *resume = NULL; /* resume: behind the last star */
    wg__star last = {name, name};
    size_t n_stars = 0;
    for (;;) {
        if (p < end && *p == '*') {
            if (stars && resume) stars[n_stars - 1] = last;
            resume = ++p;
            last = (wg__star){name, name};
            n_stars++;
        } else if (p < end && *p == *name) {
            p++;
            name++;
        } else if (p == end && !*name) {
            if (stars && resume) stars[n_stars - 1] = last;
            return true;
        } else if (resume && *last.end) {
            name = ++last.end;
            p = resume;
        } else {
            return false;
        }
    }
}

/* Whether name matches one of a list of patterns, separated by blanks. */
static inline bool wg__matches_any(const char *list, const char *name)
{
    for (size_t n; list && *(list += strspn(list, " ")); list += n) {
        n = strcspn(list, " ");
        if (wg__matches(list, n, name, NULL)) return true;
    }
    return false;
}

#endif
