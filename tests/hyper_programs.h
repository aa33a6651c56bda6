/* Random programs that are recorded on a tape and computed in scalar code at once: see test_hyperdual.c. */
#ifndef WG_TEST_HYPER_PROGRAMS_H
#define WG_TEST_HYPER_PROGRAMS_H

#include "check.h"
#include "dice.h"
#include "hyperdual.h"
#include "wengert.h"

enum { PARAMS = 4, OPS = 12, VALUES = PARAMS + 3 * OPS };

typedef struct value {
    wg_tensor t;
    matrix m;
    const char *op;
} value;

typedef struct program {
    dice dice;
    wg_tape *tape;
    int n;
    bool tiny; /* so are the parameters */
    bool kink; /* some number is so near to a kink, or so large, that rounding decides on the derivative */
    value value[VALUES];
} program;

double real_of(program *p); /* -1 to 1 */

/* An earlier value, a recent one more often. */
const value *any(program *p);
/* One that broadcasts with a; it may be a itself. */
const value *partner(program *p, const value *a);
static inline int64_t larger(int64_t a, int64_t b) { return a == 1 ? b : a; }

/* The next value, whose numbers are to be filled in. */
matrix *next(program *p, const char *op, wg_tensor t, int64_t rows, int64_t cols);

#define EACH(m, i, j)                                                                                              \
    for (int64_t i = 0; i < (m)->rows; i++)                                                                        \
        for (int64_t j = 0; j < (m)->cols; j++)
#define AT(m, i, j) (m)->x[(i) * (m)->cols + (j)]

/* Formulas with kinks call near_kink with the distance to it; then the op says which operands they had. Whole numbers
 * may be at a kink: they are exact, unless that is because tiny ones are lost. */
void near_kink(double distance);
void settle_kinks(program *p, const matrix *a, const matrix *b);

/* Add a value by an op on elements, on pairs of elements, along an axis. */
void unary(program *p);
void binary(program *p);
void along(program *p);

/* By layers, losses and masks. */
void linear(program *p);
void weighted(program *p);
void masked(program *p);
void gathered(program *p);
void padded(program *p);
void classified(program *p);
void divergence(program *p);
void ctc(program *p);

wg_tensor indices(program *p, int64_t n, const int32_t *index);

/* Of n elements. */
void l_softmax(const hyper *x, hyper *y, int64_t n);
void l_normal(const hyper *x, hyper *y, int64_t n);
void l_rms(const hyper *x, hyper *y, int64_t n);
void l_log_softmax(const hyper *x, hyper *y, int64_t n);

#endif
