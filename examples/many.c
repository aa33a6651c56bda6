/* The least that a program on several machines needs: mpirun -n 4 many. A line is fitted to noisy points; the result
 * has the same bits on 1, 2, 3 or 4 ranks. */
#include "../wengert-dist.h"

#include <stdio.h>

enum { SHARDS = 4, ROWS = 64, STEPS = 200 };

static int fail(wg_world *world, const char *text)
{
    if (wg_world_fail(world, text)) fprintf(stderr, "many: %s\n", text);
    wg_world_close(world);
    return 1;
}

int main(int argc, char **argv)
{
    wg_error error = {0};
    wg_world *world = wg_world_open(&argc, &argv, wg_world_defaults(), &error);
    if (!world) return fprintf(stderr, "many: %s\n", error.text), 1;
    wg_params *model = wg_params_new(WG_F32);
    wg_param *a = wg_param_new(model, "a", WG_SCALAR, wg_init_zeros());
    wg_param *b = wg_param_new(model, "b", WG_SCALAR, wg_init_zeros());
    wg_optimizer *adam = wg_adam_new(model, wg_adam_defaults());
    wg_optimizer_set_lr(adam, 0.05);
    wg_dist_options options = wg_dist_defaults();
    options.shards = SHARDS;
    wg_dist *dist = wg_dist_new(world, model, adam, options, &error);
    if (!dist) return fail(world, error.text);
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    wg_dist_result result;
    for (uint64_t step = 0; step < STEPS; step++) {
        while (wg_dist_next(dist, tape, step) >=
               0) { /* the shards of this rank; random numbers depend on the shard */
            wg_tensor x = wg_uniform(tape, WG_F32, WG_DIMS(ROWS), -1, 1),
                      noise = wg_normal(tape, WG_F32, WG_DIMS(ROWS), 0, 0.1);
            wg_tensor y = wg_add(wg_add_scalar(wg_scale(x, 3), -1), noise);
            wg_tensor fit = wg_add(wg_mul(x, wg_use(tape, a)), wg_use(tape, b));
            wg_tensor loss = wg_keep(wg_mse(fit, y, WG_MEAN));
            wg_backward(loss);
            const double value = wg_item(loss);
            if (wg_tape_reset(tape) != WG_OK) return fail(world, wg_tape_message(tape));
            if (wg_dist_add(dist, ROWS, &value) != WG_OK) break; /* wg_dist_step says why, on every rank */
        }
        if (wg_dist_step(dist, 0, &result) != WG_OK) return fail(world, wg_dist_message(dist));
    }
    if (wg_world_speaks(world))
        printf("final: a %.2f, b %.2f, loss %.3f, ranks %d, hash %016llx\n", *(const float *)wg_param_value(a),
               *(const float *)wg_param_value(b), result.values[0], wg_world_size(world),
               (unsigned long long)wg_params_hash(model));
    wg_tape_free(tape);
    wg_dist_free(dist);
    wg_optimizer_free(adam);
    wg_params_free(model);
    wg_world_close(world);
    return 0;
}
