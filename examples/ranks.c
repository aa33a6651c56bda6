/* An example on several ranks. */
#include "ranks.h"

#include <math.h>
#include <stdlib.h>

static wg_world *world;

static void close_world(void)
{
    fflush(NULL);
    wg_world_close(world);
}

static bool may_print(const char *text) { return wg_world_fail(world, text); }

wg_world *ranks_open(int *argc, char ***argv)
{
    wg_error error = {0};
    world = wg_world_open(argc, argv, wg_world_defaults(), &error);
    app_may_print(may_print);
    if (!world) app_fail("%s", error.text);
    atexit(close_world);
    if (!ranks_first()) {
        app_be_quiet();
        if (!freopen("/dev/null", "w", stdout)) app_fail("cannot open /dev/null");
    }
    return world;
}

bool ranks_first(void) { return wg_world_rank(world) == 0; }

int64_t ranks_shards(int64_t shards) { return shards ? shards : wg_world_size(world); }

wg_progress ranks_progress(const char *unit, double units)
{
    static char place[32];
    if (wg_world_size(world) > 1) snprintf(place, sizeof place, " on %d ranks", wg_world_size(world));
    return (wg_progress){.unit = unit, .units = units, .place = place, .quiet = !ranks_first()};
}

wg_dist *ranks_begin(wg_params *params, wg_optimizer *optimizer, int64_t shards, int64_t seed, double clip)
{
    wg_error error = {0};
    wg_dist_options options = wg_dist_defaults();
    options.shards = shards;
    options.seed = (uint64_t)seed;
    options.clip_norm = clip;
    wg_dist *dist = wg_dist_new(world, params, optimizer, options, &error);
    if (!dist) app_fail("%s", error.text);
    return dist;
}

/* The gradient of a shard. */
static void train_shard(wg_dist *dist, wg_tape *tape, int64_t step, int64_t shard, ranks_loss *loss_of,
                        void *context)
{
    int64_t rows = 0;
    double value = 0;
    wg_tensor loss = wg_keep(loss_of(context, tape, step, shard, &rows));
    if (rows > 0) {
        (void)wg_dist_backward(dist, loss, (double)rows); /* the tape keeps an error */
        value = wg_item(loss);
        app_end_step(tape);
        if (!isfinite(value)) app_fail("step %lld: the loss is not finite", (long long)step + 1);
    }
    if (wg_dist_add(dist, (double)rows, &value) != WG_OK) app_fail("%s", wg_dist_message(dist));
}

double ranks_step(wg_dist *dist, wg_tape *tape, int64_t step, ranks_loss *loss_of, void *context, bool timeout,
                  int *stop)
{
    wg_dist_result result;
    for (int64_t shard; (shard = wg_dist_next(dist, tape, (uint64_t)step)) >= 0;)
        train_shard(dist, tape, step, shard, loss_of, context);
    const int ours = wg_signal_number() ? wg_signal_number() : timeout ? RANKS_TIMEOUT : 0;
    if (wg_dist_step(dist, ours, &result) != WG_OK)
        app_fail("step %lld: %s", (long long)step + 1, wg_dist_message(dist));
    *stop = result.stop;
    return result.values[0];
}
