/* The least that a program on several machines needs: mpirun -n 4 many. A line is fitted to noisy points. */
#include "../wengert-dist.h"
#include <stdio.h>

static int fail(wg_world *world, const char *text)
{
    if (wg_world_fail(world, text)) fprintf(stderr, "many: %s\n", text);
    return wg_world_close(world), 1;
}

int main(int argc, char **argv)
{
    wg_error error = {0};
    wg_world *world = wg_world_open(&argc, &argv, wg_world_defaults(), &error);
    if (!world) return fail(world, error.text);
    wg_params *model = wg_params_new(WG_F32);
    wg_param *a = wg_param_new(model, "a", WG_SCALAR, wg_init_zeros());
    wg_param *b = wg_param_new(model, "b", WG_SCALAR, wg_init_zeros());
    wg_optimizer *sgd = wg_sgd_new(model, (wg_sgd_options){.lr = 0.1});
    wg_dist_options options = wg_dist_defaults();
    options.shards = 4;
    wg_dist *dist = wg_dist_new(world, model, sgd, options, &error);
    if (!dist) return fail(world, error.text);
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    wg_dist_result result;
    for (uint64_t step = 0; step < 200; step++) {
        while (wg_dist_next(dist, tape, step) >= 0) { /* the shards of this rank, each with its random numbers */
            wg_tensor x = wg_normal(tape, WG_F32, WG_DIMS(64), 0, 1), y = wg_add_scalar(wg_scale(x, 3), -1);
            wg_tensor noise = wg_normal(tape, WG_F32, WG_DIMS(64), 0, 0.1);
            wg_tensor fit = wg_add(wg_mul(x, wg_use(tape, a)), wg_use(tape, b));
            wg_tensor loss = wg_keep(wg_mse(fit, wg_add(y, noise), WG_MEAN));
            wg_dist_backward(dist, loss, 64);
            const double value = wg_item(loss);
            if (wg_tape_reset(tape) != WG_OK) return fail(world, wg_tape_message(tape));
            if (wg_dist_add(dist, 64, &value) != WG_OK) break; /* wg_dist_step says why, on every rank */
        }
        if (wg_dist_step(dist, 0, &result) != WG_OK) return fail(world, wg_dist_message(dist));
    }
    if (wg_world_speaks(world))
        printf("final: a %.2f, b %.2f, loss %.3f, ranks %d\n", *(const float *)wg_param_value(a),
               *(const float *)wg_param_value(b), result.values[0], wg_world_size(world));
    wg_tape_free(tape), wg_dist_free(dist), wg_optimizer_free(sgd), wg_params_free(model), wg_world_close(world);
    return 0;
}
