/* Trains a small model on the ranks that there are, for tests/dist.py: prints a hash of the parameters and counts.
 *
 *     mpirun -n 3 dist_train MODEL [NAME=NUMBER | NAME=FILE]... */
#include "../wengert-dist.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { BATCH = 32, TIME = 6, HIDDEN = 24, SYMBOLS = 11, CONTEXT = 12, SIDE = 8, CLASSES = 10 };

/* ---- options ---- */

static int n_words;
static char **words;

static const char *word_of(const char *name)
{
    const size_t n = strlen(name);
    for (int i = 2; i < n_words; i++)
        if (strncmp(words[i], name, n) == 0 && words[i][n] == '=') return words[i] + n + 1;
    return NULL;
}

static double number_of(const char *name, double otherwise)
{
    return word_of(name) ? strtod(word_of(name), NULL) : otherwise;
}

/* ---- models ---- */

typedef struct model {
    const char *kind;
    wg_params *params;
    wg_rnn rnn;
    wg_rnn_carry carry;
    wg_linear_layer out;
    wg_lm lm;
    wg_conv_layer conv;
    wg_batch_norm_layer norm;
    int64_t rows; /* of a shard */
} model;

static void model_init(model *m, const char *kind, int64_t rows)
{
    *m = (model){.kind = kind, .params = wg_params_new(WG_F32), .rows = rows};
    wg_params_seed(m->params, 3);
    if (strcmp(kind, "lstm") == 0) {
        wg_rnn_options o = wg_rnn_defaults();
        o.cell = WG_LSTM;
        o.layers = 2;
        o.dropout = 0.3;
        wg_rnn_init(&m->rnn, m->params, "rnn", SYMBOLS, HIDDEN, o);
        wg_linear_init(&m->out, m->params, "out", HIDDEN, SYMBOLS, wg_linear_defaults());
        wg_rnn_carry_init(&m->carry, &m->rnn, m->params, "state", rows);
    } else if (strcmp(kind, "gpt") == 0) {
        wg_lm_options o = wg_lm_defaults();
        o.layer.heads = 2;
        o.layer.dropout = 0.1;
        wg_lm_init(&m->lm, m->params, "", SYMBOLS, CONTEXT, 128, 2, o); /* several messages */
    } else {
        wg_conv_init(&m->conv, m->params, "conv", 1, 6, WG_DIMS(3, 3), wg_conv_layer_defaults());
        wg_batch_norm_init(&m->norm, m->params, "norm", 6);
        wg_linear_init(&m->out, m->params, "out", 6 * 36, CLASSES, wg_linear_defaults());
    }
}

/* A number that depends on its place in the global batch, not on who asks. */
static int32_t draw(uint64_t step, int64_t row, int64_t t, int32_t n)
{
    uint64_t x = step * 0x9e3779b97f4a7c15u + (uint64_t)(row * 131 + t);
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return (int32_t)((x ^ x >> 31) % (uint64_t)n);
}

static wg_tensor lstm_loss(model *m, wg_tape *tape, uint64_t step, int64_t first)
{
    int32_t x[BATCH * TIME], *y = x + m->rows;
    if (step % 10 == 0) wg_rnn_carry_clear(&m->carry);
    wg_rnn_state state = wg_rnn_carry_begin(&m->carry, tape);
    wg_tensor loss = wg_scalar(tape, WG_F32, 0);
    for (int t = 0; t < TIME; t++) {
        for (int64_t i = 0; i < m->rows; i++) {
            x[i] = draw(step, first + i, t, SYMBOLS);
            y[i] = (x[i] * 3 + t) % SYMBOLS;
        }
        wg_tensor in = wg_one_hot(wg_data(tape, WG_I32, WG_DIMS(m->rows), x), SYMBOLS, WG_F32);
        wg_tensor logits = wg_linear_apply(&m->out, wg_rnn_step(&m->rnn, in, &state));
        loss = wg_add(loss, wg_cross_entropy(logits, wg_data(tape, WG_I32, WG_DIMS(m->rows), y)));
    }
    wg_rnn_carry_end(&m->carry, &state);
    return wg_scale(loss, 1.0 / TIME);
}

static wg_tensor gpt_loss(model *m, wg_tape *tape, uint64_t step, int64_t first, int64_t rows)
{
    int32_t x[BATCH * CONTEXT], y[BATCH * CONTEXT];
    for (int64_t i = 0; i < rows * CONTEXT; i++) {
        x[i] = draw(step, first + i / CONTEXT, i % CONTEXT, SYMBOLS);
        y[i] = (x[i] + 1) % SYMBOLS;
    }
    wg_tensor logits = wg_lm_apply(&m->lm, wg_data(tape, WG_I32, WG_DIMS(rows, CONTEXT), x));
    return wg_cross_entropy(logits, wg_data(tape, WG_I32, WG_DIMS(rows, CONTEXT), y));
}

static void draw_picture(int64_t sample, float *x, int32_t *y)
{
    *y = (int32_t)(sample % CLASSES);
    for (int k = 0; k < SIDE * SIDE; k++)
        x[k] = (float)draw((uint64_t)sample, k, *y, 256) / 256 + (float)(k % (*y + 1));
}

static wg_tensor conv_loss(model *m, wg_tensor x, wg_tensor y)
{
    wg_tensor h = wg_relu(wg_batch_norm_apply(&m->norm, wg_conv_apply(&m->conv, x)));
    return wg_cross_entropy(wg_linear_apply(&m->out, wg_flatten(h, 1, -1)), y);
}

/* ---- data ---- */

enum { SAMPLES = 150 }; /* the last batch of an epoch has 22 */

/* Pictures that each rank makes for itself, or that rank 0 makes and scatters. */
typedef struct pictures {
    wg_loader *loader;
    wg_feed *feed; /* of rank 0 */
    bool scattered;
} pictures;

static wg_status make_picture(void *context, const wg_sample *sample, void *const *out, wg_error *error)
{
    if (sample->epoch == (uint64_t)number_of("unreadable", 1e9))
        return wg_error_set(error, WG_ERR_IO, "picture %lld: cannot read", (long long)sample->index);
    draw_picture(sample->index, out[0], out[1]);
    return WG_OK;
}

static void pictures_init(pictures *p, int rank)
{
    wg_feed_options o = wg_feed_defaults();
    o.order.batch = BATCH;
    const wg_dataset data = {.n = SAMPLES,
                             .n_fields = 2,
                             .make = make_picture,
                             .field = {{WG_F32, WG_DIMS(1, SIDE, SIDE), NULL}, {WG_I32, WG_SCALAR, NULL}}};
    *p = (pictures){.scattered = number_of("scatter", 0) != 0};
    if (!p->scattered)
        p->loader = wg_loader_new(SAMPLES, o.order, NULL);
    else if (rank == 0)
        p->feed = wg_feed_new(&data, o, NULL);
}

/* The pictures of a shard; returns how many there are. */
static int64_t shard_pictures(pictures *p, wg_dist *dist, wg_tape *tape, uint64_t step, int64_t shard, wg_tensor *x,
                              wg_tensor *y)
{
    float pixels[BATCH * SIDE * SIDE];
    int32_t labels[BATCH];
    const int64_t *samples;
    if (p->scattered) {
        const wg_batch *batch = wg_dist_batch(dist, shard);
        *x = wg_batch_tensor(batch, tape, 0);
        *y = wg_batch_tensor(batch, tape, 1);
        return batch->n;
    }
    const int64_t n = wg_loader_shard(p->loader, step, shard, wg_dist_shards(dist), &samples);
    for (int64_t i = 0; i < n; i++) draw_picture(samples[i], pixels + i * SIDE * SIDE, labels + i);
    *x = wg_data(tape, WG_F32, WG_DIMS(n, 1, SIDE, SIDE), pixels);
    *y = wg_data(tape, WG_I32, WG_DIMS(n), labels);
    return n;
}

/* ---- the run ---- */

static wg_world *world;

static int give_up(const char *text)
{
    char line[400];
    snprintf(line, sizeof line, "%s", text);
    if (wg_world_fail(world, line)) fprintf(stderr, "dist_train: %s\n", line);
    wg_world_close(world);
    return 1;
}

static volatile sig_atomic_t noted;
static void note(int number) { noted = number; }

/* Counts the gradients that the tape gives: all of a shard, whatever wg_dist_backward does with them. */
static void count_given(void *context, wg_param *param, void *gradient) { ++*(size_t *)context; }
static size_t trained_of(const wg_params *set)
{
    size_t n = 0;
    for (size_t i = 0; i < wg_params_count(set); i++)
        n += wg_param_index(wg_params_at(set, i)) == i && !wg_param_is_buffer(wg_params_at(set, i));
    return n;
}

static bool tried; /* the step whose loss was not finite */

static wg_status train_step(wg_dist *dist, model *m, wg_tape *tape, pictures *data, uint64_t step,
                            wg_dist_result *result)
{
    const int64_t shards = wg_dist_shards(dist);
    for (int64_t shard; (shard = wg_dist_next(dist, tape, step)) >= 0;) {
        const int64_t first = BATCH * shard / shards, rows = BATCH * (shard + 1) / shards - first;
        wg_tensor x = WG_NONE, y = WG_NONE;
        const int64_t n = m->kind[0] == 'c' ? shard_pictures(data, dist, tape, step, shard, &x, &y) : rows;
        if (n == 0) {
            if (wg_tape_reset(tape) != WG_OK || wg_dist_add(dist, 0, NULL) != WG_OK) break;
            continue;
        }
        wg_tensor loss = wg_keep(m->kind[0] == 'l'   ? lstm_loss(m, tape, step, first)
                                 : m->kind[0] == 'g' ? gpt_loss(m, tape, step, first, n)
                                                     : conv_loss(m, x, y));
        if (step == (uint64_t)number_of("nan", 1e9) && shard == 1 && !tried)
            loss = wg_scale(loss, (double)INFINITY);
        size_t given = 0;
        wg_tape_on_gradient(tape, count_given, &given);
        wg_status status = wg_dist_backward(dist, loss, (double)n);
        if (wg_tape_gradient_callback(tape, NULL) != count_given ||
            (status == WG_OK && given != trained_of(m->params)))
            fprintf(stderr, "dist_train: %zu gradients were given\n", given), abort();
        double value = wg_item(loss);
        if (wg_tape_reset(tape) != WG_OK || status != WG_OK) fprintf(stderr, "%s\n", wg_tape_message(tape));
        const bool fails =
            step == (uint64_t)number_of("fails", 1e9) && wg_world_rank(world) == (int)number_of("victim", 0);
        if (wg_dist_add(dist, fails ? -1 : (double)n, &value) != WG_OK) break;
    }
    if (number_of("barrier", 0) && wg_world_barrier(world) != WG_OK) return wg_world_status(world);
    return wg_dist_step(dist, noted, result);
}

static void limit_file(double bytes)
{
    signal(SIGXFSZ, SIG_IGN);
    if (bytes > 0) setrlimit(RLIMIT_FSIZE, &(struct rlimit){(rlim_t)bytes, (rlim_t)bytes});
}

/* Memory of rank `poor` is short from here on: room for what it has, and 8 MiB. */
static void limit_memory(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%ld", &pages) != 1) abort();
    fclose(file);
    const rlim_t bytes = (rlim_t)(pages * sysconf(_SC_PAGESIZE) + (8 << 20));
    setrlimit(RLIMIT_AS, &(struct rlimit){bytes, bytes});
}

/* The model "files": prints what a rank gets of files that rank 0 alone can see. */
static int read_files(int rank)
{
    wg_error error = {0};
    wg_text text;
    wg_idx idx = {0};
    int32_t numbers[3] = {rank == 0 ? 7 : 0, rank, rank};
    if (rank > 0 && chdir("/proc") != 0) return give_up("cannot change the folder");
    if (rank == (int)number_of("poor", -1)) limit_memory();
    if (wg_world_read_text(world, word_of("text"), (uint64_t)number_of("most", 0), &text, &error) != WG_OK)
        return give_up(error.text);
    if (word_of("idx") && wg_world_read_idx(world, word_of("idx"), WG_F32, 0.5, &idx, &error) != WG_OK)
        return give_up(error.text);
    if (wg_world_share(world, numbers, rank == (int)number_of("other", -1) ? 8 : 4, &error) != WG_OK)
        return give_up(error.text);
    if (rank == (int)number_of("missing", -1)) wg_error_set(&error, WG_ERR_IO, "rank %d has no such file", rank);
    if (wg_world_agree(world, &error) != WG_OK) return give_up(error.text);
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < text.size; i++) hash = (hash ^ (unsigned char)text.bytes[i]) * 1099511628211u;
    printf("rank=%d hash=%016llx size=%zu end=%d numbers=%d,%d,%d idx=", rank, (unsigned long long)hash, text.size,
           text.bytes[text.size], numbers[0], numbers[1] == rank, numbers[2] == rank);
    for (int64_t i = 0; idx.data && i < idx.shape.size[0]; i++) printf("%g,", wg_idx_at(&idx, i));
    printf("\n");
    wg_text_fini(&text);
    wg_idx_fini(&idx);
    wg_world_close(world);
    return 0;
}

static void print_end(const wg_dist *dist, const model *m, const wg_optimizer *optimizer, wg_dist_result result)
{
    const wg_world_counts c = wg_world_count(world);
    const wg_dist_bytes b = wg_dist_memory(dist);
    wg_dist_options o = wg_dist_defaults();
    o.shards = wg_dist_shards(dist);
    const wg_dist_bytes p = wg_dist_predict(m->params, optimizer, o, wg_world_size(world));
    printf("rank=%d hash=%016llx loss=%.9g norm=%.9g steps=%llu gradient_bytes=%llu early_bytes=%llu "
           "parameter_bytes=%llu "
           "elements=%lld memory=%zu predicted=%zu\n",
           wg_world_rank(world), (unsigned long long)wg_params_hash(m->params), result.values[0], result.norm,
           (unsigned long long)wg_optimizer_steps(optimizer), (unsigned long long)c.gradient_bytes,
           (unsigned long long)c.early_bytes, (unsigned long long)c.parameter_bytes,
           (long long)wg_params_trainable(m->params), b.parameters + b.state + b.partials + b.messages,
           p.parameters + p.state + p.partials + p.messages);
    fflush(stdout);
}

/* What happens to this rank before a step. */
static void suffer(uint64_t step)
{
    const int rank = wg_world_rank(world);
    const bool is_victim = rank == (int)number_of("victim", -1);
    if (is_victim && step == (uint64_t)number_of("at", 1e9)) raise((int)number_of("signal", SIGKILL));
    if (step != (uint64_t)number_of("hangs", 1e9)) return;
    if (is_victim) pause();
    if (rank == (int)number_of("late", -1)) sleep((unsigned)(0.75 * number_of("timeout", 60)));
}

/* All steps; the exit code of the program. */
static int train(wg_dist *dist, model *m, wg_tape *tape, pictures *data, const wg_optimizer *optimizer)
{
    wg_error error = {0};
    wg_checkpoint checkpoint = {.seed = 5};
    wg_dist_result result = {0};
    const char *save = word_of("save"), *load = word_of("load");
    if (load && wg_dist_load(dist, load, &checkpoint, &error) != WG_OK) return give_up(error.text);
    const uint64_t steps = (uint64_t)number_of("steps", 20), every = (uint64_t)number_of("every", 5);
    for (uint64_t step = checkpoint.step; step < steps && result.stop == 0; step++) {
        suffer(step);
        if (data->scattered && wg_dist_scatter(dist, data->feed, step, &error) != WG_OK) return give_up(error.text);
        wg_status status = train_step(dist, m, tape, data, step, &result);
        tried = status == WG_ERR_NONFINITE && number_of("again", 0) != 0;
        if (tried) status = train_step(dist, m, tape, data, step, &result);
        if (status != WG_OK) return give_up(wg_dist_message(dist));
        checkpoint.step = step + 1;
        if (save && (checkpoint.step % every == 0 || checkpoint.step == steps || result.stop) &&
            wg_dist_save(dist, save, &checkpoint, &error) != WG_OK)
            return give_up(error.text);
    }
    print_end(dist, m, optimizer, result);
    return result.stop ? 128 + result.stop : 0;
}

int main(int argc, char **argv)
{
    wg_error error = {0};
    wg_world_options world_options = wg_world_defaults();
    n_words = argc;
    words = argv;
    world_options.timeout = number_of("timeout", 60);
    world = wg_world_open(&argc, &argv, world_options, &error);
    if (!world) return give_up(error.text);
    const int rank = wg_world_rank(world);
    const int64_t shards = (int64_t)number_of("shards", 16);
    if (argc < 2) return give_up("say which model");
    if (strcmp(argv[1], "files") == 0) return read_files(rank);
    signal(SIGTERM, note);
    signal(SIGUSR1, note);
    limit_file(rank == 0 ? number_of("limit", 0) : 0);
    if (word_of("missing") && rank == (int)number_of("missing", 0)) return give_up("/no/such/file: cannot open");

    model m;
    model_init(&m, argv[1], BATCH / shards);
    if (rank == (int)number_of("other", -1)) *(float *)wg_param_write_begin(wg_params_at(m.params, 0)) += 1;
    wg_adam_options adam = wg_adam_defaults();
    adam.lr = 0.01;
    if (rank == (int)number_of("beta", -1)) adam.beta2 = 0.99;
    wg_optimizer *optimizer = wg_adam_new(m.params, adam);
    wg_dist_options options = wg_dist_defaults();
    options.shards = shards;
    options.clip_norm = number_of("clip", 1);
    options.overlap = number_of("overlap", 1) != 0;
    options.seed = 5;
    if (rank == (int)number_of("means", -1)) options.means = "";
    wg_tape_options tape_options = wg_tape_defaults();
    tape_options.pool = wg_pool_new((int)number_of("threads", 1));
    wg_tape *tape = wg_tape_new(tape_options);
    pictures data;
    pictures_init(&data, rank);
    wg_dist *dist = wg_dist_new(world, m.params, optimizer, options, &error);
    if (!dist) return give_up(error.text);

    const int code = train(dist, &m, tape, &data, optimizer);
    if (code == 1) return code;
    wg_dist_free(dist);
    wg_loader_free(data.loader);
    wg_feed_free(data.feed);
    wg_tape_free(tape);
    wg_pool_free(tape_options.pool);
    wg_optimizer_free(optimizer);
    wg_params_free(m.params);
    wg_world_close(world);
    return code;
}
