/* The price of a house, by regression: a feed-forward net on a few features.
 *
 *     house_price
 *     house_price --csv houses.csv --out model.safetensors
 *
 * Features: bedrooms, area and the neighbourhood's wealth as numbers, standardised by the training data; the zip code
 * as a category with an embedding (one for all rare ones). Two hidden layers; mean squared error; Adam; early stopping
 * by the validation error. The result has the averaged weights (with --out: the best ones). Without --csv, houses are
 * generated: price = place(zip) area (0.6 + 0.4 wealth), with a bonus for up to four bedrooms, and 5 % noise.
 *
 * The first line of a CSV file names the columns bedrooms, area, zip, wealth, price (in any order, among others).
 *
 * Expected (default settings, any seed): a root mean squared error of at most 0.2 of that of the mean price; the noise
 * alone gives about 0.08. */
#include "app.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBERS = 3, RARE = 3, SHIFT = 4 };

typedef struct house {
    double number[NUMBERS]; /* bedrooms, area, wealth */
    double price;
    char zip[16];
    int32_t place; /* number of the zip code; 0: rare, or not in the training data */
} house;

typedef struct houses {
    house *house;
    int64_t n, room, n_train; /* the first n_train are training data */
    int64_t n_places;
} houses;

/* ---- data ---- */

static house *add_house(houses *h)
{
    if (h->n == h->room) {
        h->room = h->room ? 2 * h->room : 256;
        h->house = realloc(h->house, (size_t)h->room * sizeof *h->house);
        if (!h->house) app_fail("out of memory");
    }
    house *new = &h->house[h->n++];
    *new = (house){.place = 0};
    return new;
}

static double clamp(double x, double low, double high) { return fmin(fmax(x, low), high); }

static void make_up(houses *h, int64_t n, wg_tape *tape)
{
    enum { PLACES = 12 };
    wg_tensor u = wg_keep(wg_uniform(tape, WG_F64, WG_DIMS(n, 2), 0, 1));
    const double *place = wg_value(wg_uniform(tape, WG_F64, WG_DIMS(PLACES), 0.5, 2));
    const double *g = wg_value(wg_normal(tape, WG_F64, WG_DIMS(n, 3), 0, 1)), *v = wg_value(u);
    if (!place || !g || !v) app_fail("%s", wg_tape_message(tape));
    for (int64_t i = 0; i < n; i++) {
        house *one = add_house(h);
        int where = (int)(v[2 * i] * PLACES), bedrooms = 1 + (int)(v[2 * i + 1] * 6);
        double area = 25 + 22 * bedrooms * exp(0.25 * g[3 * i]);
        double wealth = clamp(place[where] / 2 + 0.2 * g[3 * i + 1], 0.1, 1.5);
        one->number[0] = bedrooms;
        one->number[1] = area;
        one->number[2] = wealth;
        snprintf(one->zip, sizeof one->zip, "%05d", 10000 + 37 * where);
        one->price = 3000 * place[where] * area * (0.6 + 0.4 * wealth) * (1 + 0.1 * fmin(bedrooms, 4)) *
                     exp(0.05 * g[3 * i + 2]);
    }
    app_end_step(tape);
}

static void read_csv(houses *h, const char *path)
{
    wg_error error = {0};
    wg_csv_options options = wg_csv_defaults();
    options.trim = true;
    wg_csv *csv = wg_csv_open(path, options, &error);
    const float *number = wg_csv_numbers(csv, "bedrooms,area,wealth,price", &error); /* [n, SHIFT] */
    const wg_categories *zip = wg_csv_categories(csv, "zip", NULL, &error);
    if (error.status != WG_OK) app_fail("%s", error.text);
    if (wg_csv_rows(csv) < 20) app_fail("%s: %lld houses: at least 20", path, (long long)wg_csv_rows(csv));
    for (int64_t i = 0; i < wg_csv_rows(csv); i++, number += SHIFT) {
        house *one = add_house(h);
        for (int c = 0; c < NUMBERS; c++) one->number[c] = number[c];
        one->price = number[NUMBERS];
        const char *name = zip->names[zip->index[i]];
        if (strlen(name) >= sizeof one->zip) app_fail("%s: '%.40s' is too long for a zip code", path, name);
        strcpy(one->zip, name);
    }
    wg_csv_close(csv);
}

static int compare_zips(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* Shuffles, holds out a fifth for validation, and numbers the zip codes that occur at least RARE times in the rest. */
static void prepare(houses *h, uint64_t seed)
{
    int64_t *order = app_shuffled(h->n, seed);
    house *shuffled = app_room(h->n, sizeof *shuffled);
    const char **zips = app_room(h->n, sizeof *zips);
    for (int64_t i = 0; i < h->n; i++) shuffled[i] = h->house[order[i]];
    free(order);
    free(h->house);
    h->house = shuffled;
    h->n_train = h->n - h->n / 5;
    for (int64_t i = 0; i < h->n_train; i++) zips[i] = h->house[i].zip;
    qsort(zips, (size_t)h->n_train, sizeof *zips, compare_zips);
    int64_t kept = 0;
    for (int64_t i = 0, n; i < h->n_train; i += n) {
        for (n = 1; i + n < h->n_train && strcmp(zips[i], zips[i + n]) == 0;) n++;
        if (n >= RARE) zips[kept++] = zips[i];
    }
    for (int64_t i = 0; i < h->n; i++) {
        const char *zip = h->house[i].zip;
        const char **found = kept ? bsearch(&zip, zips, (size_t)kept, sizeof *zips, compare_zips) : NULL;
        h->house[i].place = found ? (int32_t)(found - zips) + 1 : 0;
    }
    h->n_places = kept + 1;
    free(zips);
}

/* ---- the model ---- */

typedef struct model {
    wg_params *params;
    wg_buffer *mean,
        *deviation; /* [SHIFT] of the numbers and the price, over the training data; saved with the model */
    wg_embedding_layer place;
    wg_linear_layer layer[3];
} model;

static void measure(wg_buffer *mean, wg_buffer *deviation, const houses *h)
{
    float *m = wg_param_write_begin(mean), *d = wg_param_write_begin(deviation);
    for (int c = 0; c < SHIFT; c++) {
        double sum = 0, square = 0, n = (double)h->n_train;
        for (int64_t i = 0; i < h->n_train; i++) sum += c < NUMBERS ? h->house[i].number[c] : h->house[i].price;
        for (int64_t i = 0; i < h->n_train; i++)
            square += pow((c < NUMBERS ? h->house[i].number[c] : h->house[i].price) - sum / n, 2);
        m[c] = (float)(sum / n);
        d[c] = square > 0 ? (float)sqrt(square / n) : 1;
    }
    wg_param_write_end(mean);
    wg_param_write_end(deviation);
}

static model model_new(const houses *h, int64_t hidden, int64_t seed)
{
    enum { PLACE_SIZE = 4 };
    const int64_t size[4] = {NUMBERS + PLACE_SIZE, hidden, hidden, 1};
    model m = {.params = wg_params_new_with(WG_F32, (wg_allocator){0}, (uint64_t)seed)};
    wg_embedding_init(&m.place, m.params, "place", h->n_places, PLACE_SIZE, -1);
    for (int i = 0; i < 3; i++) {
        char name[16];
        snprintf(name, sizeof name, "layer%d", i);
        wg_linear_init(&m.layer[i], m.params, name, size[i], size[i + 1], wg_linear_defaults());
    }
    m.mean = wg_buffer_new(m.params, "mean", WG_DIMS(SHIFT), wg_init_zeros());
    m.deviation = wg_buffer_new(m.params, "deviation", WG_DIMS(SHIFT), wg_init_zeros());
    if (wg_params_status(m.params) != WG_OK) app_fail("%s", wg_params_message(m.params));
    measure(m.mean, m.deviation, h);
    return m;
}

/* Standardised prices [n, 1], from standardised numbers [n, 3] and places i32 [n]. */
static wg_tensor price_of(const model *m, wg_tensor numbers, wg_tensor place)
{
    wg_tensor x = wg_concat((wg_tensor[]){numbers, wg_embedding_apply(&m->place, place)}, 2, 1);
    for (int i = 0; i < 2; i++) x = wg_relu(wg_linear_apply(&m->layer[i], x));
    return wg_linear_apply(&m->layer[2], x);
}

/* Standardised prices [n, 1]: predicted and true ones. */
static wg_tensor predict(const model *m, wg_tape *tape, const houses *h, const int64_t *which, int64_t n,
                         wg_tensor *truth)
{
    float *rows = app_room(n * SHIFT, sizeof *rows);
    int32_t *places = app_room(n, sizeof *places);
    for (int64_t i = 0; i < n; i++) {
        const house *one = &h->house[which ? which[i] : h->n_train + i];
        for (int c = 0; c < NUMBERS; c++) rows[i * SHIFT + c] = (float)one->number[c];
        rows[i * SHIFT + NUMBERS] = (float)one->price;
        places[i] = one->place;
    }
    wg_tensor all = wg_div(wg_sub(wg_data(tape, WG_F32, WG_DIMS(n, SHIFT), rows), wg_use(tape, m->mean)),
                           wg_use(tape, m->deviation));
    wg_tensor place = wg_data(tape, WG_I32, WG_DIMS(n), places);
    free(rows);
    free(places);
    *truth = wg_slice(all, 1, NUMBERS, SHIFT);
    return price_of(m, wg_slice(all, 1, 0, NUMBERS), place);
}

/* ---- export ---- */

/* From numbers as they are to prices. */
static void record_model(void *context, wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    const model *m = context;
    const wg_tensor mean = wg_use(tape, m->mean), deviation = wg_use(tape, m->deviation);
    x[0] = app_export_floats(tape, WG_DIMS(batch, NUMBERS));
    x[1] = app_export_tokens(tape, WG_DIMS(batch), &m->place);
    const wg_tensor centred = wg_sub(x[0], wg_slice(mean, 0, 0, NUMBERS));
    const wg_tensor price = price_of(m, wg_div(centred, wg_slice(deviation, 0, 0, NUMBERS)), x[1]);
    y[0] = wg_add(wg_mul(price, wg_slice(deviation, 0, NUMBERS, SHIFT)), wg_slice(mean, 0, NUMBERS, SHIFT));
}

static void export_model(model *m, const char *path, wg_tape *tape)
{
    static const char *const in[] = {"bedrooms_area_wealth", "place"}, *const out[] = {"price"};
    const app_model program = {in, out, 2, 1, record_model, m};
    app_export(path, tape, &program);
}

/* ---- validation ---- */

/* Root mean squared errors on held-out houses, in units of the price: of the model, and of the mean price. */
static double validate(const model *m, wg_tape *tape, const houses *h, double *of_mean)
{
    wg_tensor truth, price = predict(m, tape, h, NULL, h->n - h->n_train, &truth);
    wg_tensor error[2] = {wg_mse(price, truth, WG_MEAN), wg_mean_all(wg_square(truth))};
    wg_eval(error, 2);
    double unit = ((const float *)wg_param_value(m->deviation))[NUMBERS], rmse = unit * sqrt(wg_item(error[0]));
    *of_mean = unit * sqrt(wg_item(error[1]));
    app_end_step(tape);
    return rmse;
}

typedef struct settings {
    int64_t houses, hidden, batch, steps, patience, seed, threads;
    double lr;
    const char *csv, *out, *export;
    bool tiny;
} settings;

static void print_some(const model *m, wg_tape *tape, const houses *h)
{
    wg_tensor truth, price = predict(m, tape, h, NULL, 5 < h->n - h->n_train ? 5 : h->n - h->n_train, &truth);
    const float *p = wg_value(price), *mean = wg_param_value(m->mean), *d = wg_param_value(m->deviation);
    printf("bedrooms    area  wealth  zip         price   predicted\n");
    for (int64_t i = 0; p && i < wg_numel(price); i++) {
        const house *one = &h->house[h->n_train + i];
        char zip[64];
        printf("%8g  %6.0f  %6.2f  %-9s %7.0f  %10.0f\n", one->number[0], one->number[1], one->number[2],
               wg_printable(one->zip, zip, sizeof zip), one->price, p[i] * d[NUMBERS] + mean[NUMBERS]);
    }
    app_end_step(tape);
}

/* ---- training ---- */

typedef struct learner {
    const model *m;
    const houses *h;
    wg_average *average;
} learner;

static wg_tensor loss_of(void *context, const wg_fit_batch *batch)
{
    const learner *l = context;
    wg_tensor truth, price = predict(l->m, batch->tape, l->h, batch->sample, batch->n, &truth);
    return wg_mse(price, truth, WG_MEAN);
}

static double error_of(void *context, wg_tape *tape)
{
    const learner *l = context;
    double of_mean;
    return validate(l->m, tape, l->h, &of_mean);
}

/* The averaged weights are validated, and saved if they are the best. */
static void average(void *context, wg_fit_event event, const wg_fit_result *now)
{
    const learner *l = context;
    (void)now;
    if (event == WG_FIT_STEP) wg_average_update(l->average);
    if (event == WG_FIT_VALIDATE || event == WG_FIT_VALIDATED) wg_average_swap(l->average);
}

/* Trains until the validation error stops falling. The model then has the averaged weights, or the best ones if they
 * were saved. Returns the number of steps. */
static uint64_t learn(model *m, wg_tape *tape, const houses *h, const settings *s)
{
    wg_adam_options adam = wg_adam_defaults();
    adam.lr = s->lr;
    learner l = {m, h, wg_average_new(m->params, 0.99)};
    wg_fit_options fit = wg_fit_defaults();
    fit.params = m->params;
    fit.optimizer = wg_adam_new(m->params, adam);
    fit.loss = loss_of, fit.validate = error_of, fit.context = &l;
    fit.samples = h->n_train, fit.batch = s->batch;
    fit.steps = s->steps, fit.validate_every = 100, fit.patience = s->patience;
    fit.seed = (uint64_t)s->seed;
    fit.best_path = s->out;
    fit.watch = average, fit.watched = &l;
    if (s->out) app_check_place(s->out);
    wg_fit_result end = app_fit(fit, tape, (wg_progress){.unit = "houses", .units = (double)s->batch});
    if (!s->out) wg_average_swap(l.average);
    wg_average_free(l.average);
    wg_optimizer_free(fit.optimizer);
    return end.step;
}

int main(int argc, char **argv)
{
    settings s = {
        .houses = 4000, .hidden = 32, .batch = 64, .steps = 10000, .patience = 10, .threads = 1, .lr = 3e-3};
    app_option options[] = {
        {APP_TEXT, "csv", &s.csv, "FILE", "houses, instead of generated ones"},
        {APP_INT, "houses", &s.houses, "N", "houses to generate", 20, 1e6},
        {APP_INT, "hidden", &s.hidden, "N", "units of a hidden layer", 1, 4096},
        {APP_INT, "batch", &s.batch, "N", "houses per step", 1, 1 << 16},
        {APP_INT, "steps", &s.steps, "N", "most steps of training", 1, 1e9},
        {APP_INT, "patience", &s.patience, "N", "stop after N hundred steps without an improvement", 1, 1e6},
        {APP_REAL, "lr", &s.lr, "X", "Adam's learning rate", 0, 10},
        {APP_TEXT, "out", &s.out, "FILE", "write the best model"},
        APP_EXPORT(&s.export),
        {APP_FLAG, "tiny", &s.tiny, NULL, "1000 houses, 8 units, 600 steps"},
        {APP_INT, "seed", &s.seed, "N", "of weights, order and generated houses", 0, 9e18},
        APP_THREADS(&s.threads),
        {APP_END}};
    app_name("house_price");
    app_parse(argc, argv, "house_price [options]",
              "Learns to say the price of a house from bedrooms, area, zip code and wealth.\n"
              "Expected: an error (RMSE) of at most 0.2 of that of the mean price.",
              options);
    if (s.tiny) app_preset(options, "houses=1000 hidden=8 steps=600");
    if (s.export) app_check_place(s.export);
    wg_pool *pool;
    wg_tape *tape = app_tape_new(s.threads, s.seed, NULL, &pool);
    wg_signal_catch();

    houses h = {.n = 0};
    if (s.csv)
        read_csv(&h, s.csv);
    else
        make_up(&h, s.houses, tape);
    prepare(&h, (uint64_t)s.seed);
    model m = model_new(&h, s.hidden, s.seed);
    double before, of_mean;
    uint64_t steps = learn(&m, tape, &h, &s);
    before = validate(&m, tape, &h, &of_mean);
    printf("%lld houses to train on, %lld to validate, %lld zip codes, %lld parameters\n", (long long)h.n_train,
           (long long)(h.n - h.n_train), (long long)h.n_places - 1, (long long)wg_params_trainable(m.params));
    print_some(&m, tape, &h);
    if (s.export) export_model(&m, s.export, tape);
    app_result("RMSE: %.0f, RMSE of the mean: %.0f, ratio: %.3f, R squared: %.4f, steps: %llu", before, of_mean,
               before / of_mean, 1 - pow(before / of_mean, 2), (unsigned long long)steps);
    free(h.house);
    wg_params_free(m.params);
    wg_tape_free(tape);
    wg_pool_free(pool);
    return app_end();
}
