/* What tests of values share: random arrays, tensors that lie in memory in several ways, comparison. */
#ifndef WG_TEST_VALUES_H
#define WG_TEST_VALUES_H

#include "check.h"
#include "wengert.h"

enum { ROUNDS = 60, MOST = 8192 };

typedef struct array {
    wg_shape shape;
    int64_t n;
    double x[MOST];
} array;

extern wg_tape *tape; /* the running test's */

uint32_t draw(uint32_t limit);
wg_shape random_shape(int least_rank, int most_rank, int least_size); /* few elements */
void shape_set(array *a, wg_shape shape);
void fill_random(array *a, wg_shape shape);
void fill_whole(array *a, wg_shape shape, int limit); /* whole numbers below limit */

/* Coordinates of element i, and back. */
void place(const wg_shape *shape, int64_t i, int64_t *at);
int64_t offset(const wg_shape *shape, const int64_t *at);

wg_tensor leaf(const array *a, wg_dtype dtype);
/* The same numbers, but lying in memory in another way: transposed, flipped or every second. */
wg_tensor strided(const array *a);
double value_at(wg_tensor tensor, int64_t i);

/* Counts a failure, and says where, if shape or values differ. If they do not, and there are values, the op that made
 * the tensor has an oracle. */
void expect_values(const char *what, wg_tensor got, const array *want);
void has_oracle(const char *op); /* of one that makes no tensor: states so, after its effect was compared */
bool is_checked(const char *op);
/* The last node of the tape that an op of this name made, as its gradients are made; nil, and a failure, if there is
 * none. on: a tensor of the tape. */
wg_tensor node_of(const char *op, wg_tensor on);
const wg_op *op_named(const char *name);

/* One round of a test: draws from `seed` on, runs body, resets the tape. */
void one_round(uint64_t seed, void (*body)(void));

/* A test with a new tape. */
void begin_tape(void);
void end_tape(void);
/* clang-format off */
#define ON_TAPE(name) TEST_CASE_WITH(name, begin_tape, end_tape)
/* clang-format on */

#endif
