/* Internal. The verifier: checks the planner's invariants after every pass, in builds with WG__VERIFY (the tests' and
 * debug builds). A violation is a bug of the planner: it prints one line and aborts. Release builds contain none of
 * it. */
#ifndef WG_VERIFY_H
#define WG_VERIFY_H

#include "planner.h"

#ifdef WG__VERIFY
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void wg__verify(const wg__planner *p, const char *pass);

/* ---- for the files of the verifier ---- */

typedef struct wg__verifier {
    const wg__planner *p;
    const char *pass;
    uint32_t *position; /* [units] in the sequence; from order on */
} wg__verifier;

/* Prints "verify: after PASS: %NODE: ..." and aborts unless it holds. */
#define WG__HOLDS(v, condition, node, ...)                                                                         \
    do {                                                                                                           \
        if (!(condition)) wg__violated(v, #condition, node, __VA_ARGS__);                                          \
    } while (0)
WG_PRINTF(4, 5)
static inline _Noreturn void wg__violated(const wg__verifier *v, const char *condition, uint32_t node,
                                          const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "verify: after %s: %%%u: ", v->pass, node);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, " (%s)\n", condition);
    va_end(arguments);
    abort();
}

void wg__verify_places(const wg__verifier *v); /* after place */
void wg__verify_plan(const wg__verifier *v);   /* after emit */
#else
static inline void wg__verify(const wg__planner *p, const char *pass) { (void)p, (void)pass; }
#endif

#endif
