/* Optimizers and clipping on the threads of the tape's pool: the same bits on any number, also after the pool is
 * freed. */
#include "tensors.h"

#include "io/file.h"

enum { ARRAYS = 4 };
static const int64_t sizes_of_arrays[ARRAYS] = {200000, 3, 70001, 100003};

static wg_optimizer *optimizer_of(int kind, wg_params *set)
{
    switch (kind) {
    case 0: return wg_sgd_new(set, (wg_sgd_options){.lr = 0.1});
    case 1: return wg_sgd_new(set, (wg_sgd_options){.lr = 0.1, .momentum = 0.9, .nesterov = true});
    case 2:
        return wg_rmsprop_new(set,
                              (wg_rmsprop_options){.lr = 0.01, .alpha = 0.9, .epsilon = 1e-8, .centered = true});
    case 3: return wg_adam_new(set, wg_adam_defaults());
    case 4: return wg_amsgrad_new(set, wg_adam_defaults());
    case 5: return wg_radam_new(set, wg_adam_defaults());
    case 6: return wg_adagrad_new(set, wg_adagrad_defaults());
    default: return wg_adamw_new(set, wg_adamw_defaults());
    }
}

/* A loss whose gradients are 3 w^2 + 1, or NaN in the arrays from `wrong` on. */
static wg_tensor cubic_loss(wg_tape *tape, wg_params *set, int wrong)
{
    wg_tensor loss = wg_scalar(tape, WG_F32, 0);
    for (int i = 0; i < ARRAYS; i++) {
        const wg_tensor w = wg_use(tape, wg_params_at(set, (size_t)i));
        const wg_tensor cube = wg_mul(wg_square(w), i < wrong ? w : wg_scale(w, (double)NAN));
        loss = wg_add(loss, wg_sum_all(wg_add(cube, w)));
    }
    return loss;
}

/* A set of the arrays; one of them, or none (-1), is frozen. */
static wg_params *set_new(int frozen)
{
    wg_params *set = wg_params_new(WG_F32);
    for (int i = 0; i < ARRAYS; i++) {
        char name[8];
        snprintf(name, sizeof name, "w%d", i);
        wg_param *param = wg_param_new(set, name, WG_DIMS(sizes_of_arrays[i]), wg_init_uniform(-1, 1));
        wg_param_freeze(param, i == frozen);
    }
    return set;
}

/* The hash of the parameters after three clipped steps. */
static uint32_t train_on(int threads, int kind, bool pool_freed)
{
    wg_params *set = set_new(2);
    wg_optimizer *optimizer = optimizer_of(kind, set);
    for (int step = 0; step < 3; step++) {
        wg_pool *own = threads ? wg_pool_new(threads) : NULL;
        wg_tape *tape = tape_by(NULL, own);
        wg_zero_grad(set);
        CHECK(wg_backward(cubic_loss(tape, set, ARRAYS)) == WG_OK);
        wg_tape_free(tape);
        CHECK(wg_params_pool(set) == own);
        if (pool_freed) wg_pool_free(own);
        CHECK(wg_params_pool(set) == (pool_freed ? NULL : own));
        CHECK(wg_clip_grad_norm(set, 1, NULL) == WG_OK);
        CHECK(wg_optimizer_step(optimizer) == WG_OK);
        if (!pool_freed) wg_pool_free(own);
    }
    uint32_t hash = 0;
    for (int i = 0; i < ARRAYS; i++)
        hash = wg__crc32(hash, wg_param_value(wg_params_at(set, (size_t)i)), (size_t)sizes_of_arrays[i] * 4);
    wg_optimizer_free(optimizer);
    wg_params_free(set);
    return hash;
}

static void optimizers_step_on_the_pool(void)
{
    for (int kind = 0; kind < 8; kind++) {
        const uint32_t alone = train_on(0, kind, false);
        for (int threads = 1; threads <= 4; threads++) CHECK(train_on(threads, kind, false) == alone);
        CHECK(train_on(3, kind, true) == alone);
    }
}

static void the_first_bad_gradient_is_named(void)
{
    wg_pool *own = wg_pool_new(4);
    wg_params *set = set_new(-1);
    wg_optimizer *optimizer = optimizer_of(0, set);
    for (int round = 0; round < 20; round++) {
        wg_tape *tape = tape_by(NULL, own);
        wg_zero_grad(set);
        CHECK(wg_backward(cubic_loss(tape, set, round % ARRAYS)) == WG_OK);
        CHECK(wg_optimizer_step(optimizer) == WG_ERR_NONFINITE);
        char want[64];
        snprintf(want, sizeof want, "gradient of w%d is not finite at element 0", round % ARRAYS);
        CHECK(strstr(wg_optimizer_message(optimizer), want));
        wg_tape_free(tape);
    }
    wg_optimizer_free(optimizer);
    wg_params_free(set);
    wg_pool_free(own);
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(optimizers_step_on_the_pool),
                                 TEST_CASE(the_first_bad_gradient_is_named)};
    return RUN_TESTS(tests);
}
