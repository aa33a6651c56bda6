/* The tests of test_values: each runs ROUNDS rounds. */
#ifndef WG_TEST_VALUES_TESTS_H
#define WG_TEST_VALUES_TESTS_H

#include "values.h"

/* clang-format off */
#define VALUES(TEST)                                                                                               \
    /* values_ops.c */                                                                                             \
    TEST(reductions) TEST(scans) TEST(products) TEST(by_index) TEST(masks) TEST(losses) TEST(norms) TEST(integers) \
    /* values_views.c */                                                                                           \
    TEST(permuted) TEST(sliced) TEST(expanded) TEST(joined) TEST(stacked_and_padded) TEST(reshaped)                \
    /* values_made.c */                                                                                            \
    TEST(from_nothing) TEST(random_numbers) TEST(casts) TEST(with_numbers) TEST(sums_of_several)                   \
    /* values_gradients.c */                                                                                       \
    TEST(copies) TEST(row_gradients) TEST(product_gradient) TEST(index_gradients) TEST(slice_gradients)            \
    TEST(spread) TEST(loss_gradients) TEST(norm_gradient) TEST(accumulated)                                        \
    /* values_windows.c, values_attention.c, values_composed.c */                                                  \
    TEST(convolutions) TEST(transposed_convolutions) TEST(pools) TEST(attention) TEST(composed_losses)             \
    TEST(composed_norms) TEST(distances) TEST(padded_by) TEST(scanned_by) TEST(resized)                            \
    /* values_scatter.c */                                                                                         \
    TEST(scattered) TEST(rows_written) TEST(segments) TEST(ranks)
/* clang-format on */

#define VALUES_DECLARED(name) void name(void);
VALUES(VALUES_DECLARED)

#endif
