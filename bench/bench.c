/* Benchmarks of every op (bench), of training steps (bench models), and of how these scale with the sizes (bench
 * scaling), relative to the machine's peak, measured in the same run, and with --vs to the same steps in other
 * engines. */
#include "bench.h"

#include "peers.h"

#include <stdio.h>
#include <string.h>

const char *const bench_passes[BENCH_PASSES] = {"",           "-attention", "-lookup", "-recompute",
                                                "-residuals", "-merge",     "-fuse",   "-share_weight",
                                                "-schedule",  "-pack",      "-place",  "-all,+cache"};

wg_tape *bench_tape_new(wg_pool *pool, const char *plan, bool profile)
{
    wg_tape_options options = wg_tape_defaults();
    options.pool = pool;
    options.plan = plan;
    options.profile = profile;
    wg_tape *tape = wg_tape_new(options);
    if (!tape) app_fail("out of memory");
    return tape;
}

/* Parses a list such as "torch,jax". */
static void read_peers(bench_settings *s, const char *vs)
{
    for (const char *at = vs; *at; at += strcspn(at, ",") + (at[strcspn(at, ",")] != 0)) {
        size_t length = strcspn(at, ",");
        int p = 0;
        while (p < BENCH_PEERS_MAX &&
               (strlen(bench_peers[p].name) != length || strncmp(bench_peers[p].name, at, length) != 0))
            p++;
        if (p == BENCH_PEERS_MAX || s->n_peers == BENCH_PEERS_MAX)
            app_usage("--vs takes %s, separated by commas, not '%s'", bench_peer_names(), vs);
        s->peers[s->n_peers++] = bench_peers[p].name;
    }
}

static const char summary[] =
    "Times every op; models: training steps and text generation; scaling: an LSTM against time, batch and hidden\n"
    "size, a transformer against time. The models; a row is one training step unless it says otherwise:\n"
    "  rnn, lstm, gru   2 x 128, time 50, batch 50, one-hot 65, RMSprop, clipping\n"
    "  lstm-512         2 x 512, the same otherwise\n"
    "  lstm-b1          1 x 32, batch 1\n"
    "  lstm-cell        2 x 256, time 100, batch 32, a loop over a cell written from primitive ops\n"
    "  bilstm-len       bidirectional, 1 x 256, lengths 5 to 50, batch 64\n"
    "  seq2seq-attn     GRU of 256, additive attention, time 25, batch 64, 5000 words, AdamW\n"
    "  lenet            two convolutions and two linear layers (32, 64, 128), batch 64, SGD\n"
    "  resnet-ish       6 convolutions 3x3 of 32 to 128 channels, batch norm, 32x32x3, batch 32, SGD\n"
    "  gpt-128          4 layers, 4 heads, width 128, context 64, batch 12, AdamW\n"
    "  gpt-384          6 layers, 6 heads, width 384, context 256, batch 4, AdamW\n"
    "  mlp              784-512-512-10, batch 128, Adam\n"
    "  tiny             2000 pointwise ops on 16 elements, forward and backward\n"
    "  generate-lstm    200 tokens with lstm-512, one at a time; ms per token\n"
    "  generate-gpt     256 tokens with gpt-384 and a KV cache; ms per token";

int main(int argc, char **argv)
{
    const char *section = argc > 1 && argv[1][0] != '-' ? argv[1] : "", *vs = "", *model = "", *plan = NULL;
    bench_settings s = {.threads = 2};
    char peers[160];
    snprintf(peers, sizeof peers, "models: the same steps in %s, interleaved", bench_peer_names());
    app_option options[] = {
        {APP_INT, "threads", &s.threads, "N", "threads of Wengert and of each peer", 1, 256},
        {APP_TEXT, "json", &s.json, "FILE", "write the rows as JSON"},
        {APP_TEXT, "filter", &s.filter, "TEXT", "only rows whose id contains TEXT (scaling: T, B or H)"},
        {APP_INT, "steps", &s.steps, "N", "samples per row; 0: the default", 0, 1e6},
        {APP_TEXT, "vs", &vs, "PEERS", peers},
        {APP_FLAG, "passes", &s.passes, NULL, "models: each planner pass on and off, interleaved"},
        {APP_FLAG, "profile", &s.profile, NULL, "models: the time of each op of a step"},
        {APP_FLAG, "metrics", &s.metrics, NULL, "models: counts and bytes of each plan; runs no benchmark"},
        {APP_TEXT, "model", &model, "ID", "serve: the model; commands come on standard input"},
        {APP_TEXT, "plan", &plan, "PASSES", "serve: planner passes to turn off"},
        {APP_END}};
    app_name("bench");
    app_parse(argc - (*section != 0), argv + (*section != 0), "bench [models|scaling|serve] [options]", summary,
              options);
    read_peers(&s, vs);
    if (!*section && (s.n_peers || s.passes || s.profile || s.metrics))
        section = "models"; /* only models have peers */
    if (!strcmp(section, "serve")) {
        bench_serve(model, (int)s.threads, plan);
        return 0;
    }
    if (s.metrics) {
        bench_metrics(&s);
        app_check_output();
        return 0;
    }
    bool models = !strcmp(section, "models"), scaling = !strcmp(section, "scaling");
    if (*section && !models && !scaling) app_usage("there is no section '%s': models, scaling", section);

    bench_report report = {.settings = &s, .machine = bench_measure_machine((int)s.threads)};
    bench_print_machine(&report.machine);
    if (models) {
        bench_models(&report);
    } else if (scaling) {
        bench_scaling(&report);
    } else {
        bench_ops(&report);
        bench_engine(&report);
    }
    fflush(stdout);
    if (report.n == 0 && !s.profile) app_fail("no row's id contains '%s'", s.filter);
    bench_write_json(&report);
    bool failed = report.failed;
    bench_report_fini(&report);
    app_check_output();
    return failed;
}
