/* Every op has an oracle: values against plain loops, formulas and identities, on random shapes, axes and strides. The
 * last test holds the list of all ops against those that were compared. (Pointwise ops: test_pointwise_values.) */
#include "values_tests.h"

#include "../ops/internal.h"
#include "../ops/pointwise_rows.h"

static int n_run;

#define ROUNDS_OF(name)                                                                                            \
    static void round_of_##name(uint64_t seed) { one_round(seed, name); }                                          \
    static void test_##name(void)                                                                                  \
    {                                                                                                              \
        n_run++;                                                                                                   \
        check_rounds(ROUNDS, round_of_##name);                                                                     \
    }
VALUES(ROUNDS_OF)

#define ONE(name)  +1
#define RUN(name)  test_##name();
#define CASE(name) {#name, test_##name, begin_tape, end_tape},

/* Rows of pointwise.def cannot lack one: test_pointwise_values takes it from the row. */
static void every_op_has_an_oracle(void)
{
    if (n_run < VALUES(ONE)) { /* --test leaves the others out */
        VALUES(RUN)
    }
    const wg_op *op;
    for (int i = 0; (op = wg_op_at(i)); i++) {
        bool is_row = i < ROWS && wg__pointwise_op(i) == op;
        if (!is_row && !is_checked(op->name)) FAIL("no test compares values of %s", op->name);
    }
}

int main(int argc, char **argv)
{
    static const test tests[] = {VALUES(CASE) ON_TAPE(every_op_has_an_oracle)};
    return RUN_TESTS(tests);
}
