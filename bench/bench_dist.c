/* Times a step of several ranks, one shard each: the gradient of a benchmark model, or as many elements as are given.
 *
 *     mpirun -n 4 bench_dist gpt-128 STEPS [overlap]
 *     mpirun -n 2 bench_dist 1000000 STEPS
 *
 * Rank 0 prints medians, and the least, in seconds: "ranks=4 shard=0.02 step=0.005 ... bytes=3200000 elements=400000";
 * shard is the time of forward and backward pass, step that of wg_dist_step, without waiting for ranks that are still
 * computing; bytes are those that it sent in a step. bench/dist.py runs it and predicts from it. */
#include "models.h"

#include "../wengert-dist.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static wg_world *world;

/* For models.c: one thread a rank. */
wg_tape *bench_tape_new(wg_pool *pool, const char *plan, bool profile) { return wg_tape_new(wg_tape_defaults()); }

static void require(bool ok, const char *text)
{
    if (ok) return;
    if (wg_world_fail(world, text)) app_note("%s", text);
    wg_world_close(world);
    exit(1);
}

/* Parameters and their optimizer, without a model. */
static void elements_init(model *m, int64_t n)
{
    *m = (model){.set = wg_params_new(WG_F32), .tape = wg_tape_new(wg_tape_defaults())};
    wg_param_new(m->set, "w", WG_DIMS(n), wg_init_zeros());
    m->optimizer = wg_adam_new(m->set, wg_adam_defaults());
    require(m->tape && m->optimizer && wg_params_status(m->set) == WG_OK, "out of memory");
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts x. */
static double median(double *x, int n)
{
    qsort(x, (size_t)n, sizeof *x, ascending);
    return x[n / 2];
}

static void shard(model *m, wg_dist *dist, uint64_t step)
{
    double value = 0;
    require(wg_dist_next(dist, m->tape, step) >= 0, wg_dist_message(dist));
    if (m->kind.loss) {
        wg_tensor loss = wg_keep(m->kind.loss(m));
        wg_dist_backward(dist, loss, 1);
        value = wg_item(loss);
        require(wg_tape_reset(m->tape) == WG_OK, wg_tape_message(m->tape));
    }
    require(wg_dist_add(dist, 1, &value) == WG_OK, wg_dist_message(dist));
}

int main(int argc, char **argv)
{
    enum { WARM = 2, MOST = 200 };
    double in_shard[MOST], in_step[MOST];
    wg_error error = {0};
    model one, *m = &one;
    world = wg_world_open(&argc, &argv, wg_world_defaults(), &error);
    app_name("bench_dist");
    require(world != NULL, error.text);
    const bool overlap = argc == 4 && strcmp(argv[3], "overlap") == 0;
    require((argc == 3 || overlap) && atoi(argv[2]) > 0 && atoi(argv[2]) <= MOST,
            "usage: bench_dist MODEL|ELEMENTS STEPS [overlap]");
    const int steps = atoi(argv[2]), ranks = wg_world_size(world);
    if (isdigit((unsigned char)argv[1][0]))
        elements_init(m, atoll(argv[1]));
    else
        m = model_new(argv[1], NULL, NULL, false);
    wg_dist_options options = wg_dist_defaults();
    options.clip_norm = m->clip;
    options.overlap = overlap;
    wg_dist *dist = wg_dist_new(world, m->set, m->optimizer, options, &error);
    require(dist != NULL, error.text);
    wg_world_counts before = {0};
    for (int i = -WARM; i < steps; i++) {
        if (i == 0) before = wg_world_count(world);
        const double began = wg_seconds();
        shard(m, dist, (uint64_t)(i + WARM));
        const double done = wg_seconds();
        require(wg_world_barrier(world) == WG_OK, wg_world_message(world));
        const double together = wg_seconds();
        require(wg_dist_step(dist, 0, NULL) == WG_OK, wg_dist_message(dist));
        if (i < 0) continue;
        in_shard[i] = done - began;
        in_step[i] = wg_seconds() - together;
    }
    const wg_world_counts c = wg_world_count(world);
    const uint64_t bytes = c.gradient_bytes + c.parameter_bytes - before.gradient_bytes - before.parameter_bytes;
    const double shard_time = median(in_shard, steps), step_time = median(in_step, steps);
    if (wg_world_rank(world) == 0)
        printf("ranks=%d shard=%.9f step=%.9f least_shard=%.9f least_step=%.9f bytes=%llu elements=%lld\n", ranks,
               shard_time, step_time, in_shard[0], in_step[0], (unsigned long long)bytes / (unsigned)steps,
               (long long)wg_params_trainable(m->set));
    wg_dist_free(dist);
    wg_world_close(world);
    return 0;
}
