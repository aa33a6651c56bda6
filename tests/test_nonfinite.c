/* The option locate_nonfinite: what ops compute on the way is no alarm, and what is not finite is found wherever it is
 * written. test_masked.c has masks of minus infinity. */
#include "check.h"

#include "wengert.h"

#include <math.h>

/* What is infinite inside of a function and nowhere else is no alarm. */
static void located(void)
{
    wg_tape_options options = wg_tape_defaults();
    options.locate_nonfinite = true;
    wg_tape *strict = wg_tape_new(options);
    const double numbers[] = {1, 2, 0.5}, edges[] = {0, 1, 1}, targets[] = {0, 1, 0};
    wg_tensor x = wg_data(strict, WG_F64, WG_DIMS(3), numbers), p = wg_data(strict, WG_F64, WG_DIMS(3), edges),
              t = wg_data(strict, WG_F64, WG_DIMS(3), targets);
    wg_tensor dx = wg_grad1(wg_sum_all(wg_logcumsumexp(x, 0)), x, WG_NONE);
    wg_tensor loss = wg_binary_cross_entropy_probabilities(p, t, WG_SUM), dp = wg_grad1(loss, p, WG_NONE);
    CHECK(fabs(wg_item(wg_sum_all(dx)) - 3) < 1e-12);
    CHECK(wg_item(loss) == 100 && wg_item(wg_sum_all(dp)) == 0);
    if (wg_tape_reset(strict) != WG_OK) FAIL("%s", wg_tape_message(strict));
    wg_tape_free(strict);
}

/* What is written into a piece of a concatenation is looked at, too: along any axis, forward and backward. */
static void located_in_pieces(void)
{
    static const float numbers[] = {-1, 2, 3, 4, 5, 6}, large[] = {3e38f, 3e38f, 3e38f, 3e38f, 1, 1};
    static const char *const culprits[] = {"log", "matmul", "reciprocal", "mul in the gradient of mul"};
    wg_tape_options options = wg_tape_defaults();
    options.locate_nonfinite = true;
    wg_tape *strict = wg_tape_new(options);
    wg_params *set = wg_params_new(WG_F32);
    wg_param *w = wg_param_new(set, "w", WG_DIMS(2, 3), wg_init_constant(1));
    for (int axis = 0; axis < 2; axis++)
        for (int k = 0; k < 4; k++) {
            wg_tensor x = wg_data(strict, WG_F32, WG_DIMS(2, 3), numbers),
                      b = wg_data(strict, WG_F32, WG_DIMS(2, 3), large);
            wg_tensor piece = k == 0   ? wg_log(x)
                              : k == 1 ? wg_matmul(wg_matmul(x, wg_transpose(b, 0, 1)), x)
                                       : wg_reciprocal(wg_relu(x));
            wg_status status;
            if (k < 3) {
                wg_tensor y = wg_relu(wg_neg(wg_concat((wg_tensor[]){piece, x}, 2, axis)));
                status = wg_eval(&y, 1);
            } else {
                wg_tensor parts[2], z = wg_use(strict, w);
                z = wg_sub(z, wg_detach(z));
                wg_split_sizes(z, axis, 2, (int64_t[]){1, 2 - !axis}, parts);
                wg_tensor factor = wg_scalar(strict, WG_F32, 1e20);
                status =
                    wg_backward(wg_add(wg_sum_all(parts[0]), wg_sum_all(wg_mul(wg_mul(parts[1], factor), factor))));
            }
            if (status != WG_ERR_NONFINITE ||
                strncmp(wg_tape_message(strict), culprits[k], strlen(culprits[k])) != 0)
                fail_msg("axis %d: %s: %s", axis, culprits[k], wg_tape_message(strict));
            (void)wg_tape_reset(strict);
            wg_zero_grad(set);
        }
    wg_params_free(set);
    wg_tape_free(strict);
}

/* Infinite constants that a choice leaves out, and scales that nobody reads, are none: planned, unfused and eager. */
static void finite_programs_run(void)
{
    static const float rows[] = {0, 0, 0, 1, 2, 3};
    for (int k = 0; k < 6 * 3; k++) {
        wg_tape_options options = wg_tape_defaults();
        options.locate_nonfinite = true;
        options.eager = k / 6 == 2;
        options.plan = k / 6 == 1 ? "-fuse" : NULL;
        wg_tape *strict = wg_tape_new(options);
        wg_tensor x = wg_data(strict, WG_F32, WG_DIMS(2, 3), rows), y;
        switch (k % 6) {
        case 0: y = wg_norm(x, WG_AXES(1), false); break;
        case 1: y = wg_normalize(x, 1, 1e-12); break;
        case 2: y = wg_cdist(x, x); break;
        case 3: y = wg_median(x, 1, false); break;
        case 4: y = wg_std(x, WG_AXES(1), false, 1); break;
        default:
            y = wg_ctc_loss(wg_reshape(wg_log_softmax(x, 1), WG_DIMS(2, 1, 3)),
                            wg_data(strict, WG_I32, WG_DIMS(1, 1), (int32_t[]){1}),
                            wg_data(strict, WG_I32, WG_DIMS(1), (int32_t[]){2}),
                            wg_data(strict, WG_I32, WG_DIMS(1), (int32_t[]){1}), 0, WG_SUM);
        }
        if (wg_eval(&y, 1) != WG_OK) FAIL("%d: %s", k, wg_tape_message(strict));
        (void)wg_tape_reset(strict);
        wg_tape_free(strict);
    }
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(located), TEST_CASE(located_in_pieces), TEST_CASE(finite_programs_run)};
    return RUN_TESTS(tests);
}
