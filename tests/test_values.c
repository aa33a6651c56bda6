/* Every op has an oracle: values against plain loops, formulas and identities, on random shapes, axes and strides. The
 * last test holds the list of all ops against those that were compared. (Pointwise ops: test_pointwise_values.)
 *
 *     test_values [SEED]    a failure prints the seed */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "../ops/internal.h"
#include "../ops/pointwise_rows.h"
#include "values_tests.h"

#define ROUNDS_OF(name)                                                                                            \
    static void test_##name(void **state) { rounds(name); }
VALUES(ROUNDS_OF)

/* Rows of pointwise.def cannot lack one: test_pointwise_values takes it from the row. */
static void every_op_has_an_oracle(void **state)
{
    const wg_op *op;
    for (int i = 0; (op = wg_op_at(i)); i++) {
        bool is_row = i < ROWS && wg__pointwise_op(i) == op;
        if (!is_row && !is_checked(op->name))
            failures++, printf("FAILED: no test compares values of %s\n", op->name);
    }
    finish();
}

int main(int argc, char **argv)
{
#define UNIT_TEST(name) cmocka_unit_test(test_##name),
    const struct CMUnitTest tests[] = {VALUES(UNIT_TEST) cmocka_unit_test(every_op_has_an_oracle)};
    return run_values(argc, argv, "values", tests, sizeof tests / sizeof *tests);
}
