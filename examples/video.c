/* Motion in a video: a ConvNet encodes every frame, an LSTM the sequence (Donahue et al. 2015).
 *
 *     video --cell gru
 *
 * A clip shows a circle, square or triangle that moves left, right, up or down, grows or shrinks; the class is the
 * motion. A clip of a motion to the left is the reverse of one to the right: neither a single frame nor the set of
 * frames distinguishes the two. Three nets learn the same clips:
 *
 *     recurrent  h(t) = encode(x(t)),  z(t) = g(h(t), z(t-1)),  y = decode(z(T)):  encode is a ConvNet, z an LSTM's
 *                (h, c), decode a linear layer; trained through all of it
 *     average    the same encode and a linear layer; logits are averaged over the frames, without their order
 *     conv3d     filters over time as well as over the picture (Tran et al. 2015)
 *
 * Expected: an accuracy above 95 % on new clips with recurrent and conv3d; below 55 % with average (it can only tell
 * three axes of motion apart, so that at most half is right; chance is 17 %). */
#include "app.h"
#include "pictures.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 20, PIXELS = SIDE * SIDE, FRAMES = 8, MOTIONS = 6, FEATURES = 32 };

typedef struct settings {
    const char *cell, *model, *export;
    int64_t hidden, steps, batch, test, seed, threads;
    double lr;
    bool tiny;
} settings;

/* ---- clips ---- */

static const char *const motions[MOTIONS] = {"left", "right", "up", "down", "growing", "shrinking"};

typedef struct clips {
    int64_t n;
    float *pixels;   /* [FRAMES, n, 20, 20] */
    int32_t *motion; /* [n] */
} clips;

static clips clips_new(int64_t n)
{
    clips c = {n, app_room(FRAMES * n * PIXELS, sizeof *c.pixels), app_room(n, sizeof *c.motion)};
    return c;
}

static void clips_fini(clips *c)
{
    free(c->pixels);
    free(c->motion);
}

/* Clip number i. Motions 2 k and 2 k + 1 are the same path, in opposite directions. */
static void draw_clip(const clips *c, int64_t i, uint64_t *random)
{
    int motion = random_below(random, MOTIONS), kind = random_below(random, SHAPE_KINDS);
    double x = random_real(random, 7, 13), y = random_real(random, 7, 13), radius = random_real(random, 2.5, 5);
    double speed = random_real(random, 0.6, 1.2) * (motion % 2 ? 1 : -1), contrast = random_real(random, 0.6, 1);
    c->motion[i] = motion;
    for (int t = 0; t < FRAMES; t++) {
        float *frame = c->pixels + (t * c->n + i) * PIXELS;
        double way = speed * (t - (FRAMES - 1) / 2.0);
        for (int j = 0; j < PIXELS; j++) frame[j] = (float)fmax(0.1 * random_normal(random), 0);
        draw_shape(frame, SIDE, (shape_kind)kind, x + (motion < 2 ? way : 0), y + (motion / 2 == 1 ? way : 0),
                   radius + (motion >= 4 ? -0.5 * way : 0), contrast);
    }
}

static void draw_clips(const clips *c, uint64_t seed)
{
    for (int64_t i = 0; i < c->n; i++) draw_clip(c, i, &seed);
}

/* Frame t of all clips, [n, 1, 20, 20]. */
static wg_tensor frame_at(wg_tape *tape, const clips *c, int t)
{
    return wg_borrow(tape, WG_F32, WG_DIMS(c->n, 1, SIDE, SIDE), c->pixels + t * c->n * PIXELS);
}

/* ---- the nets ---- */

typedef struct network {
    wg_params *params;
    wg_conv_layer conv_1, conv_2;
    wg_linear_layer features;
    wg_rnn rnn;
    wg_linear_layer decoder;
} network;

/* A net computes the logits [n, 6] of clips, FRAMES times x[n, 1, 20, 20]. */
typedef wg_tensor (*predict_fn)(const network *net, const wg_tensor *x);

/* Features [n, 32] of frames x[n, 1, 20, 20] or, with 3 axes, of clips [n, 1, 8, 20, 20]. */
static wg_tensor encode(const network *net, wg_tensor x)
{
    bool frames = net->conv_1.options.axes == 2;
    x = wg_relu(wg_conv_apply(&net->conv_1, x));
    x = frames ? wg_max_pool2d(x, wg_pool_square(2)) : wg_max_pool3d(x, wg_pool_square(2));
    x = wg_relu(wg_conv_apply(&net->conv_2, x));
    x = frames ? wg_max_pool2d(x, wg_pool_square(2)) : wg_max_pool3d(x, wg_pool_square(2));
    return wg_relu(wg_linear_apply(&net->features, wg_flatten(x, 1, -1)));
}

static wg_tensor recurrent(const network *net, const wg_tensor *x)
{
    wg_rnn_state z = wg_rnn_zero_state(&net->rnn, x[0].tape, wg_size(x[0], 0));
    wg_tensor last = WG_NONE;
    for (int t = 0; t < FRAMES; t++) last = wg_rnn_step(&net->rnn, encode(net, x[t]), &z);
    return wg_linear_apply(&net->decoder, last);
}

static wg_tensor average(const network *net, const wg_tensor *x)
{
    wg_tensor logits[FRAMES];
    for (int t = 0; t < FRAMES; t++) logits[t] = wg_linear_apply(&net->decoder, encode(net, x[t]));
    return wg_scale(wg_add_n(logits, FRAMES), 1.0 / FRAMES);
}

static wg_tensor conv3d(const network *net, const wg_tensor *x)
{
    return wg_linear_apply(&net->decoder, encode(net, wg_stack(x, FRAMES, 2)));
}

static wg_tensor predict_clips(const network *net, predict_fn predict, wg_tape *tape, const clips *c)
{
    wg_tensor x[FRAMES];
    for (int t = 0; t < FRAMES; t++) x[t] = frame_at(tape, c, t);
    return predict(net, x);
}

static network network_new(const settings *s, predict_fn predict)
{
    network net = {.params = wg_params_new(WG_F32)};
    wg_params_seed(net.params, (uint64_t)s->seed);
    bool volume = predict == conv3d;
    wg_conv_layer_options conv = wg_conv_layer_defaults();
    conv.conv = wg_conv_square(1, 1);
    conv.axes = volume ? 3 : 2;
    wg_shape kernel = volume ? WG_DIMS(3, 3, 3) : WG_DIMS(3, 3);
    wg_conv_init(&net.conv_1, net.params, "conv_1", 1, 8, kernel, conv);
    wg_conv_init(&net.conv_2, net.params, "conv_2", 8, 16, kernel, conv);
    int64_t pooled = (SIDE / 4) * (SIDE / 4) * (volume ? FRAMES / 4 : 1), encoded = FEATURES;
    wg_linear_init(&net.features, net.params, "features", 16 * pooled, FEATURES, wg_linear_defaults());
    if (predict == recurrent) {
        wg_rnn_options rnn = wg_rnn_defaults();
        rnn.cell = strcmp(s->cell, "lstm") == 0 ? WG_LSTM : strcmp(s->cell, "gru") == 0 ? WG_GRU : WG_RNN_TANH;
        wg_rnn_init(&net.rnn, net.params, "rnn", FEATURES, s->hidden, rnn);
        encoded = s->hidden;
    }
    wg_linear_init(&net.decoder, net.params, "decoder", encoded, MOTIONS, wg_linear_defaults());
    if (!net.params || wg_params_status(net.params) != WG_OK) app_fail("%s", wg_params_message(net.params));
    return net;
}

/* ---- training and testing ---- */

/* A net that learns, each step from new clips. */
typedef struct learner {
    network net;
    predict_fn predict;
    clips clips;
    int64_t seed;
} learner;

static wg_tensor loss_of(void *context, const wg_fit_batch *batch)
{
    learner *l = context;
    draw_clips(&l->clips, (uint64_t)(l->seed * 1000003) + batch->step);
    wg_tensor labels = wg_borrow(batch->tape, WG_I32, WG_DIMS(l->clips.n), l->clips.motion);
    return wg_cross_entropy(predict_clips(&l->net, l->predict, batch->tape, &l->clips), labels);
}

/* Adds a batch to the confusion matrix table[class][prediction]. */
static void count(const network *net, predict_fn predict, wg_tape *tape, const clips *c,
                  int64_t table[MOTIONS][MOTIONS])
{
    wg_no_grad_begin(tape);
    const int32_t *said = wg_value(wg_argmax(predict_clips(net, predict, tape, c), -1, false));
    for (int64_t i = 0; i < c->n && said; i++) table[c->motion[i]][said[i]]++;
    wg_no_grad_end(tape);
    app_end_step(tape);
}

/* The accuracy on new clips, in per cent; prints the confusion matrix. */
static double test(const network *net, predict_fn predict, const char *name, wg_tape *tape, const settings *s)
{
    int64_t table[MOTIONS][MOTIONS] = {0}, right = 0, all = 0;
    clips c = clips_new(s->batch);
    for (int64_t i = 0; i * s->batch < s->test; i++) {
        draw_clips(&c, ~(uint64_t)(s->seed * 1000003 + i));
        count(net, predict, tape, &c, table);
    }
    clips_fini(&c);
    printf("\n%-12s", name);
    for (int i = 0; i < MOTIONS; i++) printf("%10s", motions[i]);
    for (int i = 0; i < MOTIONS; i++) {
        printf("\n%-12s", motions[i]);
        for (int j = 0; j < MOTIONS; j++) {
            printf("%10lld", (long long)table[i][j]);
            all += table[i][j];
            right += i == j ? table[i][j] : 0;
        }
    }
    putchar('\n');
    return 100 * (double)right / (double)all;
}

/* Clips [n, FRAMES, 1, 20, 20] -> their logits. */
static void record_model(void *context, wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    const learner *l = context;
    wg_tensor frame[FRAMES];
    x[0] = app_export_floats(tape, WG_DIMS(batch, FRAMES, 1, SIDE, SIDE));
    for (int t = 0; t < FRAMES; t++) frame[t] = wg_select(x[0], 1, t);
    y[0] = l->predict(&l->net, frame);
}

static void export_model(learner *l, const char *path, wg_tape *tape)
{
    static const char *const in[] = {"clips"}, *const out[] = {"logits"};
    const app_model program = {in, out, 1, 1, record_model, l};
    app_export(path, tape, &program);
}

/* Trains a net from scratch; returns its accuracy in per cent. */
static double learn(const settings *s, const char *name, predict_fn predict, wg_tape *tape)
{
    learner l = {network_new(s, predict), predict, clips_new(s->batch), s->seed};
    wg_adam_options options = wg_adam_defaults();
    options.lr = s->lr;
    wg_fit_options fit = wg_fit_defaults();
    fit.params = l.net.params;
    fit.optimizer = wg_adam_new(fit.params, options);
    fit.loss = loss_of, fit.context = &l;
    fit.steps = s->steps;
    app_note("%s: %lld parameters", name, (long long)wg_params_trainable(l.net.params));
    app_fit(fit, tape, (wg_progress){.unit = "clips", .units = (double)s->batch, .label = name});
    double accuracy = test(&l.net, predict, name, tape, s);
    if (s->export) export_model(&l, s->export, tape);
    clips_fini(&l.clips);
    wg_optimizer_free(fit.optimizer);
    wg_params_free(l.net.params);
    return accuracy;
}

int main(int argc, char **argv)
{
    static const char *const cells[] = {"lstm", "gru", "rnn", NULL};
    static const char *const names[] = {"recurrent", "average", "conv3d", NULL}, *const all[] = {"all", "recurrent",
                                                                                                 "average",
                                                                                                 "conv3d", NULL};
    static const predict_fn nets[] = {recurrent, average, conv3d};
    settings s = {
        .cell = "lstm", .model = "all", .hidden = 48, .steps = 400, .batch = 32, .test = 960, .lr = 0.003};
    s.seed = 1;
    app_option options[] = {{APP_CHOICE, "model", &s.model, "KIND", "which nets", 0, 0, all},
                            {APP_CHOICE, "cell", &s.cell, "KIND", "of the recurrent net", 0, 0, cells},
                            {APP_INT, "hidden", &s.hidden, "N", "size of its state", 1, 1 << 16},
                            {APP_INT, "steps", &s.steps, "N", "steps of training, each on new clips", 1, 1e9},
                            {APP_INT, "batch", &s.batch, "N", "clips per step", 1, 1 << 14},
                            {APP_INT, "test", &s.test, "N", "test clips, rounded to whole batches", 1, 1e9},
                            {APP_REAL, "lr", &s.lr, "X", "learning rate", 0, 1e3},
                            {APP_INT, "seed", &s.seed, "N", "of weights and clips", 0, 1e12},
                            APP_EXPORT(&s.export),
                            APP_THREADS(&s.threads),
                            {APP_FLAG, "tiny", &s.tiny, NULL, "a small setting, for a few seconds"},
                            {APP_END}};
    app_name("video");
    app_parse(argc, argv, "video [options]",
              "Nets classify the motion of a shape in a clip. Expected: above 95 % for the recurrent net and for\n"
              "convolution over time, below 55 % for the average over frames, which does not see their order.",
              options);
    if (s.tiny) app_preset(options, "steps=120 batch=20 test=200 lr=0.005");
    if (s.export && strcmp(s.model, "all") == 0) app_usage("--export needs one --model");
    if (s.export) app_check_place(s.export);
    wg_pool *pool;
    wg_tape *tape = app_tape_new(s.threads, s.seed, NULL, &pool);
    wg_signal_catch();
    double accuracy[3], started = wg_seconds();
    for (int i = 0; i < 3; i++)
        if (strcmp(s.model, "all") == 0 || strcmp(s.model, names[i]) == 0)
            accuracy[i] = learn(&s, names[i], nets[i], tape);
        else
            accuracy[i] = NAN;
    putchar('\n');
    for (int i = 0; i < 3; i++)
        if (!isnan(accuracy[i])) app_result("%s: %.1f %%", names[i], accuracy[i]);
    app_result("steps: %lld, time: %.1f s", (long long)s.steps, wg_seconds() - started);
    wg_tape_free(tape);
    wg_pool_free(pool);
    return app_end();
}
