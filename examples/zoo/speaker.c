/* Says how alike two voices are: the speaker encoder of Resemblyzer (Jemine; Apache-2.0), after Wan et al. 2018.
 *
 * * speaker one.wav other.wav
 *
 * * 40 mel bands, every 10 ms, pass through three LSTMs of 256 units; the last state, through a linear layer, is a
 * vector of length 1. Recordings are cut into overlapping parts of 1.6 s, whose vectors are averaged; the similarity of
 * two is their scalar product. The weights are PyTorch's. The original also cuts silence out, which this program does
 * not.
 *
 * * --tune trains it for something else: to tell whether the pitch of a voice rises, stays or falls, whoever speaks and
 * whatever. The voices are synthetic: pulses of 90 to 250 Hz through three resonators, at the formants of one of five
 * vowels times the size of the throat. Expected: above 0.8 of new voices right if all is trained; about 0.7 with a
 * linear layer that is trained on the vectors as they are. */
#include "own.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    RATE = 16000,
    WINDOW = 400,
    HOP = 160,
    BINS = WINDOW / 2 + 1,
    BANDS = 40,
    UNITS = 256,
    PART = 160,
    STEP = 77
};

typedef struct net {
    wg_params *params;
    wg_rnn lstm;
    wg_linear_layer linear;
    wg_tape *tape;
    float fourier[WINDOW][2 * BINS], bands[BINS][BANDS];
    float *results; /* of run */
} net;

/* ---- mel bands, as librosa's ---- */

/* Hertz to Slaney's mel scale and back: linear up to 1000 Hz, logarithmic above. */
static double mel_of(double hertz)
{
    return hertz < 1000 ? hertz * 3 / 200 : 15 + log(hertz / 1000) * 27 / log(6.4);
}
static double hertz_of(double mel) { return mel < 15 ? mel * 200 / 3 : 1000 * exp((mel - 15) * log(6.4) / 27); }

/* Fourier transform of a window, times Hann's; triangles over neighbouring bands, of equal area. */
static void make_tables(net *m)
{
    double edge[BANDS + 2];
    for (int i = 0; i < BANDS + 2; i++) edge[i] = hertz_of(mel_of(RATE / 2.0) * i / (BANDS + 1));
    for (int n = 0; n < WINDOW; n++)
        for (int k = 0; k < BINS; k++) {
            const double hann = 0.5 - 0.5 * cos(2 * M_PI * n / WINDOW),
                         angle = 2 * M_PI * (n * k % WINDOW) / WINDOW;
            m->fourier[n][k] = (float)(hann * cos(angle));
            m->fourier[n][BINS + k] = (float)(hann * sin(angle));
        }
    for (int k = 0; k < BINS; k++)
        for (int i = 0; i < BANDS; i++) {
            const double f = (double)k * RATE / WINDOW, up = (f - edge[i]) / (edge[i + 1] - edge[i]),
                         down = (edge[i + 2] - f) / (edge[i + 2] - edge[i + 1]);
            m->bands[k][i] = (float)(fmax(0, fmin(up, down)) * 2 / (edge[i + 2] - edge[i]));
        }
}

/* samples[B, n] -> power in bands [B, 1 + n / 160, 40]; windows are centred, with silence around. */
static wg_tensor mel(const net *m, wg_tensor samples)
{
    wg_tensor frames = wg_unfold(wg_pad(samples, 1, WINDOW / 2, WINDOW / 2), 1, WINDOW, HOP);
    wg_tensor fourier = wg_borrow(m->tape, WG_F32, WG_DIMS(WINDOW, 2 * BINS), m->fourier);
    wg_tensor squares = wg_square(wg_matmul(frames, fourier));
    wg_tensor power = wg_add(wg_slice(squares, 2, 0, BINS), wg_slice(squares, 2, BINS, 2 * BINS));
    return wg_matmul(power, wg_borrow(m->tape, WG_F32, WG_DIMS(BINS, BANDS), m->bands));
}

/* ---- the model ---- */

static void net_init(net *m, const char *path)
{
    static const wg_map_row map[] = {
        {.from = "model_state.similarity_*"}, {.from = "model_state.*", .to = "*"}, {.from = "optimizer_state.*"}};
    wg_rnn_options options = wg_rnn_defaults();
    options.cell = WG_LSTM;
    options.layers = 3;
    m->params = wg_params_new(WG_F32);
    wg_rnn_init(&m->lstm, m->params, "lstm", BANDS, UNITS, options);
    wg_linear_init(&m->linear, m->params, "linear", UNITS, UNITS, wg_linear_defaults());
    own_load(path, m->params, map, sizeof map / sizeof *map, NULL);
    make_tables(m);
}

/* frames[T, B, 40] -> vectors [B, 256] of length 1. */
static wg_tensor embed(const net *m, wg_tensor frames)
{
    wg_tensor x[PART], out[PART];
    const int T = (int)wg_size(frames, 0);
    if (T > PART) app_fail("more than %d frames", PART);
    wg_rnn_state state = wg_rnn_zero_state(&m->lstm, m->tape, wg_size(frames, 1));
    for (int t = 0; t < T; t++) x[t] = wg_select(frames, 0, t);
    wg_rnn_unroll(&m->lstm, x, T, WG_NONE, &state, out);
    return wg_normalize(wg_relu(wg_linear_apply(&m->linear, state.h[2])), 1, 1e-12);
}

/* ---- recordings ---- */

/* The vector of a recording of n samples: every 0.77 s a part of 1.6 s begins, if three quarters of it are there. */
static void embed_recording(const net *m, const float *samples, int64_t n, float out[UNITS])
{
    const int64_t frames = (n + HOP) / HOP, steps = frames - PART + STEP + 1 > 1 ? frames - PART + STEP + 1 : 1;
    int64_t parts = (steps + STEP - 1) / STEP;
    const int64_t room = ((parts - 1) * STEP + PART) * HOP;
    if (parts > 1 && (double)(n - (parts - 1) * STEP * HOP) / (PART * HOP) < 0.75) parts--;
    float *padded = app_room(room > n ? room : n, sizeof *padded);
    memcpy(padded, samples, (size_t)n * sizeof *padded);
    wg_tensor all = mel(m, wg_data(m->tape, WG_F32, WG_DIMS(1, room > n ? room : n), padded));
    wg_tensor *part = app_room(parts, sizeof *part);
    for (int64_t i = 0; i < parts; i++) part[i] = wg_slice(wg_select(all, 0, 0), 0, i * STEP, i * STEP + PART);
    wg_tensor mean = wg_mean(embed(m, wg_stack(part, (int)parts, 1)), WG_AXES(0), false);
    if (wg_read(wg_normalize(mean, 0, 1e-12), out, UNITS * sizeof *out) != WG_OK)
        app_fail("%s", wg_tape_message(m->tape));
    app_end_step(m->tape);
    free(part);
    free(padded);
}

/* Quiet recordings are amplified to -30 dB of full scale, as the original does. */
static void embed_file(const net *m, const char *path, float out[UNITS])
{
    wg_sound sound;
    wg_error error = {0};
    double squares = 0;
    if (wg_sound_read(path, 0, &sound, &error) != WG_OK) app_fail("%s", error.text);
    if (sound.channels != 1 || sound.rate != RATE || sound.frames < RATE / 2)
        app_fail("%s: not half a second or more, mono, at 16000 Hz (sox %s -r 16000 -c 1 OUT.wav)", path, path);
    for (int64_t i = 0; i < sound.frames; i++) squares += (double)sound.samples[i] * sound.samples[i];
    const double gain = pow(10, -30 / 20.0) / sqrt(squares / (double)sound.frames);
    for (int64_t i = 0; gain > 1 && isfinite(gain) && i < sound.frames; i++) sound.samples[i] *= (float)gain;
    embed_recording(m, sound.samples, sound.frames, out);
    wg_sound_fini(&sound);
}

/* ---- training ---- */

enum { VOWELS = 5, TUNES = 3, TRAIN = 240, TEST = 120, BATCH = 24, FRAMES = 41, LENGTH = (FRAMES - 1) * HOP };
static const double formants[VOWELS][3] = {/* of a, e, i, o, u, in Hz */
                                           {800, 1200, 2500},
                                           {500, 1800, 2500},
                                           {300, 2300, 3000},
                                           {450, 800, 2600},
                                           {325, 700, 2500}};

/* A resonator: y_n = g x_n + 2 r cos(w) y_{n-1} - r^2 y_{n-2}. */
static void resonate(float *x, double hertz, double width)
{
    const double r = exp(-M_PI * width / RATE), a = 2 * r * cos(2 * M_PI * hertz / RATE);
    double y1 = 0, y2 = 0;
    for (int i = 0; i < LENGTH; i++) {
        const double y = (1 - r) * x[i] + a * y1 - r * r * y2;
        y2 = y1, y1 = y, x[i] = (float)y;
    }
}

/* Somebody says a vowel for 0.4 s, at -30 dB; its pitch falls, stays or rises. */
static void speak(float *x, int tune, uint64_t *random)
{
    const double pitch = app_draw_real(random, 90, 250), throat = app_draw_real(random, 0.85, 1.2);
    const double glide = (tune - 1) * app_draw_real(random, 0.15, 0.3);
    const int vowel = (int)app_draw(random, VOWELS);
    double phase = 0, squares = 0;
    for (int i = 0; i < LENGTH; i++) {
        phase += pitch * (1 + glide * i / LENGTH) / RATE;
        x[i] = (float)((phase >= 1) + app_draw_real(random, -0.01, 0.01));
        phase -= floor(phase);
    }
    for (int k = 0; k < 3; k++) resonate(x, formants[vowel][k] * throat, 80 + 40 * k);
    for (int i = 0; i < LENGTH; i++) squares += (double)x[i] * x[i];
    const double gain = pow(10, -30 / 20.0) / sqrt(squares / LENGTH);
    for (int i = 0; i < LENGTH; i++) x[i] *= (float)gain;
}

typedef struct voices {
    float *frames;  /* [n, FRAMES, BANDS] */
    int32_t *tunes; /* [n] */
} voices;

static voices voices_new(const net *m, int n, uint64_t seed)
{
    voices v = {app_room(n, FRAMES * BANDS * sizeof(float)), app_room(n, sizeof(int32_t))};
    float x[LENGTH];
    for (int i = 0; i < n; i++) {
        v.tunes[i] = i % TUNES;
        speak(x, v.tunes[i], &seed);
        wg_tensor y = mel(m, wg_data(m->tape, WG_F32, WG_DIMS(1, LENGTH), x));
        if (wg_read(y, v.frames + (int64_t)i * FRAMES * BANDS, FRAMES * BANDS * sizeof(float)) != WG_OK)
            app_fail("%s", wg_tape_message(m->tape));
        app_end_step(m->tape);
    }
    return v;
}

/* The linear layer's logits for n voices from `first` on; vectors are scaled up, as they have length 1. */
static wg_tensor logits_of(const net *m, const wg_linear_layer *head, const voices *v, int first, int n)
{
    wg_tensor x = wg_data(m->tape, WG_F32, WG_DIMS(n, FRAMES, BANDS), v->frames + (int64_t)first * FRAMES * BANDS);
    return wg_linear_apply(head, wg_scale(embed(m, wg_transpose(x, 0, 1)), 16));
}

static double accuracy(const net *m, const wg_linear_layer *head, const voices *v)
{
    int32_t best[TEST];
    int right = 0;
    if (wg_read(wg_argmax(logits_of(m, head, v, 0, TEST), 1, false), best, sizeof best) != WG_OK)
        app_fail("%s", wg_tape_message(m->tape));
    app_end_step(m->tape);
    for (int i = 0; i < TEST; i++) right += best[i] == v->tunes[i];
    return (double)right / TEST;
}

/* Trains a new linear layer, and the encoder unless it is frozen; returns the accuracy on new voices. */
static double train(net *m, const voices *train, const voices *test, int64_t steps, bool frozen, double *loss)
{
    wg_linear_layer head;
    const char *name = frozen ? "head" : "head_all";
    for (size_t i = 0; i < wg_params_count(m->params); i++) wg_param_freeze(wg_params_at(m->params, i), frozen);
    wg_linear_init(&head, m->params, name, UNITS, TUNES, wg_linear_defaults());
    wg_adam_options adam = wg_adam_defaults();
    adam.lr = frozen ? 1e-2 : 5e-4;
    wg_optimizer *optimizer = wg_adam_new(m->params, adam);
    if (!optimizer) app_fail("%s", wg_params_message(m->params));
    for (int64_t step = 0; step < steps; step++) {
        const int first = (int)(step % (TRAIN / BATCH)) * BATCH;
        wg_optimizer_set_lr(optimizer, adam.lr * (double)(steps - step) / (double)steps);
        wg_zero_grad(m->params);
        wg_tensor l = wg_cross_entropy(logits_of(m, &head, train, first, BATCH),
                                       wg_data(m->tape, WG_I32, WG_DIMS(BATCH), train->tunes + first));
        if (wg_backward(l) == WG_OK) {
            wg_clip_grad_norm(m->params, 1, NULL);
            wg_optimizer_step(optimizer);
        }
        *loss = wg_item(l);
        if (step % 20 == 0) printf("%s: step %3d  loss %.3f\n", frozen ? "linear layer" : "all", (int)step, *loss);
        app_end_step(m->tape);
    }
    wg_optimizer_free(optimizer);
    return accuracy(m, &head, test);
}

static void tune(net *m, int64_t steps, int64_t seed)
{
    const voices known = voices_new(m, TRAIN, (uint64_t)seed), new = voices_new(m, TEST, (uint64_t)seed + 12345);
    double loss[2] = {0};
    const double first = train(m, &known, &new, steps, true, &loss[0]);
    const double second = train(m, &known, &new, steps, false, &loss[1]);
    app_result("loss of a linear layer: %.3f nats, accuracy: %.2f, loss of all: %.3f nats, accuracy of all: %.2f",
               loss[0], first, loss[1], second);
    free(known.frames), free(known.tunes), free(new.frames), free(new.tunes);
}

/* ---- the program ---- */

/* x [160, B, 40] -> vectors [B, 256]; or samples [n] -> the recording's [1, 256]. */
static wg_entry run(void *context, const wg_safetensors *inputs)
{
    net *m = context;
    wg_shape shape = WG_DIMS(PART, -1, BANDS), n = WG_DIMS(-1);
    const bool is_sound = wg_safetensors_find(inputs, "samples", NULL);
    float *x = is_sound ? own_read(inputs, "samples", WG_F32, &n) : own_read(inputs, "x", WG_F32, &shape);
    const int64_t batch = is_sound ? 1 : shape.size[1];
    free(m->results);
    m->results = app_room(batch * UNITS, sizeof(float));
    if (is_sound) {
        embed_recording(m, x, n.size[0], m->results);
    } else {
        wg_tensor y = embed(m, wg_data(m->tape, WG_F32, shape, x));
        if (wg_read(y, m->results, (size_t)batch * UNITS * sizeof(float)) != WG_OK)
            app_fail("%s", wg_tape_message(m->tape));
        app_end_step(m->tape);
    }
    free(x);
    return (wg_entry){.dtype = WG_F32, .shape = WG_DIMS(batch, UNITS), .data = m->results};
}

static void compare(const net *m, const char *a, const char *b)
{
    float x[UNITS], y[UNITS];
    double similarity = 0;
    embed_file(m, a, x);
    embed_file(m, b, y);
    for (int i = 0; i < UNITS; i++) similarity += (double)x[i] * y[i];
    app_result("similarity: %.3f", similarity);
}

int main(int argc, char **argv)
{
    own o = {.steps = 240, .seed = 1};
    app_list files = {0};
    app_option options[] = {
        OWN_OPTIONS(&o, "resemblyzer.pt"), {APP_LIST, "sound", &files, "FILE.wav", "two, to compare"}, {APP_END}};
    app_name("speaker");
    app_parse(argc, argv, "speaker [options] ONE.wav OTHER.wav", "Says how alike two voices are.", options);
    if (!o.check && !o.tune && files.n != 2) app_usage("not two recordings; speaker --help");
    own_open(&o, "resemblyzer.pt");
    static net m;
    m.tape = o.tape;
    net_init(&m, o.path);
    if (o.check)
        own_check(o.check, run, &m);
    else if (o.tune)
        tune(&m, o.steps, o.seed);
    else
        compare(&m, files.items[0], files.items[1]);
    free(m.results);
    wg_params_free(m.params);
    own_close(&o);
    free(files.items);
    return app_end();
}
