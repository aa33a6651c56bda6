/* Gradients that vanish, explode, or reach early steps.
 *
 * * gradient_flow --svg flow.svg
 *
 * * Part one measures untrained nets on a sequence of small random inputs with a loss at the last step: the norm of its
 * gradient by the state of each earlier step. An Elman net multiplies the gradient by diag(tanh') W_hh at every step
 * (Hochreiter 1991; Bengio et al. 1994; Pascanu et al. 2013): if all singular values of W_hh are 0.9 it vanishes, at 1
 * it lasts, at 1.1 it explodes. A GRU and an LSTM with open gates pass it on (for the LSTM, the state is c). The last
 * net is Elman's at 0.9 with attention over all of its states: a shortcut of one step.
 *
 * * Part two trains: the first input of a sequence is one of four signs, the rest is noise; which sign was it? Elman
 * nets of one and three layers against a GRU and an LSTM whose gates are open at first, with equal numbers of steps,
 * from three seeds.
 *
 * * Expected (default settings, seeds 0 to 4; a minute on one thread): growth per step 0.90, 1.00, 1.10 for the Elman
 * nets within 0.01, GRU and LSTM above 0.97; with attention the gradient by the first state is more than 500 times that
 * without. After training, the accuracy of GRU and LSTM is above 0.98, that of the Elman nets below 0.7 (chance 0.25).
 * */
#include "app.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_STEPS = 400, NETS = 6 };

typedef struct settings {
    int64_t length, hidden, batch, steps, runs, seed, threads;
    double lr;
    const char *svg;
    bool tiny;
} settings;

/* ---- part one: measure ---- */

typedef struct subject {
    const char *name, *key, *colour;
    wg_cell cell;
    double radius; /* Elman: of W_hh, which is orthogonal */
    bool attention;
} subject;

static const subject subjects[NETS] = {
    {"Elman, radius 0.9", "elman_0.9", "#2a6fbb", WG_RNN_TANH, 0.9, false},
    {"Elman, radius 1", "elman_1", "#3a9d5d", WG_RNN_TANH, 1, false},
    {"Elman, radius 1.1", "elman_1.1", "#c0392b", WG_RNN_TANH, 1.1, false},
    {"GRU", "gru", "#8e5bb5", WG_GRU, 0, false},
    {"LSTM", "lstm", "#d1822b", WG_LSTM, 0, false},
    {"Elman, radius 0.9, attention", "attention", "#555555", WG_RNN_TANH, 0.9, true}};

/* Adds to the biases of the gates that keep the old state (f of an LSTM, z of a GRU), and subtracts from those of i.
 * With log T a state lasts about T steps (chrono initialisation; Tallec, Ollivier 2018). */
static void hold(const wg_rnn *rnn, double bias)
{
    const int64_t H = rnn->hidden;
    float *b = wg_param_write_begin(rnn->cell[0].bias_ih);
    for (int64_t i = H; i < 2 * H; i++) b[i] += (float)bias;
    for (int64_t i = 0; i < H && rnn->options.cell == WG_LSTM; i++) b[i] -= (float)bias;
    wg_param_write_end(rnn->cell[0].bias_ih);
}

static wg_rnn make_rnn(wg_params *set, const subject *s, const settings *o)
{
    wg_rnn rnn;
    wg_rnn_options options = wg_rnn_defaults();
    wg_init orthogonal = wg_init_orthogonal(s->radius), zeros = wg_init_zeros();
    options.cell = s->cell;
    options.b_init = &zeros;
    if (s->cell == WG_RNN_TANH) options.hh_init = &orthogonal;
    wg_rnn_init(&rnn, set, "rnn", 4, o->hidden, options);
    if (wg_params_status(set) != WG_OK) app_fail("%s", wg_params_message(set));
    if (s->cell != WG_RNN_TANH) hold(&rnn, 4); /* sigmoid(4) = 0.98 */
    return rnn;
}

/* Dot-product attention of the last state to all states: [B, H]. */
static wg_tensor attend(const wg_tensor *h, int T)
{
    wg_tensor all = wg_stack(h, T, 1), query = wg_unsqueeze(h[T - 1], 1); /* [B, T, H], [B, 1, H] */
    wg_tensor scores = wg_matmul(query, wg_transpose(all, 1, 2));
    return wg_squeeze(wg_matmul(wg_softmax(scores, -1), all), 1);
}

/* norm[lag]: the norm of the gradient of a loss at the last step by the state `lag` steps earlier. */
static void measure(const subject *s, const settings *o, wg_tape *tape, double *norm)
{
    const int T = (int)o->length;
    wg_tensor state[MOST_STEPS], h[MOST_STEPS];
    wg_params *set = wg_params_new_with(WG_F32, (wg_allocator){0}, (uint64_t)o->seed);
    if (!set) app_fail("out of memory");
    wg_rnn rnn = make_rnn(set, s, o);
    wg_rnn_state now = wg_rnn_zero_state(&rnn, tape, o->batch);
    wg_set_step(tape, 0); /* the same input for every net */
    for (int t = 0; t < T; t++) {
        wg_tensor x = wg_normal(tape, WG_F32, WG_DIMS(o->batch, 4), 0, 1e-4);
        h[t] = wg_rnn_step(&rnn, x, &now);
        state[t] = s->cell == WG_LSTM ? now.c[0] : h[t];
    }
    wg_tensor read = s->attention ? wg_add(h[T - 1], attend(h, T)) : h[T - 1];
    wg_tensor loss = wg_sum_all(wg_mul(read, wg_normal(tape, WG_F32, wg_shape_get(read), 0, 1)));
    const float *norms = wg_value(wg_gradient_flow(loss, state, T));
    for (int t = 0; norms && t < T; t++) norm[T - 1 - t] = norms[t];
    app_end_step(tape);
    wg_params_free(set);
}

/* The growth of the gradient per step, a mean over the middle half of the lags. */
static double growth(const double *norm, int T)
{
    int from = T / 4, to = from + T / 2;
    return pow(norm[to] / norm[from], 1.0 / (to - from));
}

static void print_norms(double norm[NETS][MOST_STEPS], int T)
{
    printf("length of the gradient by the state so many steps before the loss\n%6s", "lag");
    for (int i = 0; i < NETS; i++) printf("  %10s", subjects[i].key);
    const int step = T < 20 ? 1 : T / 10;
    for (int lag = 0; lag < T; lag = lag + 1 == T ? T : lag + step + 1 < T ? lag + step : T - 1) {
        printf("\n%6d", lag);
        for (int i = 0; i < NETS; i++) printf("  %10.3g", norm[i][lag]);
    }
    printf("\n%6s", "growth");
    for (int i = 0; i < NETS; i++) printf("  %10.4f", growth(norm[i], T));
    printf("\n\n");
}

/* ---- the picture: x is the lag, y the logarithm of the norm ---- */

enum { WIDTH = 720, HEIGHT = 420, LEFT = 64, RIGHT = 20, TOP = 40, BOTTOM = 46 };

static void draw(FILE *out, double norm[NETS][MOST_STEPS], int T)
{
    double low = INFINITY, high = -INFINITY;
    for (int i = 0; i < NETS; i++)
        for (int lag = 0; lag < T; lag++)
            if (norm[i][lag] > 0) low = fmin(low, log10(norm[i][lag])), high = fmax(high, log10(norm[i][lag]));
    low = floor(fmin(fmax(low, -30), 29)); /* also if all norms vanish or overflow */
    high = ceil(fmin(fmax(high, low + 1), 30));
    const int lines = (int)(high - low), apart = (lines + 7) / 8;
    const double across = (WIDTH - LEFT - RIGHT) / (double)(T - 1), up = (HEIGHT - TOP - BOTTOM) / (high - low);
    fprintf(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" "
        "font-family=\"sans-serif\" font-size=\"12\" fill=\"#444\">\n<rect width=\"100%%\" height=\"100%%\" "
        "fill=\"#fff\"/>\n<text x=\"%d\" y=\"24\" font-size=\"14\">length of the gradient by the state, against "
        "the lag</text>\n",
        WIDTH, HEIGHT, WIDTH, HEIGHT, LEFT);
    for (int line = 0; line <= lines; line += apart) {
        const double power = low + line, y = HEIGHT - BOTTOM - (power - low) * up;
        fprintf(out,
                "<path d=\"M%d %.1fH%d\" stroke=\"#e4e4e4\"/><text x=\"%d\" y=\"%.1f\" "
                "text-anchor=\"end\">1e%g</text>\n",
                LEFT, y, WIDTH - RIGHT, LEFT - 8, y + 4, power);
    }
    for (int lag = 0; lag<T; lag += T> 10 ? T / 10 : 1)
        fprintf(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%d</text>\n", LEFT + lag * across,
                HEIGHT - BOTTOM + 18, lag);
    fprintf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">lag</text>\n", WIDTH - RIGHT, HEIGHT - 10);
    for (int i = 0; i < NETS; i++) {
        fprintf(out, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\" points=\"", subjects[i].colour);
        for (int lag = 0; lag < T; lag++)
            fprintf(out, "%.1f,%.1f ", LEFT + lag * across,
                    HEIGHT - BOTTOM - (fmin(fmax(log10(norm[i][lag]), low), high) - low) * up);
        fprintf(out, "\"/>\n<text x=\"%d\" y=\"%d\" fill=\"%s\">%s</text>\n", LEFT + 10,
                HEIGHT - BOTTOM - 10 - 15 * (NETS - 1 - i), subjects[i].colour, subjects[i].name);
    }
    fprintf(out, "</svg>\n");
}

static void write_picture(const char *path, double norm[NETS][MOST_STEPS], int T)
{
    char *bytes = NULL;
    size_t size = 0;
    wg_error error = {0};
    FILE *out = open_memstream(&bytes, &size);
    if (!out) app_fail("out of memory");
    draw(out, norm, T);
    if (fclose(out) != 0) app_fail("out of memory");
    if (wg_file_write(path, bytes, size, &error) != WG_OK) app_fail("%s", error.text);
    free(bytes);
}

/* ---- part two: train ---- */

typedef struct pupil {
    const char *name, *key;
    wg_cell cell;
    int layers;
} pupil;

static const pupil pupils[] = {{"Elman, 1 layer", "elman", WG_RNN_TANH, 1},
                               {"Elman, 3 layers", "elman_3", WG_RNN_TANH, 3},
                               {"GRU, 1 layer", "gru", WG_GRU, 1},
                               {"LSTM, 1 layer", "lstm", WG_LSTM, 1}};
enum { PUPILS = sizeof pupils / sizeof *pupils };

typedef struct learner {
    const settings *o;
    wg_rnn rnn;
    wg_linear_layer head;
} learner;

/* The logits of the first sign after T steps of noise; *sign: the right ones, i32 [B]. */
static wg_tensor recall(const learner *l, wg_tape *tape, wg_tensor *sign)
{
    const settings *o = l->o;
    wg_tensor u = wg_uniform(tape, WG_F32, WG_DIMS(o->batch), 0, 4), h = WG_NONE;
    *sign = wg_cast(wg_minimum_scalar(u, 3), WG_I32);
    wg_rnn_state state = wg_rnn_zero_state(&l->rnn, tape, o->batch);
    for (int64_t t = 0; t < o->length; t++) {
        wg_tensor noise = wg_normal(tape, WG_F32, WG_DIMS(o->batch, 4), 0, 0.2);
        h = wg_rnn_step(&l->rnn, t == 0 ? wg_one_hot(*sign, 4, WG_F32) : noise, &state);
    }
    return wg_linear_apply(&l->head, h);
}

static wg_tensor loss_of(void *context, const wg_fit_batch *batch)
{
    wg_tensor sign, logits = recall(context, batch->tape, &sign);
    return wg_cross_entropy(logits, sign);
}

/* On as many new batches as a tenth of the steps. */
static double accuracy_of(void *context, wg_tape *tape)
{
    const learner *l = context;
    const int64_t batches = l->o->steps / 10 + 1;
    double right = 0;
    for (int64_t i = 0; i < batches; i++) {
        wg_set_step(tape, (uint64_t)(l->o->steps + i));
        wg_no_grad_begin(tape);
        wg_tensor sign, logits = recall(l, tape, &sign);
        right += wg_item(wg_mean_all(wg_cast(wg_equal(wg_argmax(logits, -1, false), sign), WG_F32)));
        wg_no_grad_end(tape);
        app_end_step(tape);
    }
    return right / (double)batches;
}

/* Returns the accuracy after the training. */
static double train(const pupil *p, const settings *o, int64_t seed, wg_tape *tape, int64_t *params)
{
    wg_set_seed(tape, (uint64_t)seed);
    wg_params *set = wg_params_new_with(WG_F32, (wg_allocator){0}, (uint64_t)seed);
    learner l = {.o = o};
    wg_rnn_options options = wg_rnn_defaults();
    options.cell = p->cell;
    options.layers = p->layers;
    wg_rnn_init(&l.rnn, set, "rnn", 4, o->hidden, options);
    if (p->cell == WG_LSTM || p->cell == WG_GRU) hold(&l.rnn, log((double)o->length));
    wg_linear_init(&l.head, set, "head", o->hidden, 4, wg_linear_defaults());
    wg_adam_options adam = wg_adam_defaults();
    adam.lr = o->lr;
    wg_fit_options fit = wg_fit_defaults();
    fit.params = set;
    fit.optimizer = wg_adam_new(set, adam);
    fit.loss = loss_of, fit.validate = accuracy_of, fit.context = &l;
    fit.steps = fit.validate_every = o->steps;
    fit.clip = 1;
    *params = wg_params_trainable(set);
    wg_fit_result end =
        app_fit(fit, tape, (wg_progress){.unit = "sequences", .units = (double)o->batch, .label = p->name});
    wg_optimizer_free(fit.optimizer);
    wg_params_free(set);
    return end.validation;
}

/* ---- the program ---- */

/* Trains each net with several seeds; accuracy[PUPILS] is the mean over them. */
static void train_all(const settings *o, wg_tape *tape, double *accuracy)
{
    if (o->steps > 0)
        printf("%-16s %10s  %s %lld steps of training, mean and range of %lld seeds\n", "net", "parameters",
               "accuracy after", (long long)o->steps, (long long)o->runs);
    for (int i = 0; i < PUPILS && o->steps > 0; i++) {
        double low = 1, high = 0;
        int64_t params = 0;
        for (int64_t k = 0; k < o->runs; k++) {
            double a = train(&pupils[i], o, o->seed + k, tape, &params);
            low = fmin(low, a);
            high = fmax(high, a);
            accuracy[i] += a / (double)o->runs;
        }
        printf("%-16s %10lld  %.3f (%.3f to %.3f)\n", pupils[i].name, (long long)params, accuracy[i], low, high);
    }
}

int main(int argc, char **argv)
{
    settings o = {.length = 100, .hidden = 32, .batch = 32, .steps = 1000, .runs = 3, .threads = 1, .lr = 3e-3};
    app_option options[] = {{APP_INT, "length", &o.length, "N", "steps of a sequence", 8, MOST_STEPS},
                            {APP_INT, "hidden", &o.hidden, "N", "units", 1, 4096},
                            {APP_INT, "batch", &o.batch, "N", "sequences", 1, 4096},
                            {APP_INT, "steps", &o.steps, "N", "steps of training; 0: measure only", 0, 1e6},
                            {APP_INT, "runs", &o.runs, "N", "trainings of each net, with consecutive seeds", 1, 99},
                            {APP_REAL, "lr", &o.lr, "X", "Adam's learning rate", 0, 10},
                            {APP_TEXT, "svg", &o.svg, "FILE", "write a picture of the lengths"},
                            {APP_FLAG, "tiny", &o.tiny, NULL, "sequences of 40, 8 units, 100 steps, 1 run"},
                            {APP_INT, "seed", &o.seed, "N", "of weights and sequences", 0, 9e18},
                            APP_THREADS(&o.threads),
                            {APP_END}};
    static double norm[NETS][MOST_STEPS];
    app_name("gradient_flow");
    app_parse(
        argc, argv, "gradient_flow [options]",
        "Measures how gradients vanish, explode or last, and trains nets to remember.\n"
        "Expected: growth per step 0.9, 1.0, 1.1 for Elman's nets, above 0.97 for GRU and LSTM; these two are\n"
        "right above 0.98 after training, Elman's nets below 0.7.",
        options);
    if (o.tiny) app_preset(options, "length=40 hidden=8 steps=100 runs=1");
    wg_signal_catch();
    wg_pool *pool;
    wg_tape *tape = app_tape_new(o.threads, o.seed, NULL, &pool);

    const int T = (int)o.length;
    for (int i = 0; i < NETS; i++) measure(&subjects[i], &o, tape, norm[i]);
    if (o.svg) write_picture(o.svg, norm, T);
    print_norms(norm, T);

    double accuracy[PUPILS] = {0};
    train_all(&o, tape, accuracy);
    for (int i = 0; i < NETS; i++) app_result("growth %s: %.4f", subjects[i].key, growth(norm[i], T));
    app_result("gain by attention: %.3g", norm[NETS - 1][T - 1] / norm[0][T - 1]);
    for (int i = 0; i < PUPILS && o.steps > 0; i++) app_result("accuracy %s: %.3f", pupils[i].key, accuracy[i]);
    wg_tape_free(tape);
    wg_pool_free(pool);
    return app_end();
}
