/* The species of a penguin, by an MLP on a CSV file with numbers, categories and missing values.
 *
 *     penguins
 *     penguins --out model.safetensors
 *
 * Inputs: four measures, standardised by the training data, and the embeddings of island and sex; a missing measure
 * counts as the mean, a missing sex has an embedding of its own. Two layers; cross-entropy; Adam; the weights with the
 * best validation accuracy are kept. Every fifth row is for validation.
 *
 * The default file has 344 penguins of three species (Horst, Hill, Gorman 2020; see data/README.md).
 *
 * Expected (default settings, any seed): a validation accuracy of at least 0.97. */
#include "app.h"

#include <math.h>
#include <stdlib.h>

enum { NUMBERS = 4, FIFTH = 5 };

typedef struct table {
    wg_csv *csv;
    float *x; /* [rows, NUMBERS], standardised */
    const wg_categories *island, *sex, *species;
} table;

static bool is_for_validation(int64_t row) { return row % FIFTH == 0; }

/* Standardises column c by the training rows; a missing number becomes 0, the mean. */
static void standardise(float *x, int64_t rows, int c)
{
    double n = 0, sum = 0, square = 0;
    for (int64_t i = 0; i < rows; i++) {
        const double number = x[i * NUMBERS + c];
        if (is_for_validation(i) || isnan(number)) continue;
        n++, sum += number, square += number * number;
    }
    const double mean = n > 0 ? sum / n : 0, variance = n > 0 ? square / n - mean * mean : 0;
    const double deviation = variance > 0 ? sqrt(variance) : 1;
    for (int64_t i = 0; i < rows; i++) {
        float *number = &x[i * NUMBERS + c];
        *number = isnan(*number) ? 0 : (float)((*number - mean) / deviation);
    }
}

static table table_read(const char *path)
{
    wg_error error = {0};
    wg_csv_options options = wg_csv_defaults();
    options.allow_missing = true;
    table t = {.csv = wg_csv_open(path, options, &error)};
    const float *raw = wg_csv_numbers(t.csv, "bill_length_mm,bill_depth_mm,flipper_length_mm,body_mass_g", &error);
    t.island = wg_csv_categories(t.csv, "island", NULL, &error);
    t.sex = wg_csv_categories(t.csv, "sex", NULL, &error);
    t.species = wg_csv_categories(t.csv, "species", NULL, &error);
    if (error.status != WG_OK) app_fail("%s", error.text);
    const int64_t rows = wg_csv_rows(t.csv);
    if (rows < 20) app_fail("%s: %lld rows: at least 20", path, (long long)rows);
    t.x = app_room(rows, NUMBERS * sizeof *t.x);
    for (int64_t i = 0; i < rows * NUMBERS; i++) t.x[i] = raw[i];
    for (int c = 0; c < NUMBERS; c++) standardise(t.x, rows, c);
    return t;
}

/* ---- the data sets ---- */

/* Fields of a sample: the measures, island, sex, species. */
static wg_status make_row(const table *t, int64_t row, void *const *out, wg_error *error)
{
    for (int c = 0; c < NUMBERS; c++) ((float *)out[0])[c] = t->x[row * NUMBERS + c];
    *(int32_t *)out[1] = t->island->index[row];
    *(int32_t *)out[2] = t->sex->index[row] + 1; /* 0: missing */
    *(int32_t *)out[3] = t->species->index[row];
    if (t->island->index[row] >= 0 && t->species->index[row] >= 0) return WG_OK;
    return wg_error_set(error, WG_ERR_FORMAT, "row %lld: island or species is missing", (long long)row + 1);
}

static wg_status make_training(void *t, const wg_sample *sample, void *const *out, wg_error *error)
{
    const int64_t i = sample->index;
    return make_row(t, i / (FIFTH - 1) * FIFTH + i % (FIFTH - 1) + 1, out, error);
}

static wg_status make_validation(void *t, const wg_sample *sample, void *const *out, wg_error *error)
{
    return make_row(t, FIFTH * sample->index, out, error);
}

static wg_feed *feed_new(table *t, wg_make_sample make, int64_t batch, int64_t seed)
{
    const int64_t rows = wg_csv_rows(t->csv), held_out = (rows - 1) / FIFTH + 1;
    const bool trains = make == make_training;
    wg_dataset data = {.n = trains ? rows - held_out : held_out,
                       .n_fields = 4,
                       .field = {{WG_F32, WG_DIMS(NUMBERS), NULL},
                                 {WG_I32, WG_SCALAR, NULL},
                                 {WG_I32, WG_SCALAR, NULL},
                                 {WG_I32, WG_SCALAR, NULL}},
                       .make = make,
                       .context = t};
    wg_feed_options options = wg_feed_defaults();
    options.order.batch = trains ? batch : data.n;
    options.order.seed = (uint64_t)seed;
    options.prefetch = 0; /* a row takes less time than a thread */
    wg_error error = {0};
    wg_feed *feed = wg_feed_new(&data, options, &error);
    if (!feed) app_fail("%s", error.text);
    return feed;
}

static const wg_batch *next_batch(wg_feed *feed, uint64_t step)
{
    wg_error error = {0};
    const wg_batch *batch = wg_feed_batch(feed, step, &error);
    if (!batch) app_fail("%s", error.text);
    return batch;
}

/* ---- the model ---- */

typedef struct model {
    wg_params *params;
    wg_embedding_layer island, sex;
    wg_linear_layer hidden, out;
} model;

static model model_new(const table *t, int64_t hidden, int64_t seed)
{
    enum { SIZE = 2 };
    model m = {.params = wg_params_new_with(WG_F32, (wg_allocator){0}, (uint64_t)seed)};
    wg_embedding_init(&m.island, m.params, "island", t->island->n, SIZE, -1);
    wg_embedding_init(&m.sex, m.params, "sex", t->sex->n + 1, SIZE, -1);
    wg_linear_init(&m.hidden, m.params, "hidden", NUMBERS + 2 * SIZE, hidden, wg_linear_defaults());
    wg_linear_init(&m.out, m.params, "out", hidden, t->species->n, wg_linear_defaults());
    app_check_params(m.params, NULL);
    return m;
}

/* Logits [batch, species]. */
static wg_tensor logits_of(const model *m, wg_tensor measures, wg_tensor island, wg_tensor sex)
{
    const wg_tensor parts[] = {measures, wg_embedding_apply(&m->island, island), wg_embedding_apply(&m->sex, sex)};
    return wg_linear_apply(&m->out, wg_relu(wg_linear_apply(&m->hidden, wg_concat(parts, 3, 1))));
}

static wg_tensor classify(const model *m, wg_tape *tape, const wg_batch *b)
{
    return logits_of(m, wg_batch_tensor(b, tape, 0), wg_batch_tensor(b, tape, 1), wg_batch_tensor(b, tape, 2));
}

static void record_model(void *context, wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    const model *m = context;
    x[0] = app_export_floats(tape, WG_DIMS(batch, NUMBERS));
    x[1] = app_export_tokens(tape, WG_DIMS(batch), &m->island);
    x[2] = app_export_tokens(tape, WG_DIMS(batch), &m->sex);
    y[0] = logits_of(m, x[0], x[1], x[2]);
}

static void export_model(model *m, const char *path, wg_tape *tape)
{
    static const char *const in[] = {"measures", "island", "sex"}, *const out[] = {"logits"};
    const app_model program = {in, out, 3, 1, record_model, m};
    app_export(path, tape, &program);
}

static wg_confusion *validate(const model *m, wg_tape *tape, wg_feed *feed, int64_t classes)
{
    wg_error error = {0};
    const wg_batch *b = next_batch(feed, 0);
    wg_confusion *c = wg_confusion_new(classes, &error);
    const int32_t *predicted = wg_value(wg_argmax(classify(m, tape, b), -1, false));
    if (!c) app_fail("%s", error.text);
    if (predicted && wg_confusion_add(c, predicted, b->field[3].data, b->n, &error) != WG_OK)
        app_fail("%s", error.text);
    app_end_step(tape);
    return c;
}

static void print_scores(const wg_confusion *c, const char *const *names)
{
    printf("%-12s precision  recall  support  taken for\n", "species");
    for (int64_t k = 0; k < wg_confusion_classes(c); k++) {
        const wg_scores s = wg_confusion_scores(c, k);
        char name[64];
        printf("%-12s %9.3f %7.3f %8llu ", wg_printable(names[k], name, sizeof name), s.precision, s.recall,
               (unsigned long long)s.support);
        for (int64_t i = 0; i < wg_confusion_classes(c); i++)
            printf(" %llu", (unsigned long long)wg_confusion_count(c, k, i));
        putchar('\n');
    }
}

/* ---- training ---- */

typedef struct settings {
    const char *csv, *out, *export;
    int64_t hidden, batch, steps, seed, threads;
    double lr;
    bool tiny;
} settings;

static double train_step(const model *m, wg_tape *tape, const wg_batch *b, wg_optimizer *adam)
{
    const wg_tensor loss = wg_keep(wg_cross_entropy(classify(m, tape, b), wg_batch_tensor(b, tape, 3)));
    wg_zero_grad(m->params);
    if (wg_backward(loss) == WG_OK && wg_optimizer_step(adam) != WG_OK) app_fail("%s", wg_optimizer_message(adam));
    const double value = wg_item(loss);
    app_end_step(tape);
    return value;
}

/* Trains; with --out the model then has the weights of the best validation. */
static void train(const model *m, wg_tape *tape, table *t, wg_feed *validation, const settings *s)
{
    enum { VALIDATE_EVERY = 100 };
    wg_error error = {0};
    wg_feed *training = feed_new(t, make_training, s->batch, s->seed);
    wg_optimizer *adam = wg_adam_new(m->params, wg_adam_defaults());
    wg_optimizer_set_lr(adam, s->lr);
    wg_checkpoint checkpoint = {.params = m->params, .seed = (uint64_t)s->seed};
    wg_early_stop best = wg_early_stop_defaults();
    best.higher = true;
    best.path = s->out;
    for (int64_t step = 1; step <= s->steps; step++) {
        const double loss = train_step(m, tape, next_batch(training, (uint64_t)step - 1), adam);
        if (step % VALIDATE_EVERY != 0 && step < s->steps) continue;
        wg_confusion *c = validate(m, tape, validation, t->species->n);
        const double accuracy = wg_confusion_accuracy(c);
        checkpoint.step = (uint64_t)step;
        if (wg_early_stop_update(&best, accuracy, &checkpoint, &error) != WG_OK) app_fail("%s", error.text);
        printf("step %lld  loss %.4f  accuracy %.3f\n", (long long)step, loss, accuracy);
        wg_confusion_free(c);
    }
    if (s->out && wg_early_stop_restore(&best, &checkpoint, &error) != WG_OK) app_fail("%s", error.text);
    wg_optimizer_free(adam);
    wg_feed_free(training);
}

int main(int argc, char **argv)
{
    settings s = {.csv = EXAMPLES_DATA "/penguins.csv",
                  .hidden = 16,
                  .batch = 32,
                  .steps = 400,
                  .seed = 1,
                  .threads = 1,
                  .lr = 0.01};
    app_option options[] = {{APP_TEXT, "csv", &s.csv, "FILE", "penguins; default: those of examples/data"},
                            {APP_INT, "hidden", &s.hidden, "N", "units of the hidden layer", 1, 4096},
                            {APP_INT, "batch", &s.batch, "N", "penguins per step", 1, 1 << 16},
                            {APP_INT, "steps", &s.steps, "N", "steps of training", 1, 1e6},
                            {APP_REAL, "lr", &s.lr, "X", "Adam's learning rate", 0, 10},
                            {APP_TEXT, "out", &s.out, "FILE", "write the best model"},
                            APP_EXPORT(&s.export),
                            {APP_INT, "seed", &s.seed, "N", "of weights and order", 0, 9e18},
                            {APP_FLAG, "tiny", &s.tiny, NULL, "the same: it takes less than a second"},
                            APP_THREADS(&s.threads),
                            {APP_END}};
    app_name("penguins");
    app_parse(argc, argv, "penguins [options]",
              "Learns the species of penguins from a CSV file with numbers, categories and missing values.\n"
              "Expected: a validation accuracy of at least 0.97.",
              options);
    if (s.export) app_check_place(s.export);
    wg_pool *pool;
    wg_tape *tape = app_tape_new(s.threads, s.seed, NULL, &pool);
    table t = table_read(s.csv);
    model m = model_new(&t, s.hidden, s.seed);
    wg_feed *validation = feed_new(&t, make_validation, 0, 0);
    train(&m, tape, &t, validation, &s);
    wg_confusion *c = validate(&m, tape, validation, t.species->n);
    print_scores(c, t.species->names);
    if (s.export) export_model(&m, s.export, tape);
    app_result("accuracy: %.3f, macro F1: %.3f, parameters: %lld", wg_confusion_accuracy(c),
               wg_confusion_macro(c).f1, (long long)wg_params_trainable(m.params));
    wg_confusion_free(c);
    wg_feed_free(validation);
    wg_params_free(m.params);
    wg_csv_close(t.csv);
    free(t.x);
    wg_tape_free(tape);
    wg_pool_free(pool);
    return app_end();
}
