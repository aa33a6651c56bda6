/* Benchmarks: of every op (bench), and of training steps (bench models), beside the machine's peak measured in the
 * same run and, with --vs torch, beside the same steps in PyTorch. */
#include "bench.h"

#include <stdio.h>
#include <string.h>

const char *const bench_passes[BENCH_PASSES] = {"",      "-merge", "-fuse",
                                                "-pack", "-place", "-merge,-fuse,-pack,-place"};

wg_tape *bench_tape_new(wg_pool *pool, const char *plan)
{
    wg_tape_options options = wg_tape_defaults();
    options.pool = pool;
    options.plan = plan;
    wg_tape *tape = wg_tape_new(options);
    if (!tape) app_fail("out of memory");
    return tape;
}

int main(int argc, char **argv)
{
    static const char *const peers[] = {"none", "torch", NULL};
    bool models = argc > 1 && strcmp(argv[1], "models") == 0;
    bench_settings s = {.threads = 2, .vs = "none"};
    app_option options[] = {
        {APP_INT, "threads", &s.threads, "N", "threads, ours and the peer's", 1, 256},
        {APP_TEXT, "json", &s.json, "FILE", "write the rows"},
        {APP_TEXT, "filter", &s.filter, "TEXT", "only rows whose id holds this text"},
        {APP_INT, "steps", &s.steps, "N", "samples a row; 0: the default", 0, 1e6},
        {APP_CHOICE, "vs", &s.vs, "PEER", "models: the same steps in a peer, interleaved", 0, 0, peers},
        {APP_FLAG, "passes", &s.passes, NULL, "models: each planner pass on and off, interleaved"},
        {APP_END}};
    app_name("bench");
    app_parse(
        argc - models, argv + models, "bench [models] [options]",
        "Times every op, or training steps of models: rnn, lstm, gru (2 layers of 128, time 50, batch 50, one-hot\n"
        "65, RMSprop, clipping) and tiny (2000 pointwise ops on 16 elements, forward and backward).",
        options);
    if (strcmp(s.vs, "none") == 0) s.vs = NULL;
    if (s.vs || s.passes) models = true; /* only models have peers */

    bench_report report = {.settings = &s, .machine = bench_measure_machine((int)s.threads)};
    bench_print_machine(&report.machine);
    if (models) {
        bench_models(&report);
    } else {
        bench_ops(&report);
        bench_engine(&report);
    }
    if (report.n == 0) app_fail("no row's id holds '%s'", s.filter);
    bench_write_json(&report);
    bench_report_fini(&report);
    app_check_output();
    return 0;
}
